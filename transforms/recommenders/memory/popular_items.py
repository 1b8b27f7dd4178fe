"""The most popular items of `ItemKNN`, so that a list need not look at all the others."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from transforms.recommenders.numerics.cooccurrence_arrays import EPOCH, ItemArrays
from transforms.recommenders.numerics.listing_by_need import (
    PopularArrays,
    Scratch,
    follow_popular,
)

_LEAST: Final = 1024
_SHARE: Final = 256
"""Of so many items one is at hand, so that choosing them anew costs little an update."""


class PopularItems:
    """A superset of the items that are most popular by count, or by recent count.

    What the others have at most is known: they had it when the popular ones were chosen, and one
    that rises above it joins them. When they have become twice as many they are chosen anew. It
    derives from the statistics of items, so it is no part of a saved model, and lists do not
    depend on which items it holds.
    """

    def __init__(self) -> None:
        self._items: NDArray[np.int32] = np.empty(0, dtype=np.int32)
        self._is_popular: NDArray[np.bool] = np.empty(0, dtype=np.bool)
        self._count = 0
        self._most = 0
        self._floor = self._recent_floor = self._epoch = 0.0
        self._scratch = Scratch(
            np.empty(0),
            np.empty(0, dtype=np.int64),
            np.empty(0, dtype=np.int32),
            np.zeros(1, dtype=np.int64),
        )

    def forget(self) -> None:
        """Is called when items are renumbered; the popular ones are chosen anew when needed."""
        self._most = 0

    def follow(self, items: ItemArrays, changed: NDArray[np.int32]) -> None:
        """Notes which items were chosen, after it; -1 is none of them."""
        if not self._most:
            return
        self._widen(len(items.chosen), self._count + len(changed))
        self._count = follow_popular(
            items.chosen,
            items.recent,
            changed,
            self._floor,
            self._recent_floor_now(items),
            self._is_popular,
            self._items,
            self._count,
        )

    def arrays(self, items: ItemArrays, n: int) -> PopularArrays:
        """Returns the popular ones of `n` items."""
        if not self._most or self._count > 2 * self._most:
            self._choose(items, n)
        return PopularArrays(
            self._items[: self._count],
            self._floor,
            self._recent_floor_now(items),
            self._count == n,
        )

    def scratch(self, items: ItemArrays) -> Scratch:
        """Returns room for the scores of a list."""
        room = len(items.chosen)
        if len(self._scratch.scores) < room:
            self._scratch = Scratch(
                np.empty(room),
                np.zeros(room, dtype=np.int64),
                np.empty(room, dtype=np.int32),
                np.zeros(1, dtype=np.int64),
            )
        return self._scratch

    def _choose(self, items: ItemArrays, n: int) -> None:
        self._most = most = max(_LEAST, n // _SHARE)
        self._epoch = float(items.totals[EPOCH])
        self._is_popular = np.zeros(len(items.chosen), dtype=np.bool)
        if n <= most:
            popular = np.arange(n)
            self._floor = self._recent_floor = 0.0
        else:
            floors = []
            for column in (items.chosen[:n], items.recent[:n]):
                order = np.argpartition(column, n - most)
                self._is_popular[order[n - most :]] = True
                floors.append(float(column[order[: n - most]].max()))
            self._floor, self._recent_floor = floors
            popular = np.flatnonzero(self._is_popular)
        self._is_popular[popular] = True
        self._items = popular.astype(np.int32)
        self._count = len(popular)

    def _recent_floor_now(self, items: ItemArrays) -> float:
        return float(np.ldexp(self._recent_floor, int(self._epoch - items.totals[EPOCH])))

    def _widen(self, room: int, count: int) -> None:
        if len(self._is_popular) < room:
            longer = np.zeros(room, dtype=np.bool)
            longer[: len(self._is_popular)] = self._is_popular
            self._is_popular = longer
        if len(self._items) < count:
            items = np.empty(2 * count, dtype=np.int32)
            items[: self._count] = self._items[: self._count]
            self._items = items
