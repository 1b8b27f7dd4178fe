"""Dense indices for string ids, assigned as the ids come."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from transforms.errors import IncompatibleModelError
from transforms.recommenders.arrays import Arrays, SavedArrays


class Vocabulary:
    """Numbers ids 0, 1, 2, ... in the order in which they are first seen.

    Attributes:
        ids: Every id, at its index.
    """

    def __init__(self) -> None:
        self.ids: list[str] = []
        self._index: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self.ids)

    def get(self, name: str) -> int | None:
        """Returns the index of an id, or None if it was never seen."""
        return self._index.get(name)

    def get_all(self, names: Iterable[str]) -> list[int | None]:
        """Returns what `get` does for each id."""
        return list(map(self._index.get, names))

    def add(self, name: str) -> int:
        """Gives an id that was never seen the next index, and returns it."""
        index = len(self.ids)
        self._index[name] = index
        self.ids.append(name)
        return index

    def keep(self, kept: NDArray[np.intp]) -> None:
        """Drops all ids but these, ascending; the one with index `kept[j]` gets index `j`."""
        self._replace([self.ids[index] for index in kept.tolist()])

    def to_arrays(self, name: str) -> Arrays:
        """Returns the ids as UTF-8 end to end (uint8) and the end of each (int64)."""
        encoded = [one.encode("utf-8") for one in self.ids]
        ends = np.cumsum([len(one) for one in encoded], dtype=np.int64)
        return {
            f"{name}.bytes": np.frombuffer(b"".join(encoded), dtype=np.uint8),
            f"{name}.ends": ends,
        }

    def load(self, name: str, arrays: SavedArrays) -> None:
        """Takes over what `to_arrays` returned under the same name.

        Raises:
            IncompatibleModelError: An array is missing or damaged, or an id occurs twice.
        """
        joined = arrays.numbers(f"{name}.bytes", np.uint8, (None,))
        ends = arrays.ends(f"{name}.ends", None, len(joined))
        encoded, starts = joined.tobytes(), [0, *ends.tolist()]
        parts = [encoded[start:end] for start, end in itertools.pairwise(starts)]
        try:
            ids = [part.decode("utf-8") for part in parts]
        except UnicodeDecodeError as e:
            msg = f"the ids of the saved model's {name} are not UTF-8"
            raise IncompatibleModelError(msg) from e
        self._replace(ids)
        arrays.require(len(self._index) == len(ids), f"{name}.bytes", "has an id twice")

    def _replace(self, ids: list[str]) -> None:
        self.ids = ids
        self._index = {name: index for index, name in enumerate(ids)}
