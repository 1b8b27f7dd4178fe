"""Rows of zeros that grow by doubling, and arrays that were saved, checked."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from transforms.errors import IncompatibleModelError

_FIRST: Final = 64


class GrowingRows:
    """Numbers, or rows of numbers, that are zero when they are added.

    Args:
        shape: Of a row; empty for single numbers.
    """

    def __init__(self, shape: tuple[int, ...] = ()) -> None:
        self.n = 0
        self.rows: NDArray[np.float64] = np.zeros((0, *shape))

    def add(self, count: int = 1) -> None:
        """Adds rows, at amortised constant cost."""
        needed = self.n + count
        if needed > len(self.rows):
            self._resize(max(_FIRST, 2 * self.n, needed))
        self.n = needed

    def used(self) -> NDArray[np.float64]:
        """Returns the rows that were added, as a view."""
        return self.rows[: self.n]

    def keep(self, kept: NDArray[np.intp]) -> None:
        """Forgets all rows but these, ascending; row `kept[j]` becomes row `j`."""
        self._replace(self.rows[kept])

    def load(self, name: str, arrays: dict[str, NDArray[np.generic]]) -> None:
        """Takes over the rows that were saved under a name.

        Raises:
            IncompatibleModelError: There are none, or their shape is another.
        """
        self._replace(saved(name, arrays, (None, *self.rows.shape[1:])))

    def _replace(self, rows: NDArray[np.generic]) -> None:
        # What lies behind the used rows has to be zero, as that is what the next row is.
        self.rows = np.zeros((0, *self.rows.shape[1:]))
        self.n = 0
        self.add(len(rows))
        self.rows[: self.n] = rows

    def _resize(self, capacity: int) -> None:
        rows = np.zeros((capacity, *self.rows.shape[1:]))
        rows[: self.n] = self.used()
        self.rows = rows


def saved(
    name: str, arrays: dict[str, NDArray[np.generic]], shape: tuple[int | None, ...]
) -> NDArray[np.generic]:
    """Returns a saved array of this shape, in which None stands for any length.

    Raises:
        IncompatibleModelError: There is none, or its shape is another.
    """
    array = arrays.get(name)
    if (
        array is None
        or array.ndim != len(shape)
        or any(want not in {None, got} for want, got in zip(shape, array.shape, strict=True))
    ):
        found = "missing" if array is None else f"of shape {array.shape}"
        expected = ", ".join("n" if length is None else str(length) for length in shape)
        msg = f"the saved model's array {name} is {found}, expected ({expected}): are the"
        msg += " hyperparameters others?"
        raise IncompatibleModelError(msg)
    return array
