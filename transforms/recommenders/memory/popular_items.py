"""The most popular items of `ItemKNN`, so that a list need not look at all the others."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from transforms.recommenders.numerics.cooccurrence_arrays import (
    EPOCH,
    STARTS_EPOCH,
    ColumnArrays,
)
from transforms.recommenders.numerics.listing_by_need import (
    PopularArrays,
    Scratch,
    follow_popular,
)

_LEAST: Final = 1024
_SHARE: Final = 256
"""Of so many items one is at hand, so that choosing them anew costs little an update."""


class PopularItems:
    """A superset of the items that are most popular, by each of three counts.

    These are all positives, the recent ones, and the histories that began with the item.

    What the others have at most is known: they had it when the popular ones were chosen, and one
    that rises above it joins them. When they have become twice as many they are chosen anew. It
    derives from the statistics of items, so it is no part of a saved model, and lists do not
    depend on which items it holds. Items are known by their columns, see `ItemColumns`.
    """

    def __init__(self) -> None:
        self._columns: NDArray[np.int32] = np.empty(0, dtype=np.int32)
        self._is_popular: NDArray[np.bool] = np.empty(0, dtype=np.bool)
        self._count = 0
        self._most = 0
        # What the others have at most, and in which unit: `chosen`, `recent`, `starts`.
        self._floors = [0.0, 0.0, 0.0]
        self._epochs = [0.0, 0.0, 0.0]
        self._scratch = _scratch(0)

    def follow(self, columns: ColumnArrays, changed: NDArray[np.int32]) -> None:
        """Notes which items were chosen, after it."""
        if not self._most:
            return
        self._widen(len(columns.chosen), self._count + len(changed))
        self._count = follow_popular(
            columns,
            changed,
            *self._floors_now(columns),
            self._is_popular,
            self._columns,
            self._count,
        )

    def arrays(self, columns: ColumnArrays, n: int) -> PopularArrays:
        """Returns the popular ones of the first `n` columns."""
        if not self._most or self._count > 2 * self._most:
            self._choose(columns, n)
        return PopularArrays(
            self._columns[: self._count],
            *self._floors_now(columns),
            self._count == n,
        )

    def scratch(self, columns: ColumnArrays) -> Scratch:
        """Returns room for the scores of a list."""
        room = len(columns.chosen)
        if len(self._scratch.scores) < room:
            self._scratch = _scratch(room)
        return self._scratch

    def _choose(self, columns: ColumnArrays, n: int) -> None:
        self._most = most = max(_LEAST, n // _SHARE)
        self._epochs = _epochs(columns)
        self._is_popular = np.zeros(len(columns.chosen), dtype=np.bool)
        self._floors = [0.0, 0.0, 0.0]
        if n <= most:
            self._is_popular[:n] = True
        else:
            floors = []
            for numbers in (columns.chosen[:n], columns.recent[:n], columns.starts[:n]):
                order = np.argpartition(numbers, n - most)
                self._is_popular[order[n - most :]] = True
                floors.append(float(numbers[order[: n - most]].max()))
            self._floors = floors
        self._columns = np.flatnonzero(self._is_popular).astype(np.int32)
        self._count = len(self._columns)

    def _floors_now(self, columns: ColumnArrays) -> tuple[float, float, float]:
        each = zip(self._floors, self._epochs, _epochs(columns), strict=True)
        floors = [float(np.ldexp(floor, int(then - now))) for floor, then, now in each]
        return floors[0], floors[1], floors[2]

    def _widen(self, room: int, count: int) -> None:
        if len(self._is_popular) < room:
            longer = np.zeros(room, dtype=np.bool)
            longer[: len(self._is_popular)] = self._is_popular
            self._is_popular = longer
        if len(self._columns) < count:
            columns = np.empty(2 * count, dtype=np.int32)
            columns[: self._count] = self._columns[: self._count]
            self._columns = columns


def _epochs(columns: ColumnArrays) -> list[float]:
    return [0.0, float(columns.totals[EPOCH]), float(columns.totals[STARTS_EPOCH])]


def _scratch(room: int) -> Scratch:
    return Scratch(
        np.empty(room),
        np.zeros(room, dtype=np.int64),
        np.empty(room, dtype=np.int32),
        np.zeros(1, dtype=np.int64),
    )
