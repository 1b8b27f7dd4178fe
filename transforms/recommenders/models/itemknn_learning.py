"""How `ItemKNN` learns: one positive, or many together with the lists as of each."""

from __future__ import annotations

import time
from functools import partial
from typing import Final

import numpy as np

from transforms.recommenders.memory.cooccurrence import DenseCounts
from transforms.recommenders.memory.cooccurrence_trace import CooccurrenceTrace
from transforms.recommenders.memory.listing_time import ListingTime
from transforms.recommenders.minibatch import ListedAlready, Minibatch, UpdateTrace, empty_lists
from transforms.recommenders.models.itemknn_config import ItemKNNConfig
from transforms.recommenders.models.itemknn_state import ItemKNNState
from transforms.recommenders.numerics.cooccurrence_arrays import (
    Constants,
    Listing,
    Positives,
    UpdateLog,
    empty_log,
    no_listing,
    unlisted_positive,
)
from transforms.recommenders.numerics.habit_arrays import Mixture, empty_mixture

_NO_LISTING: Final = no_listing()


class ItemKNNLearning:
    """Changes an `ItemKNNState`.

    Args:
        config: Hyperparameters.
        state: What learns.

    Attributes:
        constants: What follows from the hyperparameters.
        with_repeats: Whether to learn how people repeat, and to list accordingly.
    """

    def __init__(self, config: ItemKNNConfig, state: ItemKNNState) -> None:
        self.constants: Constants = config.constants()
        self.with_repeats = False
        self._config = config
        self._state = state
        # What `learn` needs each time.
        self._one_log = empty_log(1, config.history)
        self._unlisted = empty_mixture(0, config.history)
        # What `learn_batch` fills until it is called again, once it is asked for lists.
        self._log = empty_log(0, config.history)
        self._mixture = self._unlisted
        self._listing_time = ListingTime()

    def learn(self, user: int, item: int, weight: float, timestamp: float, n_item: int) -> None:
        """Learns one positive of a weight above 0, when there are `n_item` items."""
        self._state.histories.reserve(user)
        dense = int(n_item <= self._config.neighbors)
        positive = unlisted_positive(user, item, weight, timestamp)
        self._learn(positive, dense, self._one_log, self._unlisted)

    def learn_batch(self, batch: Minibatch, n: int) -> tuple[int, UpdateTrace]:
        """Does what `MinibatchModel.learn_batch` is to do."""
        state = self._state
        state.histories.reserve_each(batch.users)
        mixture = self._unlisted
        if n:
            if len(self._mixture.rows) < len(batch.users):
                self._mixture = empty_mixture(len(batch.users), self._config.history)
            mixture = self._mixture
        dense = int(np.searchsorted(batch.item_counts, self._config.neighbors, side="right"))
        if dense and isinstance(state.counts, DenseCounts):
            return dense, self._learn_and_list(state.counts, batch.part(0, dense), n, mixture)
        log = self._one_log
        if n:
            if len(self._log.counts) < len(batch.users):
                self._log = empty_log(len(batch.users), self._config.history)
            log = self._log
        learned = self._learn(_positives(batch), 0, log, mixture)
        # With more items than a matrix has room for it was made sparse.
        assert not isinstance(state.counts, DenseCounts)
        return learned, CooccurrenceTrace(
            batch.part(0, learned),
            state.counts,
            state.habits.transitions.arrays,
            state.items.column_arrays,
            self.constants,
            log,
            mixture,
        )

    def _learn_and_list(
        self, counts: DenseCounts, batch: Minibatch, n: int, mixture: Mixture
    ) -> ListedAlready:
        """Learns positives that all have room in a matrix, and makes their lists."""
        state = self._state
        lists, columns = empty_lists(batch.listed, n), state.items.columns
        listing = Listing(
            columns.among_first(batch.item_counts),
            batch.excluded,
            batch.excluded_ends,
            np.empty(columns.n_listed),
            np.empty(columns.n_listed),
            np.empty(columns.n_listed, dtype=np.int32),
            *lists,
        )
        start = time.perf_counter()
        self._learn(_positives(batch), len(batch.users), self._one_log, mixture, listing)
        seconds = time.perf_counter() - start
        scores = int(listing.column_counts[batch.listed].sum())
        again = partial(
            counts.list_again,
            state.habits.transitions.arrays,
            state.items.column_arrays,
            batch.listed,
            mixture,
            listing,
        )
        took = self._listing_time.seconds(seconds, scores, again) if scores else 0.0
        return ListedAlready(lists, took)

    def _learn(
        self,
        batch: Positives,
        dense: int,
        log: UpdateLog,
        mixture: Mixture,
        listing: Listing = _NO_LISTING,
    ) -> int:
        """Returns how many positives were learned, at least one.

        Args:
            batch: At least one.
            dense: How many come before there are too many items for a matrix.
            log: Of the updates.
            mixture: Of the lists; without slots if there are none.
            listing: The lists, where counts are a matrix.
        """
        state = self._state
        state.items.rescale()
        if not dense:
            state.make_sparse()
        if self.with_repeats or self.constants.learns_habits:
            state.habits.reserve(state.histories, batch)
        known = state.histories, state.items, state.habits, self.constants
        counts, with_repeats = state.counts, self.with_repeats
        if isinstance(counts, DenseCounts):
            part = batch.first(dense)
            learned = counts.learn(part, *known, log, mixture, listing, with_repeats=with_repeats)
        else:
            learned = counts.learn(batch, *known, log, mixture, with_repeats=with_repeats)
        state.habits.tuning.tell()
        return learned


def _positives(batch: Minibatch) -> Positives:
    return Positives(batch.users, batch.items, batch.weights, batch.times, batch.listed)
