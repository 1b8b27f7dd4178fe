"""Co-occurrence counts as rows end to end: how they are saved, and how items are dropped."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from transforms.recommenders.arrays import Arrays, SavedArrays
from transforms.recommenders.memory.eviction import renumbered
from transforms.recommenders.memory.item_columns import ItemColumns


class Rows(NamedTuple):
    """A matrix as rows end to end.

    Attributes:
        ends: Where each row ends, shape (n_item,).
        ids: The item of each entry.
        weights: Its value.
    """

    ends: NDArray[np.int64]
    ids: NDArray[np.int32]
    weights: NDArray[np.float32]

    def keep(self, kept: NDArray[np.intp]) -> Rows:
        """Returns these rows and columns alone, ascending; `kept[j]` becomes `j`."""
        n = len(self.ends)
        row = renumbered(self.row_of_each().astype(np.int32), kept, n)
        column = renumbered(self.ids, kept, n)
        stay = (row >= 0) & (column >= 0)
        ends = np.cumsum(np.bincount(row[stay], minlength=len(kept)))
        return Rows(ends, column[stay], self.weights[stay])

    def row_of_each(self) -> NDArray[np.intp]:
        """Returns the row of each entry."""
        return np.repeat(np.arange(len(self.ends)), np.diff(self.ends, prepend=0))


_NO_ROWS: Final = Rows(np.zeros(0, np.int64), np.zeros(0, np.int32), np.zeros(0, np.float32))


class CountRows(NamedTuple):
    """All counts that are kept.

    Attributes:
        listed: A row for each item, with entries for the items that are listed here.
        elsewhere: The counts of two items that are both listed elsewhere, in the row of the
            higher one; None if they are not kept.
    """

    listed: Rows
    elsewhere: Rows | None

    def keep(self, kept: NDArray[np.intp]) -> CountRows:
        """Returns the counts of these items alone."""
        elsewhere = None if self.elsewhere is None else self.elsewhere.keep(kept)
        return CountRows(self.listed.keep(kept), elsewhere)

    def state_dict(self) -> Arrays:
        """Returns the rows by name."""
        parts = {"counts": self.listed, "elsewhere": self.elsewhere}
        return {
            f"{name}.{field}": array
            for name, rows in parts.items()
            if rows is not None
            for field, array in rows._asdict().items()
        }


NO_COUNTS: Final = CountRows(_NO_ROWS, None)
"""Of no items, where counts of items that are listed elsewhere are not kept."""

NO_COUNTS_OF_PAIRS: Final = CountRows(_NO_ROWS, _NO_ROWS)
"""Of no items, where they are."""


def load_counts(
    arrays: SavedArrays, columns: ItemColumns, neighbors: int, *, with_elsewhere: bool
) -> CountRows:
    """Returns what `CountRows.state_dict` returned.

    Args:
        arrays: Where it is.
        columns: Which items are listed here.
        neighbors: Beyond so many items a row has at most twice as many entries.
        with_elsewhere: Whether counts of items that are listed elsewhere have to be there.

    Raises:
        IncompatibleModelError: An array is missing or damaged, or a row is longer.
    """
    n, of = columns.n, columns.of
    longest = n if n <= neighbors else 2 * neighbors
    rows = _load_rows(arrays, "counts", n, longest)
    listed = (of[rows.ids] >= 0).all()
    arrays.require(listed, "counts.ids", "has an item that is listed elsewhere")
    if not with_elsewhere:
        return CountRows(rows, None)
    arrays.require(
        arrays.has("elsewhere.ends"),
        "elsewhere.ends",
        "is missing: it was saved by an item shard that neither is evaluated nor lists repeats",
    )
    elsewhere = _load_rows(arrays, "elsewhere", n, longest)
    row = elsewhere.row_of_each()
    fits = (elsewhere.ids < row) & (of[row] < 0) & (of[elsewhere.ids] < 0)
    arrays.require(fits.all(), "elsewhere.ids", "has items that are no pair listed elsewhere")
    return CountRows(rows, elsewhere)


def _load_rows(arrays: SavedArrays, name: str, n: int, longest: int) -> Rows:
    ends, ids = arrays.rows(name, n, n)
    weights = arrays.finite(f"{name}.weights", (len(ids),), np.float32)
    arrays.require((weights >= 0).all(), f"{name}.weights", "has a count below 0")
    fits = np.diff(ends, prepend=0).max(initial=0) <= longest
    arrays.require(fits, f"{name}.ends", f"has a row of more than {longest} items")
    return Rows(ends, ids, weights)


def of_items(elsewhere: Rows, columns: ItemColumns) -> Rows:
    """Returns rows by number among the items that are listed elsewhere as rows by item."""
    items = columns.elsewhere()
    sizes = np.zeros(columns.n, dtype=np.int64)
    sizes[items] = np.diff(elsewhere.ends, prepend=0)
    ids = items[elsewhere.ids].astype(np.int32)
    return Rows(np.cumsum(sizes), ids, elsewhere.weights)
