"""Dense indices for string ids, made as the ids come."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray


class IdIndex:
    """Numbers ids 0, 1, 2, ... in the order in which they are first seen."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self._index: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self.ids)

    def get(self, name: str) -> int | None:
        """Returns the index of an id, or None if it was never seen."""
        return self._index.get(name)

    def add(self, name: str) -> int:
        """Gives an id that was never seen the next index, and returns it."""
        index = len(self.ids)
        self._index[name] = index
        self.ids.append(name)
        return index

    def keep(self, kept: NDArray[np.intp]) -> None:
        """Forgets all ids but these, ascending; the one with index `kept[j]` gets index `j`."""
        self.ids = [self.ids[index] for index in kept.tolist()]
        self._index = {name: index for index, name in enumerate(self.ids)}

    def to_arrays(self, name: str) -> dict[str, NDArray[np.generic]]:
        """Returns the ids as UTF-8 end to end (uint8) and the end of each (int64)."""
        encoded = [one.encode("utf-8") for one in self.ids]
        ends = np.cumsum([len(one) for one in encoded], dtype=np.int64)
        return {
            f"{name}.bytes": np.frombuffer(b"".join(encoded), dtype=np.uint8),
            f"{name}.ends": ends,
        }

    @classmethod
    def from_arrays(cls, name: str, arrays: dict[str, NDArray[np.generic]]) -> IdIndex:
        """Returns the index that `to_arrays` wrote under the same name."""
        joined = arrays[f"{name}.bytes"].tobytes()
        index = cls()
        start = 0
        ends: Iterable[int] = arrays[f"{name}.ends"].tolist()
        for end in ends:
            index.add(joined[start:end].decode("utf-8"))
            start = end
        return index
