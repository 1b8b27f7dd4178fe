"""Selects in single precision the few items that need a score in double precision."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

_ROUNDING: Final = 2.0**-23

_TOO_LONG: Final = 1e15
"""Longest vector for which the error bound holds: beyond, underflow would count."""


class Float32Prefilter:
    """A float32 copy of item factors, kept up to date.

    With unit roundoff u a float32 product of vectors of length k is off by at most
    (k + 2) u |p| |q|, in whatever order it is added up (N. J. Higham, Accuracy and Stability of
    Numerical Algorithms, 2002, section 3.1). What falls short of the n-th best by more than twice
    that, and the rounding of the score itself, cannot be among the n best.

    Args:
        k: Number of latent factors.

    Attributes:
        copy: The factors, shape (n_item, k), of as many items as `follow` was last shown.
    """

    def __init__(self, k: int) -> None:
        self._room: NDArray[np.float32] = np.empty((0, k), dtype=np.float32)
        self.copy: NDArray[np.float32] = self._room
        self._longest = 0.0

    def changed(self, item: int, factors: NDArray[np.float64]) -> None:
        """Updates the copy of an item's factors, if there is one."""
        if item < len(self.copy):
            self.copy[item] = factors
            self.reaches(float(factors.dot(factors)))

    def reaches(self, square: float) -> None:
        """Notes the squared length of an item's factors."""
        # NaN would be lost by the next comparison.
        length = math.sqrt(square) if square < math.inf else math.inf
        self._longest = max(self._longest, length)

    def follow(self, items: NDArray[np.float64]) -> None:
        """Copies the factors of new items, the last rows of `items`, shape (n_item, k)."""
        n, copied = len(items), len(self.copy)
        if n == copied:
            return
        if n > len(self._room):
            room = np.empty((2 * n, items.shape[1]), dtype=np.float32)
            room[:copied] = self.copy
            self._room = room
        new = items[copied:]
        self._room[copied:n] = new
        self.copy = self._room[:n]
        self.reaches(float(np.square(new).sum(axis=1).max()))

    def errors(self, users: NDArray[np.float64]) -> NDArray[np.float64]:
        """Returns the largest error of a product with each user's factors, shape (m,).

        Infinite where the bound does not hold, as when factors are not finite.
        """
        lengths = np.sqrt(np.square(users).sum(axis=1))
        errors = _ROUNDING * ((users.shape[1] + 4) * self._longest * lengths + 4)
        holds = (lengths < _TOO_LONG) & (self._longest < _TOO_LONG)
        return np.asarray(np.where(holds, errors, np.inf))
