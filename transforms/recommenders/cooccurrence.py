"""How much each item goes with each other one: a square matrix, or its heaviest entries.

Both kinds hold float32 and add in the same order, so that they agree to the bit as long as no
entry was dropped, and so that numba and numpy agree.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from transforms.recommenders import compiled
from transforms.recommenders.forgetting import renumbered

_FIRST_ROOM: Final = 8


class Rows(NamedTuple):
    """A matrix as rows end to end.

    Attributes:
        ends: Where each row ends, shape (n,).
        ids: The column of each entry.
        weights: Its value.
    """

    ends: NDArray[np.int64]
    ids: NDArray[np.int32]
    weights: NDArray[np.float32]

    def keep(self, kept: NDArray[np.intp]) -> Rows:
        """Returns these rows and columns alone, ascending; `kept[j]` becomes `j`."""
        n = len(self.ends)
        sizes = np.diff(self.ends, prepend=0)
        row = renumbered(np.repeat(np.arange(n, dtype=np.int32), sizes), kept, n)
        column = renumbered(self.ids, kept, n)
        stay = (row >= 0) & (column >= 0)
        ends = np.cumsum(np.bincount(row[stay], minlength=len(kept)))
        return Rows(ends, column[stay], self.weights[stay])


class DenseCounts:
    """A square matrix that grows by doubling."""

    def __init__(self, rows: Rows | None = None) -> None:
        self.n = 0 if rows is None else len(rows.ends)
        self._counts = np.zeros((self.n, self.n), dtype=np.float32)
        if rows is not None:
            sizes = np.diff(rows.ends, prepend=0)
            self._counts[np.repeat(np.arange(self.n), sizes), rows.ids] = rows.weights

    def add_item(self) -> None:
        """Adds an item that goes with no other yet."""
        if self.n == len(self._counts):
            counts = np.zeros((max(64, 2 * self.n),) * 2, dtype=np.float32)
            counts[: self.n, : self.n] = self._counts
            self._counts = counts
        self.n += 1

    def add(self, history: NDArray[np.int32], weights: NDArray[np.float32], item: int) -> None:
        """Adds to what an item and each of others have in common.

        Args:
            history: The others, each once, the newest last, without the item.
            weights: What to add, from the newest on; there may be more than needed.
            item: The item.
        """
        if compiled.AVAILABLE:
            compiled.add_dense(self._counts, history, weights, item)
            return
        added = weights[: len(history)][::-1]
        self._counts[history, item] += added
        self._counts[item, history] += added

    def sum(
        self, rows: NDArray[np.int32], factors: NDArray[np.float64], scores: NDArray[np.float64]
    ) -> None:
        """Adds `factors[a]` times row `rows[a]`, in the order of a, to `scores`, shape (n,)."""
        if compiled.AVAILABLE:
            compiled.sum_dense(self._counts, rows, factors, scores)
            return
        for row, factor in zip(rows.tolist(), factors, strict=True):
            scores += factor * self._counts[row, : self.n]

    def rows(self) -> Rows:
        """Returns all entries that are not zero."""
        counts = self._counts[: self.n, : self.n]
        row, column = np.nonzero(counts)
        ends = np.cumsum(np.bincount(row, minlength=self.n))
        return Rows(ends, column.astype(np.int32), counts[row, column])


class SparseCounts:
    """Rows of at most `2 * neighbours` entries.

    A row that is full is cut back to its `neighbours` heaviest entries, of equal ones those
    that came first; so a newcomer has as many additions' time to prove itself, and a cut is
    paid for by them.
    """

    def __init__(self, neighbours: int, rows: Rows) -> None:
        self._neighbours = neighbours
        self.n = len(rows.ends)
        sizes = np.diff(rows.ends, prepend=0)
        room = np.minimum(2 * neighbours, np.maximum(_FIRST_ROOM, 2 * sizes))
        self._sizes = sizes.astype(np.int32)
        self._room = room.astype(np.int32)
        self._starts: NDArray[np.int64]
        self._lay_out(rows.ids, rows.weights, rows.ends - sizes)

    def add_item(self) -> None:
        """Adds an item that goes with no other yet."""
        if self.n == len(self._sizes):
            more = max(64, self.n)
            self._sizes = np.concatenate([self._sizes, np.zeros(more, dtype=np.int32)])
            self._room = np.concatenate([self._room, np.zeros(more, dtype=np.int32)])
            self._starts = np.concatenate([self._starts, np.zeros(more, dtype=np.int64)])
        self.n += 1

    def add(self, history: NDArray[np.int32], weights: NDArray[np.float32], item: int) -> None:
        """Does what `DenseCounts.add` does."""
        done = 0
        while True:
            done = self._add_from(done, history, weights, item)
            if done == 2 * len(history):
                return
            self._make_room(item if done % 2 else int(history[len(history) - 1 - done // 2]))

    def sum(
        self, rows: NDArray[np.int32], factors: NDArray[np.float64], scores: NDArray[np.float64]
    ) -> None:
        """Does what `DenseCounts.sum` does."""
        if compiled.AVAILABLE:
            compiled.sum_sparse(
                self._ids, self._weights, self._starts, self._sizes, rows, factors, scores
            )
            return
        for row, factor in zip(rows.tolist(), factors, strict=True):
            start = self._starts[row]
            end = start + self._sizes[row]
            scores[self._ids[start:end]] += factor * self._weights[start:end]

    def rows(self) -> Rows:
        """Returns the entries, a row's in the order in which they came."""
        sizes = self._sizes[: self.n].astype(np.int64)
        places = _places(self._starts[: self.n], sizes)
        return Rows(np.cumsum(sizes), self._ids[places], self._weights[places])

    def _add_from(
        self, first: int, history: NDArray[np.int32], weights: NDArray[np.float32], item: int
    ) -> int:
        add = compiled.add_sparse if compiled.AVAILABLE else _add_sparse
        return add(
            self._ids,
            self._weights,
            self._starts,
            self._sizes,
            self._room,
            history,
            weights,
            item,
            first,
        )

    def _make_room(self, row: int) -> None:
        room, size, start = int(self._room[row]), int(self._sizes[row]), int(self._starts[row])
        if room == 2 * self._neighbours:
            order = np.argsort(-self._weights[start : start + size], kind="stable")
            heaviest = start + np.sort(order[: self._neighbours])
            self._ids[start : start + self._neighbours] = self._ids[heaviest]
            self._weights[start : start + self._neighbours] = self._weights[heaviest]
            self._sizes[row] = self._neighbours
            return
        wider = min(2 * self._neighbours, max(_FIRST_ROOM, 2 * room))
        self._room[row] = wider
        if self._free + wider > len(self._ids):
            self._lay_out(self._ids, self._weights, self._starts)
            return
        self._starts[row] = moved = self._free
        self._free += wider
        self._ids[moved : moved + size] = self._ids[start : start + size]
        self._weights[moved : moved + size] = self._weights[start : start + size]

    def _lay_out(
        self,
        ids: NDArray[np.int32],
        weights: NDArray[np.float32],
        starts: NDArray[np.int64],
    ) -> None:
        """Gives each row its room in new arrays half of which are free."""
        ends = np.cumsum(self._room, dtype=np.int64)
        self._free = int(ends[-1]) if len(ends) else 0
        self._starts = ends - self._room
        capacity = 2 * max(self._free, self._neighbours)
        old = _places(starts, self._sizes)
        new = _places(self._starts, self._sizes)
        self._ids = np.zeros(capacity, dtype=np.int32)
        self._weights = np.zeros(capacity, dtype=np.float32)
        self._ids[new] = ids[old]
        self._weights[new] = weights[old]


def _places(starts: NDArray[np.int64], sizes: NDArray[np.integer]) -> NDArray[np.int64]:
    """Returns the places of all entries of rows that have gaps between them."""
    before = np.cumsum(sizes, dtype=np.int64) - sizes
    return np.repeat(starts - before, sizes) + np.arange(int(sizes.sum()))


def _add_sparse(
    ids: NDArray[np.int32],
    weights: NDArray[np.float32],
    starts: NDArray[np.int64],
    sizes: NDArray[np.int32],
    room: NDArray[np.int32],
    history: NDArray[np.int32],
    gap_weights: NDArray[np.float32],
    item: int,
    first: int,
) -> int:
    """Does what `compiled.add_sparse` does, with numpy."""
    newest = len(history) - 1
    for step in range(first, 2 * len(history)):
        gap, half = divmod(step, 2)
        other = int(history[newest - gap])
        row, entry = (item, other) if half else (other, item)
        start, size = int(starts[row]), int(sizes[row])
        found = np.flatnonzero(ids[start : start + size] == entry)
        if len(found):
            place = start + int(found[0])
        elif size == room[row]:
            return step
        else:
            place = start + size
            ids[place] = entry
            weights[place] = 0.0
            sizes[row] += 1
        weights[place] += gap_weights[gap]
    return 2 * len(history)
