"""How often each item occurs with each other one, as a matrix.

It holds float32 and adds in the same order as `SparseCounts`, so they agree to the bit as long as
no entry was dropped. In an item shard both have columns for the items that it lists alone.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from transforms.recommenders.memory.cooccurrence_rows import CountRows, Rows, of_items
from transforms.recommenders.memory.habits import Habits
from transforms.recommenders.memory.histories import Histories
from transforms.recommenders.memory.item_columns import ItemColumns
from transforms.recommenders.memory.item_statistics import ItemStatistics
from transforms.recommenders.numerics import (
    cooccurrence_dense_lists,
    cooccurrence_learning,
    cooccurrence_lists,
    cooccurrence_one_score,
)
from transforms.recommenders.numerics.cooccurrence_arrays import (
    ColumnArrays,
    Constants,
    Listing,
    MatrixArrays,
    Positives,
    UpdateLog,
)
from transforms.recommenders.numerics.habit_arrays import Mixture, TransitionArrays


class DenseCounts:
    """A matrix that grows by doubling.

    Args:
        columns: The items, and which of them are listed here.
        counts: As they are now.

    Attributes:
        matrix: Shape (n_item or more, n_column or more), float32.
        elsewhere: The counts of two items that are both listed elsewhere, by their numbers, in
            the row of the higher one; empty if they are not kept.
    """

    def __init__(self, columns: ItemColumns, counts: CountRows) -> None:
        self._columns = columns
        self._keeps_elsewhere = counts.elsewhere is not None
        self.matrix = np.zeros((columns.n, columns.n_listed), dtype=np.float32)
        listed = counts.listed
        self.matrix[listed.row_of_each(), columns.of[listed.ids]] = listed.weights
        self._largest = self.matrix.max(axis=1, initial=0.0)
        self.elsewhere = np.zeros((0, 0), dtype=np.float32)
        if counts.elsewhere is not None:
            rows = counts.elsewhere
            self.elsewhere = np.zeros((columns.n_elsewhere,) * 2, dtype=np.float32)
            numbers = -1 - columns.of
            self.elsewhere[numbers[rows.row_of_each()], numbers[rows.ids]] = rows.weights

    def make_room(self) -> None:
        """Makes room for all items; one that is new occurs with no other yet."""
        columns = self._columns
        self.matrix = _with_room(self.matrix, columns.n, columns.n_listed)
        added = len(self.matrix) - len(self._largest)
        if added:
            self._largest = np.append(self._largest, np.zeros(added, dtype=np.float32))
        if self._keeps_elsewhere:
            self.elsewhere = _with_room(self.elsewhere, columns.n_elsewhere, columns.n_elsewhere)

    def rows(self) -> CountRows:
        """Returns all entries that are not zero."""
        columns = self._columns
        listed = _entries(self.matrix[: columns.n, : columns.n_listed])
        listed = listed._replace(ids=columns.listed()[listed.ids])
        if not self._keeps_elsewhere:
            return CountRows(listed, None)
        elsewhere = _entries(self.elsewhere[: columns.n_elsewhere, : columns.n_elsewhere])
        return CountRows(listed, of_items(elsewhere, columns))

    def learn(
        self,
        batch: Positives,
        histories: Histories,
        items: ItemStatistics,
        habits: Habits,
        constants: Constants,
        log: UpdateLog,
        mixture: Mixture,
        listing: Listing,
        *,
        with_repeats: bool,
    ) -> int:
        """Learns positives in order, all else that a positive changes, and lists.

        See `learn_dense`.

        Returns:
            How many were learned, at least one.
        """
        cooccurrence_learning.learn_dense(
            self.arrays,
            histories.arrays,
            items.arrays,
            items.column_arrays,
            habits.arrays(items.n),
            constants,
            batch,
            with_repeats,
            log,
            mixture,
            listing,
        )
        return len(batch.users)

    def score(
        self,
        transitions: TransitionArrays,
        columns: ColumnArrays,
        mixture: Mixture,
        slot: int,
        scores: NDArray[np.float64],
    ) -> None:
        """Fills the score of each item that is listed here, see `score_dense`."""
        cooccurrence_lists.score_dense(self.matrix, transitions, columns, mixture, slot, scores)

    def counts_of(
        self, columns: ColumnArrays, others: NDArray[np.int32], item: int
    ) -> NDArray[np.float32]:
        """Returns how often an item occurs with each of several others, shape (len(others),)."""
        counts = np.empty(len(others), dtype=np.float32)
        cooccurrence_one_score.counts_dense(
            self.matrix, self.elsewhere, columns, others, item, counts
        )
        return counts

    def list_again(
        self,
        transitions: TransitionArrays,
        columns: ColumnArrays,
        listed: NDArray[np.bool],
        mixture: Mixture,
        listing: Listing,
    ) -> None:
        """Makes lists once more, from the counts as they are now, and drops them."""
        again = listing._replace(
            best=listing.best.copy(),
            best_scores=listing.best_scores.copy(),
            counts=listing.counts.copy(),
        )
        cooccurrence_dense_lists.list_each_dense(
            self.arrays, transitions, columns, listed, mixture, again
        )

    @property
    def arrays(self) -> MatrixArrays:
        """The arrays for kernels."""
        return MatrixArrays(self.matrix, self._largest, self.elsewhere)


def _with_room(matrix: NDArray[np.float32], rows: int, columns: int) -> NDArray[np.float32]:
    """Returns a matrix of at least that shape, zero where it is new."""
    shape = [
        had if needed <= had else max(64, 2 * had, needed)
        for needed, had in zip((rows, columns), matrix.shape, strict=True)
    ]
    if tuple(shape) == matrix.shape:
        return matrix
    wider = np.zeros(shape, dtype=np.float32)
    wider[: matrix.shape[0], : matrix.shape[1]] = matrix
    return wider


def _entries(matrix: NDArray[np.float32]) -> Rows:
    # In half the time of `np.nonzero` of the matrix itself; a snapshot keeps the stream waiting.
    held = matrix != 0
    ends = np.cumsum(np.count_nonzero(held, axis=1))
    columns = np.flatnonzero(held) % max(1, matrix.shape[1])
    return Rows(ends, columns.astype(np.int32), matrix[held])
