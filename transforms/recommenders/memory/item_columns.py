"""Which items a recommender lists: all of them, or those of its item shard."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from transforms.recommenders.arrays import Arrays, SavedArrays
from transforms.recommenders.memory.growable import GrowableRows


class ItemColumns:
    """Numbers the items that are listed here, and the others, each in the order of all items.

    Attributes:
        n: How many items there are.
    """

    def __init__(self) -> None:
        self._of = GrowableRows(dtype=np.int32)
        self._items = GrowableRows(dtype=np.int32)

    @property
    def n(self) -> int:
        """How many items there are."""
        return self._of.n

    @property
    def n_listed(self) -> int:
        """How many of them are listed here."""
        return self._items.n

    @property
    def n_elsewhere(self) -> int:
        """How many of them are listed elsewhere."""
        return self.n - self.n_listed

    @property
    def of(self) -> NDArray[np.int32]:
        """Column of each item; `-1 - number` of one listed elsewhere. Shape (n or more,)."""
        return self._of.rows

    @property
    def items(self) -> NDArray[np.int32]:
        """Item of each column, ascending, shape (n_listed or more,)."""
        return self._items.rows

    def listed(self) -> NDArray[np.int32]:
        """Returns the items that are listed here, ascending."""
        return self._items.used()

    def elsewhere(self) -> NDArray[np.intp]:
        """Returns the items that are listed elsewhere, ascending."""
        return np.flatnonzero(self._of.used() < 0)

    def add(self, *, listed: bool) -> None:
        """Adds the item with index `n`."""
        item, elsewhere = self.n, self.n_elsewhere
        self._of.add()
        if listed:
            self._of.rows[item] = self.n_listed
            self._items.add()
            self._items.rows[self.n_listed - 1] = item
        else:
            self._of.rows[item] = -1 - elsewhere

    def among_first(self, counts: NDArray[np.int32]) -> NDArray[np.int64]:
        """Returns how many of the first so many items are listed here."""
        return np.searchsorted(self.listed(), counts).astype(np.int64)

    def hide_elsewhere(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Makes the scores of items that are listed elsewhere minus infinity, shape (n,)."""
        if self.n_elsewhere:
            scores[self.elsewhere()] = -np.inf
        return scores

    def columns_of(self, items: NDArray[np.int32]) -> NDArray[np.int32]:
        """Returns the columns of those of several items that are listed here."""
        columns = self.of[items]
        return columns[columns >= 0]

    def by_item(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Returns scores by column as scores by item, minus infinity for what is elsewhere."""
        if not self.n_elsewhere:
            return scores
        of_items = np.full(self.n, -np.inf)
        of_items[self.listed()] = scores
        return of_items

    def keep(self, kept: NDArray[np.intp]) -> None:
        """Drops all items but these, ascending; item `kept[j]` becomes `j`."""
        self.load(self._of.rows[kept] >= 0)

    def state_dict(self) -> Arrays:
        """Returns `listed`, a bool for each item; nothing where all are listed."""
        return {"listed": self._of.used() >= 0} if self.n_elsewhere else {}

    def load_state_dict(self, arrays: SavedArrays, n_item: int, *, sharded: bool) -> None:
        """Takes over what `state_dict` returned.

        Args:
            arrays: Where it is.
            n_item: How many items there are.
            sharded: Whether there may be items that are listed elsewhere.

        Raises:
            IncompatibleModelError: It is damaged.
        """
        every = not sharded or not arrays.has("listed")
        self.load(
            np.ones(n_item, dtype=np.bool)
            if every
            else arrays.numbers("listed", np.bool, (n_item,))
        )

    def load(self, listed: NDArray[np.bool]) -> None:
        """Replaces all items by these, given whether each is listed here."""
        columns = np.cumsum(listed) - 1
        numbers = np.cumsum(~listed, dtype=np.int64)
        self._of.load(np.where(listed, columns, 0 - numbers).astype(np.int32))
        self._items.load(np.flatnonzero(listed).astype(np.int32))
