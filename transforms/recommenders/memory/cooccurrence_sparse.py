"""How often each item occurs with each other one: the heaviest entries of each."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from transforms.recommenders.memory.cooccurrence import DenseCounts
from transforms.recommenders.memory.cooccurrence_rows import CountRows, Rows, of_items
from transforms.recommenders.memory.habits import Habits
from transforms.recommenders.memory.histories import Histories
from transforms.recommenders.memory.item_columns import ItemColumns
from transforms.recommenders.memory.item_statistics import ItemStatistics
from transforms.recommenders.memory.popular_items import PopularItems
from transforms.recommenders.memory.ragged import RaggedRows
from transforms.recommenders.minibatch import Minibatch, TopNLists
from transforms.recommenders.numerics import (
    cooccurrence_one_score,
    cooccurrence_sparse_learning,
    cooccurrence_sparse_lists,
)
from transforms.recommenders.numerics.cooccurrence_arrays import (
    ColumnArrays,
    Constants,
    Positives,
    RowArrays,
    UpdateLog,
)
from transforms.recommenders.numerics.habit_arrays import Mixture, TransitionArrays


class SparseCounts:
    """Rows of at most `2 * neighbors` entries.

    A row that is full is cut back to its `neighbors` heaviest entries, of equal ones those
    that came first; so a newcomer has as many additions' time to prove itself, and a cut is
    paid for by them.

    Args:
        neighbors: See above.
        columns: The items, and which of them are listed here.
        counts: As they are now.

    Attributes:
        entries: A row for each item, with a column for each item that is listed here.
        elsewhere: A row for each item that is listed elsewhere, of those with lower numbers;
            without rows if they are not kept.
    """

    def __init__(self, neighbors: int, columns: ItemColumns, counts: CountRows) -> None:
        self._neighbors = neighbors
        self._columns = columns
        self._keeps_elsewhere = counts.elsewhere is not None
        self.entries = RaggedRows(np.float32)
        self.elsewhere = RaggedRows(np.float32)
        self._popular = PopularItems()
        ends, ids, weights = counts.listed
        self.entries.load(ends, columns.of[ids], weights)
        if counts.elsewhere is not None:
            ends, ids, weights = counts.elsewhere
            self.elsewhere.load(ends[columns.elsewhere()], -1 - columns.of[ids], weights)

    def make_room(self) -> None:
        """Makes room for all items; one that is new occurs with no other yet."""
        while self.entries.n < self._columns.n:
            self.entries.add_row()
        while self._keeps_elsewhere and self.elsewhere.n < self._columns.n_elsewhere:
            self.elsewhere.add_row()

    def rows(self) -> CountRows:
        """Returns the entries, a row's in the order in which they came."""
        ends, columns, weights = self.entries.packed()
        listed = Rows(ends, self._columns.items[columns], weights)
        if not self._keeps_elsewhere:
            return CountRows(listed, None)
        return CountRows(listed, of_items(Rows(*self.elsewhere.packed()), self._columns))

    def cut_or_widen(self, entries: RaggedRows, row: int) -> None:
        """Makes room for at least one more entry in a full row."""
        most = 2 * self._neighbors
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
        histories: Histories,
        items: ItemStatistics,
        habits: Habits,
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
        step = 0
        while True:
            learned, full, step = cooccurrence_sparse_learning.learn_sparse(
                self._arrays(self.entries),
                self._arrays(self.elsewhere),
                histories.arrays,
                items.arrays,
                items.column_arrays,
                habits.arrays(items.n),
                constants,
                batch,
                with_repeats,
                log,
                mixture,
                step,
            )
            if learned:
                self._popular.follow(items.column_arrays, batch.items[:learned])
                return int(learned)
            if full >= 0:
                self.cut_or_widen(self.entries, full)
            else:
                self.cut_or_widen(self.elsewhere, -2 - full)

    def _arrays(self, rows: RaggedRows) -> RowArrays:
        most = 2 * self._neighbors
        return RowArrays(rows.ids, rows.values, rows.starts, rows.sizes, rows.room, rows.free, most)

    def score(
        self,
        transitions: TransitionArrays,
        columns: ColumnArrays,
        mixture: Mixture,
        slot: int,
        scores: NDArray[np.float64],
    ) -> None:
        """Fills the score of each item that is listed here, see `score_sparse`."""
        rows = self._arrays(self.entries)
        cooccurrence_sparse_lists.score_sparse(rows, transitions, columns, mixture, slot, scores)

    def counts_of(
        self, columns: ColumnArrays, others: NDArray[np.int32], item: int
    ) -> NDArray[np.float32]:
        """Does what `DenseCounts.counts_of` does."""
        counts = np.empty(len(others), dtype=np.float32)
        entries, elsewhere = self._arrays(self.entries), self._arrays(self.elsewhere)
        cooccurrence_one_score.counts_sparse(entries, elsewhere, columns, others, item, counts)
        return counts

    def top_n_after_each(
        self,
        batch: Minibatch,
        transitions: TransitionArrays,
        columns: ColumnArrays,
        constants: Constants,
        log: UpdateLog,
        mixture: Mixture,
        lists: TopNLists,
    ) -> None:
        """Fills the lists as of each listed positive that was just learned, see the kernel."""
        cooccurrence_sparse_lists.top_n_after_each_sparse(
            self._arrays(self.entries),
            transitions,
            columns,
            constants,
            batch.items,
            self._columns.among_first(batch.item_counts),
            batch.listed,
            log,
            mixture,
            self._popular.arrays(columns, self._columns.n_listed),
            self._popular.scratch(columns),
            batch.excluded,
            batch.excluded_ends,
            *lists,
        )

    def best_items(
        self,
        transitions: TransitionArrays,
        columns: ColumnArrays,
        mixture: Mixture,
        slot: int,
        excluded: NDArray[np.int32],
        n: int,
    ) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
        """Returns the `n` best items, best first, and their scores, see `top_n_sparse`."""
        n_column = self._columns.n_listed
        best, scores = np.empty(n, dtype=np.int32), np.empty(n)
        count = cooccurrence_sparse_lists.top_n_sparse(
            self._arrays(self.entries),
            transitions,
            columns,
            mixture,
            slot,
            self._popular.arrays(columns, n_column),
            self._popular.scratch(columns),
            np.empty(n_column),
            excluded,
            best,
            scores,
        )
        return best[:count], scores[:count]


def in_memory(
    counts: CountRows, columns: ItemColumns, neighbors: int
) -> DenseCounts | SparseCounts:
    """Returns counts as a matrix if there are no more items than `neighbors`, else as rows."""
    if columns.n <= neighbors:
        return DenseCounts(columns, counts)
    return SparseCounts(neighbors, columns, counts)
