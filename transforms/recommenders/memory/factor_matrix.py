"""A matrix of latent factors that grows by doubling."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from transforms.recommenders.arrays import Arrays, SavedArrays

_BLOCK: Final = 1024

FLURS_SCALE: Final = 0.1
"""Standard deviation of new factors in FluRS, whose mean is 0."""


class FactorMatrix:
    """Rows of latent factors, initially normally distributed.

    A row's initial value depends on the seed, the name and how many rows were added before it
    alone: initial rows are drawn in blocks of 1,024 from a generator of their own. A matrix that
    was saved and loaded therefore goes on with the very same rows. Adding one costs nothing but
    its copy and the occasional doubling.

    Args:
        k: Number of latent factors, the row length.
        seed: Of the model.
        name: A number that tells this matrix from the model's others.
        scale: Standard deviation of new factors, whose mean is 0.
    """

    def __init__(self, k: int, seed: int, name: int, scale: float = FLURS_SCALE) -> None:
        self._key = (seed, name)
        self._scale = scale
        self._k = k
        self.n = 0
        self.dropped = 0
        self.rows: NDArray[np.float64] = np.empty((0, k))
        self._drawn = -1
        self._block: NDArray[np.float64] = self.rows

    def add(self) -> None:
        """Adds the next row."""
        if self.n == len(self.rows):
            self._resize(max(_BLOCK, 2 * self.n))
        block, place = divmod(self.n + self.dropped, _BLOCK)
        if block != self._drawn:
            random = np.random.default_rng((*self._key, block))
            self._block = random.normal(0.0, self._scale, (_BLOCK, self._k))
            self._drawn = block
        self.rows[self.n] = self._block[place]
        self.n += 1

    def used(self) -> NDArray[np.float64]:
        """Returns the rows that were added, shape (n, k), as a view."""
        return self.rows[: self.n]

    def keep(self, kept: NDArray[np.intp]) -> None:
        """Drops all rows but these, ascending; row `kept[j]` becomes row `j`."""
        self._replace(self.rows[kept], self.dropped + self.n - len(kept))

    def to_arrays(self, name: str) -> Arrays:
        """Returns the rows, shape (n, k), and how many were dropped, shape (1,)."""
        return {name: self.used().copy(), f"{name}.dropped": np.array([self.dropped])}

    def load(self, name: str, arrays: SavedArrays, n: int | None) -> None:
        """Takes over what `to_arrays` returned under the same name.

        Raises:
            IncompatibleModelError: The rows are missing, damaged, or not `n` rows of length k.
        """
        rows = arrays.finite(name, (n, self._k))
        self._replace(rows, arrays.count(f"{name}.dropped"))

    def _replace(self, rows: NDArray[np.float64], dropped: int) -> None:
        self.n = 0
        self._resize(max(_BLOCK, 1 << len(rows).bit_length()))
        self.n = len(rows)
        self.rows[: self.n] = rows
        self.dropped = dropped

    def _resize(self, capacity: int) -> None:
        rows = np.empty((capacity, self._k))
        rows[: self.n] = self.used()
        self.rows = rows
