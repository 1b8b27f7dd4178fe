"""What a minibatch of `ItemKNN` leaves behind where counts are sparse, to list from afterwards."""

from __future__ import annotations

from transforms.recommenders.memory.cooccurrence_sparse import SparseCounts
from transforms.recommenders.minibatch import Minibatch, TopNLists, empty_lists
from transforms.recommenders.numerics.cooccurrence_arrays import ColumnArrays, Constants, UpdateLog
from transforms.recommenders.numerics.habit_arrays import Mixture, TransitionArrays


class CooccurrenceTrace:
    """An `UpdateTrace` of co-occurrence counts.

    Args:
        batch: What was learned.
        counts: As they are after it.
        transitions: Likewise.
        columns: Likewise, of the items that are listed here.
        constants: Of the model.
        log: Of the updates.
        mixture: Of the lists.
    """

    listing_seconds = 0.0
    """Lists are made afterwards."""

    def __init__(
        self,
        batch: Minibatch,
        counts: SparseCounts,
        transitions: TransitionArrays,
        columns: ColumnArrays,
        constants: Constants,
        log: UpdateLog,
        mixture: Mixture,
    ) -> None:
        self._batch = batch
        self._counts = counts
        self._transitions = transitions
        self._columns = columns
        self._constants = constants
        self._log = log
        self._mixture = mixture

    def top_n_after_each(self, n: int) -> TopNLists:
        """Returns what `ItemKNN.best_items` would have returned after each listed update."""
        found = empty_lists(self._batch.listed, n)
        self._counts.top_n_after_each(
            self._batch,
            self._transitions,
            self._columns,
            self._constants,
            self._log,
            self._mixture,
            found,
        )
        return found
