"""What `ItemKNN` knows of each item by itself."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from transforms.recommenders.arrays import Arrays, SavedArrays
from transforms.recommenders.memory.growable import GrowableRows
from transforms.recommenders.memory.item_columns import ItemColumns
from transforms.recommenders.numerics.cooccurrence_arrays import (
    EPOCH,
    POSITIVES,
    RECENT_TOTAL,
    STARTS,
    STARTS_EPOCH,
    STARTS_TOTAL,
    TOTAL,
    ColumnArrays,
    ItemArrays,
)

RECENT_HALF_LIFE: Final = 1000
"""Half-life of recent popularity, in positives, and of what histories begin with, in histories."""

_FORGOTTEN: Final = 1e-200
_LISTED: Final = ("chosen", "norms", "recent", "starts")
_SAVED: Final = ("chosen", "recent", "starts", "degrees", "left", "same", "followed", "preceded")

_FADING: Final = (
    ("recent", RECENT_TOTAL, POSITIVES, EPOCH),
    ("starts", STARTS_TOTAL, STARTS, STARTS_EPOCH),
)
"""What has a half-life: its name, and where its sum, its count and its unit are in `totals`."""


class ItemStatistics:
    """Numbers for each item, in arrays that double.

    `recent` and `starts` are in units that grow with time: a positive adds more the later it
    comes, and all is scaled down now and then. Scales are powers of two, so digits do not depend
    on when that is done.

    An item shard has the numbers of all items, and once more by column those that lists are made
    from, so that a list reads memory in order.

    Args:
        shrinkage: See `ItemKNN`.

    Attributes:
        n: How many items there are.
        arrays: For kernels.
        columns: Which of the items are listed here.
    """

    n: int
    arrays: ItemArrays

    def __init__(self, shrinkage: float) -> None:
        self._shrinkage = shrinkage
        self.columns = ItemColumns()
        self._of_columns = {name: GrowableRows() for name in _LISTED}
        self._set({name: np.zeros(0) for name in _SAVED}, np.zeros(7))

    @property
    def column_arrays(self) -> ColumnArrays:
        """For kernels, until an item is added."""
        shared = self.columns.of, self.columns.items, self.arrays.totals
        if not self.columns.n_elsewhere:
            return ColumnArrays(*shared, *(getattr(self.arrays, name) for name in _LISTED))
        return ColumnArrays(*shared, *(rows.rows for rows in self._of_columns.values()))

    def add_item(self, *, listed: bool = True) -> None:
        """Adds an item that was never chosen.

        Args:
            listed: Whether it is listed here.
        """
        if self.n == len(self.arrays.chosen):
            more = np.zeros(max(64, self.n))
            columns = self.arrays._asdict()
            totals = columns.pop("totals")
            longer = {name: np.concatenate([one, more]) for name, one in columns.items()}
            self.arrays = ItemArrays(**longer, totals=totals)
        self.arrays.norms[self.n] = 1.0 / np.sqrt(self._shrinkage)
        self.n += 1
        was_whole = not self.columns.n_elsewhere
        self.columns.add(listed=listed)
        if was_whole and not listed:
            self._gather()
        elif listed and not was_whole:
            for name, rows in self._of_columns.items():
                rows.add()
                rows.rows[rows.n - 1] = getattr(self.arrays, name)[self.n - 1]

    def rescale(self) -> None:
        """Changes units for which a half-life has passed; call it every 1,000 positives."""
        passed = [fading for fading in _FADING if self._half_lives(*fading[2:])]
        for name, total, count, epoch in passed:
            values, of_all = self._faded(name, total, count, epoch)
            totals = self.arrays.totals
            totals[epoch] += self._half_lives(count, epoch)
            totals[total] = of_all
            getattr(self.arrays, name)[: self.n] = values
        if passed:
            self._gather()

    def keep(self, kept: NDArray[np.intp]) -> None:
        """Drops all items but these; their degrees stay, as when rows drop entries."""
        self.columns.keep(kept)
        columns = {name: getattr(self.arrays, name)[kept] for name in _SAVED}
        totals = self.arrays.totals
        totals[TOTAL] = columns["chosen"].sum()
        for name, total, _, _ in _FADING:
            totals[total] = columns[name].sum()
        self._set(columns, totals)

    def state_dict(self) -> Arrays:
        """Returns a number for each item by name, and `totals`, shape (5,)."""
        totals = self.arrays.totals
        saved = {name: getattr(self.arrays, name)[: self.n].copy() for name in _SAVED}
        numbers = [totals[TOTAL]]
        for name, total, count, epoch in _FADING:
            saved[name], of_all = self._faded(name, total, count, epoch)
            numbers += [of_all, totals[count]]
        saved["totals"] = np.array(numbers)
        return {**saved, **self.columns.state_dict()}

    def load_state_dict(self, arrays: SavedArrays, n_item: int, *, sharded: bool) -> None:
        """Takes over what `state_dict` returned.

        Args:
            arrays: Where it is.
            n_item: How many items there are.
            sharded: Whether there may be items that are listed elsewhere.

        Raises:
            IncompatibleModelError: An array is missing or damaged.
        """
        columns = {name: arrays.counts(name, (n_item,), np.float64) for name in _SAVED}
        saved = arrays.counts("totals", (5,), np.float64)
        totals = np.zeros(7)
        places = [TOTAL, *(place for _, total, count, _ in _FADING for place in (total, count))]
        totals[places] = saved
        whole = all(totals[count] == np.floor(totals[count]) for _, _, count, _ in _FADING)
        sums = [columns["chosen"].sum(), *(columns[name].sum() for name, *_ in _FADING)]
        of_all = totals[[TOTAL, *(total for _, total, _, _ in _FADING)]]
        fits = whole and np.allclose(of_all, sums, rtol=1e-6, atol=0.0)
        arrays.require(fits, "totals", "does not fit the numbers of its items")
        for _, _, count, epoch in _FADING:
            totals[epoch] = totals[count] // RECENT_HALF_LIFE
        self.columns.load_state_dict(arrays, n_item, sharded=sharded)
        self._set(columns, totals)

    def _half_lives(self, count: int, epoch: int) -> int:
        totals = self.arrays.totals
        return int(totals[count]) // RECENT_HALF_LIFE - int(totals[epoch])

    def _faded(
        self, name: str, total: int, count: int, epoch: int
    ) -> tuple[NDArray[np.float64], float]:
        """Returns what has a half-life, see `_FADING`, and its sum in the unit of now."""
        half_lives = self._half_lives(count, epoch)
        values = np.ldexp(getattr(self.arrays, name)[: self.n], -half_lives)
        values[values < _FORGOTTEN] = 0.0
        return values, float(np.ldexp(self.arrays.totals[total], -half_lives))

    def _set(self, columns: dict[str, NDArray[np.float64]], totals: NDArray[np.float64]) -> None:
        norms = 1.0 / np.sqrt(columns["chosen"] + self._shrinkage)
        self.n = len(norms)
        self.arrays = ItemArrays(**columns, norms=norms, totals=totals)
        self._gather()

    def _gather(self) -> None:
        if self.columns.n_elsewhere:
            for name, rows in self._of_columns.items():
                rows.load(getattr(self.arrays, name)[self.columns.listed()])
