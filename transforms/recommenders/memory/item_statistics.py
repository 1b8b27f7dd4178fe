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
    TOTAL,
    ColumnArrays,
    ItemArrays,
)

RECENT_HALF_LIFE: Final = 1000
"""Half-life of recent popularity, in positives."""

_FORGOTTEN: Final = 1e-200
_LISTED: Final = ("chosen", "norms", "recent")
_SAVED: Final = ("chosen", "recent", "degrees", "left", "same", "followed")


class ItemStatistics:
    """Numbers for each item, in arrays that double.

    `recent` is in units that grow with time: a positive adds more the later it comes, and all is
    scaled down now and then. Scales are powers of two, so digits do not
    depend on when that is done.

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
        self._set({name: np.zeros(0) for name in _SAVED}, np.zeros(4))

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
        """Changes the unit of `recent` if a half-life has passed; call it every 1,000 positives."""
        if self._half_lives():
            self._load_recent(*self._recent())

    def keep(self, kept: NDArray[np.intp]) -> None:
        """Drops all items but these; their degrees stay, as when rows drop entries."""
        self.columns.keep(kept)
        columns = {name: getattr(self.arrays, name)[kept] for name in _SAVED}
        totals = self.arrays.totals
        totals[TOTAL], totals[RECENT_TOTAL] = columns["chosen"].sum(), columns["recent"].sum()
        self._set(columns, totals)

    def state_dict(self) -> Arrays:
        """Returns a number for each item by name, and `totals`, shape (3,)."""
        totals = self.arrays.totals
        saved = {name: getattr(self.arrays, name)[: self.n].copy() for name in _SAVED}
        saved["recent"], recent_total = self._recent()
        saved["totals"] = np.array([totals[TOTAL], recent_total, totals[POSITIVES]])
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
        saved = arrays.counts("totals", (3,), np.float64)
        sums = [columns["chosen"].sum(), columns["recent"].sum()]
        fits = np.allclose(saved[:2], sums, rtol=1e-6, atol=0.0) and saved[2] == np.floor(saved[2])
        arrays.require(fits, "totals", "does not fit the numbers of its items")
        totals = np.array([saved[0], saved[1], saved[2], saved[2] // RECENT_HALF_LIFE])
        self.columns.load_state_dict(arrays, n_item, sharded=sharded)
        self._set(columns, totals)

    def _half_lives(self) -> int:
        totals = self.arrays.totals
        return int(totals[POSITIVES]) // RECENT_HALF_LIFE - int(totals[EPOCH])

    def _recent(self) -> tuple[NDArray[np.float64], float]:
        """Returns `recent` and its sum in the unit of now."""
        half_lives = self._half_lives()
        recent = np.ldexp(self.arrays.recent[: self.n], -half_lives)
        recent[recent < _FORGOTTEN] = 0.0
        return recent, float(np.ldexp(self.arrays.totals[RECENT_TOTAL], -half_lives))

    def _load_recent(self, recent: NDArray[np.float64], total: float) -> None:
        totals = self.arrays.totals
        totals[EPOCH] += self._half_lives()
        totals[RECENT_TOTAL] = total
        self.arrays.recent[: self.n] = recent
        self._gather()

    def _set(self, columns: dict[str, NDArray[np.float64]], totals: NDArray[np.float64]) -> None:
        norms = 1.0 / np.sqrt(columns["chosen"] + self._shrinkage)
        self.n = len(norms)
        self.arrays = ItemArrays(**columns, norms=norms, totals=totals)
        self._gather()

    def _gather(self) -> None:
        if self.columns.n_elsewhere:
            for name, rows in self._of_columns.items():
                rows.load(getattr(self.arrays, name)[self.columns.listed()])
