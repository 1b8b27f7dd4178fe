"""A matrix of latent factors that grows by doubling, its rows drawn before they are needed."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

_BLOCK: Final = 1024
_SCALE: Final = 0.1


class FactorMatrix:
    """Rows of latent factors, initially N(0, 0.1^2) as in FluRS.

    Row i's initial value depends on the seed, the name and i alone: rows are drawn in blocks of
    1,024 from a generator of their own. Adding a row therefore costs nothing but the occasional
    doubling, and a matrix that was saved and loaded goes on with the very same rows.

    Args:
        k: Number of latent factors, the row length.
        seed: Of the model.
        name: A number that tells this matrix from the model's others.
    """

    def __init__(self, k: int, seed: int, name: int) -> None:
        self._key = (seed, name)
        self._k = k
        self.n = 0
        self.rows: NDArray[np.float64] = np.empty((0, k))

    def add(self) -> None:
        """Adds the next row."""
        self.n += 1
        if self.n > len(self.rows):
            self._grow()

    def used(self) -> NDArray[np.float64]:
        """Returns the rows that were added, shape (n, k), as a view."""
        return self.rows[: self.n]

    def load(self, rows: NDArray[np.generic]) -> None:
        """Takes over rows that were saved, shape (n, k)."""
        self.rows = np.empty((0, self._k))
        self.n = len(rows)
        while len(self.rows) <= self.n:
            self._grow()
        self.rows[: self.n] = rows

    def _grow(self) -> None:
        blocks = len(self.rows) // _BLOCK
        seed, name = self._key
        drawn = [
            np.random.default_rng((seed, name, block)).normal(0.0, _SCALE, (_BLOCK, self._k))
            for block in range(blocks, max(2 * blocks, 1))
        ]
        self.rows = np.concatenate([self.rows, *drawn])
