"""Which item was chosen right after which, seen from both."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from transforms.recommenders.arrays import Arrays, SavedArrays
from transforms.recommenders.memory.cooccurrence_rows import Rows
from transforms.recommenders.memory.ragged import RaggedRows
from transforms.recommenders.numerics.habit_arrays import TransitionArrays

_MOST: Final = 64


class Transitions:
    """For each item those that came right after or before it, and how often; at most 64.

    Args:
        neighbors: An item has at most so many, too.
    """

    def __init__(self, neighbors: int) -> None:
        self._most = min(neighbors, _MOST)
        self._rows = RaggedRows(np.float32, 2)

    @property
    def arrays(self) -> TransitionArrays:
        """For kernels, until a row needs room."""
        rows = self._rows
        return TransitionArrays(rows.ids, rows.values, rows.starts, rows.sizes, self._most)

    def add_item(self) -> None:
        """Adds an item that is next to none yet."""
        self._rows.add_row()

    def reserve(self, items: NDArray[np.int32]) -> None:
        """Makes room for one more entry in an item's row each time that it is among `items`."""
        self._rows.reserve(items, self._most)

    def reserve_one(self, item: int) -> None:
        """Makes room for one more entry in an item's row."""
        self._rows.reserve_one(item, self._most)

    def keep_items(self, kept: NDArray[np.intp]) -> None:
        """Drops all items but these."""
        self._rows.load(*Rows(*self._rows.packed()).keep(kept))

    def state_dict(self) -> Arrays:
        """Returns rows end to end; counts have shape (entries, 2)."""
        ends, ids, counts = self._rows.packed()
        return {"next.ends": ends, "next.ids": ids, "next.counts": counts}

    def load_state_dict(self, arrays: SavedArrays, n_item: int) -> None:
        """Takes over what `state_dict` returned.

        Raises:
            IncompatibleModelError: An array is missing or damaged, or a row is too long.
        """
        ends, ids = arrays.rows("next", n_item, n_item)
        counts = arrays.counts("next.counts", (len(ids), 2), np.float32)
        fits = np.diff(ends, prepend=0).max(initial=0) <= self._most
        arrays.require(fits, "next.ends", f"has a row of more than {self._most} items")
        self._rows.load(ends, ids, counts)
