"""The items of `MF` whose factors are longest, so that a list need not look at all the others."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

_FEWEST: Final = 1 << 14
"""Of fewer items all are looked at, which takes no longer."""

_LEAST: Final = 1024
_SHARE: Final = 256
"""One of so many items is held, so that choosing them anew costs little per update."""


class LongestItems:
    """A superset of the items with the longest factors, and how long the others' are at most.

    Each positive makes an item's factors longer, so these are mostly the popular ones. An item
    that becomes longer than the others joins, and when there are twice as many they are chosen
    anew. Lists do not depend on which items it holds, so it is no part of a saved model.

    Attributes:
        floor: At least the length of the factors of all items that are not held.
    """

    def __init__(self) -> None:
        self.floor = math.inf
        self._held: NDArray[np.int32] = np.empty(0, dtype=np.int32)
        self._joined: set[int] = set()
        self._followed = 0
        self._chosen_of = 0

    def changed(self, items: NDArray[np.int32], factors: NDArray[np.float64]) -> None:
        """Notes factors that items have, or had within a minibatch.

        Args:
            items: Shape (m,).
            factors: Shape (m, k).
        """
        if self.follows:
            # A length that is NaN is not known to be below the floor.
            within = _lengths(factors) <= self.floor
            self._joined.update(items[~within].tolist())

    @property
    def follows(self) -> bool:
        """Whether `changed` notes anything yet."""
        return self._chosen_of > 0

    def follow(self, factors: NDArray[np.float64]) -> None:
        """Notes new items, and chooses anew where it is due; comes before a minibatch is learned.

        Args:
            factors: Of all items, shape (n_item, k).
        """
        n = len(factors)
        if n < _FEWEST:
            return
        few = not self.follows or n > 2 * self._chosen_of
        if few or len(self._held) + len(self._joined) > 2 * _most(n):
            self._choose(factors)
        elif self._followed < n:
            new = np.arange(self._followed, n, dtype=np.int32)
            self._followed = n
            self.changed(new, factors[new])

    def items(self) -> NDArray[np.int32]:
        """Returns the items that are held, ascending; none where there are few in all."""
        if self._joined:
            joined = np.fromiter(self._joined, dtype=np.int32, count=len(self._joined))
            self._held = np.union1d(self._held, joined)
            self._joined.clear()
        return self._held

    def _choose(self, factors: NDArray[np.float64]) -> None:
        n = len(factors)
        most = _most(n)
        lengths = _lengths(factors)
        order = np.argpartition(lengths, n - most)
        self._held = np.sort(order[n - most :]).astype(np.int32)
        self.floor = float(lengths[order[: n - most]].max())
        self._chosen_of = self._followed = n
        self._joined.clear()


def _most(n: int) -> int:
    return max(_LEAST, n // _SHARE)


def _lengths(factors: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.sqrt(np.einsum("ij,ij->i", factors, factors)))
