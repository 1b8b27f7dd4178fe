"""Finds in single precision which few of many items need to be scored in double."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from transforms.recommenders.topn import top_n

MANY: Final = 8192
"""With fewer items scoring all of them in double precision is as fast."""

_ROUNDING: Final = 2.0**-23


class Screen:
    """A float32 copy of item factors, kept up to date.

    With unit roundoff u a float32 product of vectors of length k is off by at most
    (k + 2) u |p| |q|, in whatever order it is added up (N. J. Higham, Accuracy and Stability of
    Numerical Algorithms, 2002, section 3.1). What falls short of the n-th best by more than twice
    that, and the rounding of the score itself, can not be among the n best.
    """

    def __init__(self) -> None:
        self._copy: NDArray[np.float32] = np.empty((0, 0), dtype=np.float32)
        self._n = 0
        self._longest = 0.0

    def changed(self, item: int, factors: NDArray[np.float64]) -> None:
        """Takes over an item's new factors, if it was copied yet."""
        if item < self._n:
            self._copy[item] = factors
            self._longest = max(self._longest, math.sqrt(factors.dot(factors)))

    def near_one(
        self,
        items: NDArray[np.float64],
        p: NDArray[np.float64],
        left_out: NDArray[np.int32],
        n: int,
    ) -> NDArray[np.intp] | None:
        """Returns, ascending, all that may be among the `n` items whose p . q is nearest to 1.

        Args:
            items: All factors, shape (n_item, k); only those that are new are read.
            p: A user's, shape (k,).
            left_out: Items that do not count.
            n: At least 1.

        Returns:
            None if it can not tell, as when there are not `n` or factors are not finite.
        """
        self._copy_new(items)
        scores: NDArray[np.float32] = self._copy[: self._n] @ p.astype(np.float32)
        np.subtract(1.0, scores, out=scores)
        np.abs(scores, out=scores)
        np.subtract(1.0, scores, out=scores)
        scores[left_out] = -np.inf
        best = top_n(scores, n)
        reach = self._longest * math.sqrt(p.dot(p))
        error = _ROUNDING * ((len(p) + 4) * reach + 4)
        if len(best) < n or not error < 1:
            return None
        least = np.float32(float(scores[best[-1]]) - 2 * error)
        return np.flatnonzero(scores >= np.nextafter(least, np.float32(-np.inf)))

    def _copy_new(self, items: NDArray[np.float64]) -> None:
        n = len(items)
        if self._n == n:
            return
        if n > len(self._copy):
            copy = np.empty((2 * n, items.shape[1]), dtype=np.float32)
            if self._n:
                copy[: self._n] = self._copy[: self._n]
            self._copy = copy
        new = items[self._n :]
        self._copy[self._n : n] = new
        self._longest = max(self._longest, math.sqrt(np.square(new).sum(axis=1).max()))
        self._n = n
