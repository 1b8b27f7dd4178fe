"""Rows of numbers that grow by doubling.

Growing allocates new arrays and never resizes one in place, so a view of the old rows that
somebody kept alive stays valid memory, with the old values.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import DTypeLike, NDArray

_FIRST_CAPACITY: Final = 64


class GrowableRows:
    """Numbers, or rows of numbers, that are zero when they are added.

    Args:
        shape: Of a row; empty for single numbers.
        dtype: Of a number.

    Attributes:
        n: How many rows were added.
        rows: Shape (capacity, *shape); zero from row `n` on.
    """

    def __init__(self, shape: tuple[int, ...] = (), dtype: DTypeLike = np.float64) -> None:
        self.n = 0
        self.rows: NDArray[Any] = np.zeros((0, *shape), dtype=dtype)

    def add(self, count: int = 1) -> None:
        """Adds rows, at amortized constant cost."""
        needed = self.n + count
        if needed > len(self.rows):
            rows = np.zeros(
                (max(_FIRST_CAPACITY, 2 * self.n, needed), *self.rows.shape[1:]), self.rows.dtype
            )
            rows[: self.n] = self.used()
            self.rows = rows
        self.n = needed

    def used(self) -> NDArray[Any]:
        """Returns the rows that were added, as a view."""
        return self.rows[: self.n]

    def keep(self, kept: NDArray[np.intp]) -> None:
        """Drops all rows but these, ascending; row `kept[j]` becomes row `j`."""
        self.load(self.rows[kept])

    def load(self, rows: NDArray[np.generic]) -> None:
        """Replaces all rows by a copy of these, shape (n, *shape)."""
        # What lies behind the used rows has to be zero, as that is what the next row is.
        self.rows = np.zeros((0, *self.rows.shape[1:]), self.rows.dtype)
        self.n = 0
        self.add(len(rows))
        self.rows[: self.n] = rows
