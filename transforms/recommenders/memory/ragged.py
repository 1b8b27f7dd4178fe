"""Rows of different lengths in one pool, as arrays that kernels read and write in place.

Like `growable`, arrays are replaced when they grow and never resized, so a view of a row that
somebody kept alive is stale but valid memory.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import DTypeLike, NDArray

from transforms.recommenders.memory.eviction import renumbered
from transforms.recommenders.memory.growable import GrowableRows
from transforms.recommenders.numerics.ragged_kernels import FIRST_ROOM, copy_rows, reserve

_FIRST_CAPACITY: Final = 256
_NO_LIMIT: Final = 2**31 - 1


class RaggedRows:
    """Rows of ids, and of a value or several for each id if asked for.

    A row that is full moves to the end of the pool with twice the room. A pool that is full is
    laid out again with half of it free, so appending costs amortized constant time.

    Args:
        values: dtype of the values; None for ids alone.
        each: How many each id has.

    Attributes:
        n: How many rows there are.
        ids: The pool, int32.
        values: The values of `ids`, same shape, or with a column for each where an id has several;
            shape (0,) without values.
        free: The place in the pool from which on it is free, int64, shape (1,).
    """

    def __init__(self, values: DTypeLike | None = None, each: int = 1) -> None:
        self.ids = np.zeros(0, dtype=np.int32)
        shape = 0 if each == 1 else (0, each)
        self.values: NDArray[Any] = np.zeros(shape, dtype=np.float32 if values is None else values)
        self._has_values = values is not None
        self._each = 0 if values is None else each
        self._starts = GrowableRows(dtype=np.int64)
        self._sizes = GrowableRows(dtype=np.int32)
        self._room = GrowableRows(dtype=np.int32)
        self.free = np.zeros(1, dtype=np.int64)

    @property
    def n(self) -> int:
        """How many rows there are."""
        return self._starts.n

    @property
    def starts(self) -> NDArray[np.int64]:
        """Where each row starts in the pool, shape (n or more,)."""
        return self._starts.rows

    @property
    def sizes(self) -> NDArray[np.int32]:
        """How many entries each row has, shape (n or more,)."""
        return self._sizes.rows

    @property
    def room(self) -> NDArray[np.int32]:
        """How many entries each row can have before `widen`, shape (n or more,)."""
        return self._room.rows

    def add_row(self) -> None:
        """Adds an empty row."""
        self._starts.add()
        self._sizes.add()
        self._room.add()

    def row(self, index: int) -> NDArray[np.int32]:
        """Returns a row's ids as a view."""
        start = self._starts.rows[index]
        return self.ids[start : start + self._sizes.rows[index]]

    def row_values(self, index: int) -> NDArray[Any]:
        """Returns a row's values as a view."""
        start = self._starts.rows[index]
        return self.values[start : start + self._sizes.rows[index]]

    def widen(self, index: int, most: int | None = None) -> None:
        """Makes room for at least one more entry in a full row.

        Args:
            index: The row.
            most: The room that a row may have at most; it must have less.
        """
        room, size = int(self.room[index]), int(self.sizes[index])
        wider = max(FIRST_ROOM, 2 * room)
        wider = wider if most is None else min(most, wider)
        if self.free[0] + wider > len(self.ids):
            self.room[index] = wider
            self._lay_out()
            return
        start, moved = int(self.starts[index]), int(self.free[0])
        self.room[index] = wider
        self.starts[index] = moved
        self.free[0] += wider
        self.ids[moved : moved + size] = self.ids[start : start + size]
        if self._has_values:
            self.values[moved : moved + size] = self.values[start : start + size]

    def reserve(self, rows: NDArray[np.int32], most: int | None = None) -> None:
        """Makes room for one more entry in each of these rows; a row may occur several times.

        Args:
            rows: Shape (m,).
            most: The room that a row may have at most.
        """
        fits = reserve(
            self.ids,
            self.values.reshape(-1),
            self._each,
            self.starts,
            self.sizes,
            self.room,
            self.free,
            rows,
            _NO_LIMIT if most is None else most,
        )
        if not fits:
            self._lay_out()

    def reserve_one(self, index: int, most: int) -> None:
        """Makes room for one more entry in a row, unless it has `most`."""
        if self.sizes[index] == self.room[index] < most:
            self.widen(index, most)

    def append(self, index: int, entry: int, value: float = 0.0) -> None:
        """Adds an entry at the end of a row."""
        size = int(self.sizes[index])
        if size == self.room[index]:
            self.widen(index)
        place = self.starts[index] + size
        self.ids[place] = entry
        if self._has_values:
            self.values[place] = value
        self.sizes[index] += 1

    def keep(self, kept: NDArray[np.intp]) -> None:
        """Drops all rows but these, ascending; row `kept[j]` becomes row `j`."""
        self.load(*self._packed(self.starts[kept], self.sizes[kept]))

    def renumber(self, kept: NDArray[np.intp], n: int) -> None:
        """Drops all entries but those of these ids, ascending; id `kept[j]` becomes `j`.

        Args:
            kept: Ids.
            n: How many ids there were.
        """
        ends, ids, values = self.packed()
        row = np.repeat(np.arange(self.n), np.diff(ends, prepend=0))
        ids = renumbered(ids, kept, n)
        stay = ids >= 0
        ends = np.cumsum(np.bincount(row[stay], minlength=self.n), dtype=np.int64)
        self.load(ends, ids[stay], values[stay] if self._has_values else values)

    def packed(self) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[Any]]:
        """Returns where each row ends, and ids and values of all rows end to end, as copies."""
        return self._packed(self._starts.used(), self._sizes.used())

    def _packed(
        self, starts: NDArray[np.int64], sizes: NDArray[np.int32]
    ) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[Any]]:
        """Returns what `packed` does of the rows of these starts and sizes."""
        ends = np.cumsum(sizes, dtype=np.int64)
        count = int(ends[-1]) if len(ends) else 0
        ids, values = self._copied(starts, sizes, ends - sizes, count)
        return ends, ids, values

    def _copied(
        self,
        starts: NDArray[np.int64],
        sizes: NDArray[np.int32],
        new_starts: NDArray[np.int64],
        capacity: int,
    ) -> tuple[NDArray[np.int32], NDArray[Any]]:
        """Returns rows in a pool of their own, where each starts at its new start."""
        ids = np.zeros(capacity, dtype=np.int32)
        values = self.values
        if self._has_values:
            values = np.zeros((capacity, *values.shape[1:]), dtype=values.dtype)
        old, new = self.values.reshape(-1), values.reshape(-1)
        copy_rows(self.ids, old, self._each, starts, sizes, ids, new, new_starts)
        return ids, values

    def load(
        self,
        ends: NDArray[np.int64],
        ids: NDArray[np.int32],
        values: NDArray[Any] | None = None,
    ) -> None:
        """Replaces all rows by what `packed` returned."""
        sizes = np.diff(ends, prepend=0)
        self._starts.load(ends - sizes)
        self._sizes.load(sizes)
        self._room.load(np.where(sizes == 0, 0, np.maximum(FIRST_ROOM, sizes)))
        self.ids = ids
        if values is not None:
            self.values = values.astype(self.values.dtype)
        self._lay_out()

    def _lay_out(self) -> None:
        """Gives each row its room in new arrays half of which are free."""
        ends = np.cumsum(self._room.used(), dtype=np.int64)
        self.free[0] = ends[-1] if len(ends) else 0
        starts = ends - self._room.used()
        capacity = max(_FIRST_CAPACITY, 2 * int(self.free[0]))
        sizes = self._sizes.used()
        self.ids, self.values = self._copied(self._starts.used(), sizes, starts, capacity)
        self._starts.load(starts)
