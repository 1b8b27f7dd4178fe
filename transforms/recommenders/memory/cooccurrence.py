"""How often each item occurs with each other one: a square matrix, or its heaviest entries.

Both kinds hold float32 and add in the same order, so they agree to the bit as long as no entry
was dropped.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from transforms.recommenders.memory.eviction import renumbered
from transforms.recommenders.memory.ragged import RaggedRows
from transforms.recommenders.minibatch import Minibatch, TopNLists
from transforms.recommenders.numerics import cooccurrence_learning, cooccurrence_lists
from transforms.recommenders.numerics.cooccurrence_arrays import (
    Constants,
    HabitArrays,
    HistoryArrays,
    ItemArrays,
    Mixture,
    Positives,
    UpdateLog,
)


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
    """A square matrix that grows by doubling.

    Attributes:
        n: How many items there are.
        matrix: Shape (capacity, capacity), float32.
    """

    def __init__(self, rows: Rows | None = None) -> None:
        self.n = 0 if rows is None else len(rows.ends)
        self.matrix = np.zeros((self.n, self.n), dtype=np.float32)
        if rows is not None:
            sizes = np.diff(rows.ends, prepend=0)
            self.matrix[np.repeat(np.arange(self.n), sizes), rows.ids] = rows.weights

    def add_item(self) -> None:
        """Adds an item that occurs with no other yet."""
        if self.n == len(self.matrix):
            matrix = np.zeros((max(64, 2 * self.n),) * 2, dtype=np.float32)
            matrix[: self.n, : self.n] = self.matrix
            self.matrix = matrix
        self.n += 1

    def rows(self) -> Rows:
        """Returns all entries that are not zero."""
        counts = self.matrix[: self.n, : self.n]
        row, column = np.nonzero(counts)
        ends = np.cumsum(np.bincount(row, minlength=self.n))
        return Rows(ends, column.astype(np.int32), counts[row, column])

    def learn(
        self,
        batch: Positives,
        histories: HistoryArrays,
        items: ItemArrays,
        habits: HabitArrays,
        constants: Constants,
        log: UpdateLog,
        mixture: Mixture,
        *,
        with_repeats: bool,
    ) -> int:
        """Learns positives in order, and all else that a positive changes, see `learn_dense`.

        Returns:
            How many were learned, at least one.
        """
        cooccurrence_learning.learn_dense(
            self.matrix, histories, items, habits, constants, batch, with_repeats, log, mixture
        )
        return len(batch.users)

    def score(
        self,
        items: ItemArrays,
        mixture: Mixture,
        slot: int,
        scores: NDArray[np.float64],
        *,
        with_repeats: bool,
    ) -> None:
        """Fills the score of each item, see `score_dense`."""
        cooccurrence_lists.score_dense(self.matrix, items, mixture, slot, with_repeats, scores)

    def top_n_after_each(
        self,
        batch: Minibatch,
        items: ItemArrays,
        constants: Constants,
        log: UpdateLog,
        mixture: Mixture,
        excluded: NDArray[np.int32],
        ends: NDArray[np.int64],
        lists: TopNLists,
        *,
        with_repeats: bool,
    ) -> None:
        """Fills the lists as of each listed positive that was just learned, see the kernel."""
        cooccurrence_lists.top_n_after_each_dense(
            self.matrix,
            items,
            constants,
            batch.items,
            batch.item_counts,
            batch.listed,
            with_repeats,
            log,
            mixture,
            excluded,
            ends,
            *lists,
        )


class SparseCounts:
    """Rows of at most `2 * neighbors` entries.

    A row that is full is cut back to its `neighbors` heaviest entries, of equal ones those
    that came first; so a newcomer has as many additions' time to prove itself, and a cut is
    paid for by them.

    Attributes:
        entries: A row for each item.
    """

    def __init__(self, neighbors: int, rows: Rows) -> None:
        self._neighbors = neighbors
        self.entries = RaggedRows(np.float32)
        self.entries.load(*rows)

    def add_item(self) -> None:
        """Adds an item that occurs with no other yet."""
        self.entries.add_row()

    def rows(self) -> Rows:
        """Returns the entries, a row's in the order in which they came."""
        return Rows(*self.entries.packed())

    def make_room(self, row: int) -> None:
        """Makes room for at least one more entry in a full row."""
        entries, most = self.entries, 2 * self._neighbors
        if entries.room[row] < most:
            entries.widen(row, most)
            return
        ids, weights = entries.row(row), entries.row_values(row)
        order = np.argsort(-weights, kind="stable")
        heaviest = np.sort(order[: self._neighbors])
        ids[: self._neighbors] = ids[heaviest]
        weights[: self._neighbors] = weights[heaviest]
        entries.sizes[row] = self._neighbors

    def learn(
        self,
        batch: Positives,
        histories: HistoryArrays,
        items: ItemArrays,
        habits: HabitArrays,
        constants: Constants,
        log: UpdateLog,
        mixture: Mixture,
        *,
        with_repeats: bool,
    ) -> int:
        """Learns positives in order, up to the first that needs room, see `learn_sparse`.

        Returns:
            How many were learned, at least one.
        """
        rows, step = self.entries, 0
        while True:
            learned, full, step = cooccurrence_learning.learn_sparse(
                rows.ids,
                rows.values,
                rows.starts,
                rows.sizes,
                rows.room,
                histories,
                items,
                habits,
                constants,
                batch,
                with_repeats,
                log,
                mixture,
                step,
            )
            if learned:
                return learned
            self.make_room(full)

    def score(
        self,
        items: ItemArrays,
        mixture: Mixture,
        slot: int,
        scores: NDArray[np.float64],
        *,
        with_repeats: bool,
    ) -> None:
        """Fills the score of each item, see `score_sparse`."""
        rows = self.entries
        cooccurrence_lists.score_sparse(
            rows.ids,
            rows.values,
            rows.starts,
            rows.sizes,
            items,
            mixture,
            slot,
            with_repeats,
            scores,
        )

    def top_n_after_each(
        self,
        batch: Minibatch,
        items: ItemArrays,
        constants: Constants,
        log: UpdateLog,
        mixture: Mixture,
        excluded: NDArray[np.int32],
        ends: NDArray[np.int64],
        lists: TopNLists,
        *,
        with_repeats: bool,
    ) -> None:
        """Does what `DenseCounts.top_n_after_each` does."""
        rows = self.entries
        cooccurrence_lists.top_n_after_each_sparse(
            rows.ids,
            rows.values,
            rows.starts,
            rows.sizes,
            items,
            constants,
            batch.items,
            batch.item_counts,
            batch.listed,
            with_repeats,
            log,
            mixture,
            excluded,
            ends,
            *lists,
        )
