"""What a minibatch of `ItemKNN` leaves behind, to list from afterwards."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from transforms.recommenders.memory.cooccurrence import DenseCounts, SparseCounts
from transforms.recommenders.minibatch import Minibatch, TopNLists
from transforms.recommenders.numerics import cooccurrence_kernels as kernels

_NO_ITEMS: Final = np.empty(0, dtype=np.int32)


class ItemStatistics(NamedTuple):
    """What `ItemKNN` knows of each item by itself.

    Attributes:
        chosen: How often it was chosen, shape (n_item or more,).
        norms: `1 / sqrt(chosen + shrinkage)`, same shape.
        shrinkage: See `ItemKNN`.
        total: The sum of `chosen`.
        prior: The weight of an item's share of all positives.
        recency: The weight of each age in a history.
    """

    chosen: NDArray[np.float64]
    norms: NDArray[np.float64]
    shrinkage: float
    total: float
    prior: float
    recency: NDArray[np.float64]


class UpdateLog:
    """The counts that updates changed, as they were before; see `cooccurrence_kernels`.

    Args:
        slots: How many updates there is room for, at least 1.
        history: The greatest length of a history.
        recent: How many of the newest items of a history are noted.
    """

    def __init__(self, slots: int, history: int, recent: int) -> None:
        self.others = np.empty((slots, history), dtype=np.int32)
        self.other_counts = np.zeros(slots, dtype=np.int32)
        self.values = np.empty((slots, 2 * history), dtype=np.float32)
        self.places = np.empty((slots, 2 * history), dtype=np.int64)
        self.recent = np.empty((slots, recent), dtype=np.int32)
        self.recent_counts = np.zeros(slots, dtype=np.int32)


class CooccurrenceTrace:
    """An `UpdateTrace` of co-occurrence counts.

    Args:
        batch: What was learned.
        counts: As they are after it.
        statistics: Likewise.
        log: Of its updates.
    """

    def __init__(
        self,
        batch: Minibatch,
        counts: DenseCounts | SparseCounts,
        statistics: ItemStatistics,
        log: UpdateLog,
    ) -> None:
        self._batch = batch
        self._counts = counts
        self._statistics = statistics
        self._log = log

    def top_n_after_each(self, n: int, *, exclude_seen: bool) -> TopNLists:
        """Returns what `ItemKNN.best_items` would have returned after each update."""
        batch, log, known = self._batch, self._log, self._statistics
        m = len(batch.users)
        found = TopNLists(
            np.empty((m, n), dtype=np.int32), np.empty((m, n)), np.empty(m, dtype=np.int32)
        )
        seen = batch.seen if exclude_seen else _NO_ITEMS
        seen_ends = batch.seen_ends if exclude_seen else np.zeros(m + 1, dtype=np.int64)
        if isinstance(self._counts, DenseCounts):
            kernels.top_n_after_each_dense(
                self._counts.matrix,
                batch.items,
                batch.item_counts,
                log.others,
                log.other_counts,
                log.values,
                log.recent,
                log.recent_counts,
                known.recency,
                known.chosen,
                known.norms,
                known.shrinkage,
                known.total,
                known.prior,
                seen,
                seen_ends,
                found.items,
                found.scores,
                found.counts,
            )
            return found
        rows = self._counts.entries
        kernels.top_n_after_each_sparse(
            rows.ids,
            rows.values,
            rows.starts,
            rows.sizes,
            batch.items,
            batch.item_counts,
            log.others,
            log.other_counts,
            log.values,
            log.places,
            log.recent,
            log.recent_counts,
            known.recency,
            known.chosen,
            known.norms,
            known.shrinkage,
            known.total,
            known.prior,
            seen,
            seen_ends,
            found.items,
            found.scores,
            found.counts,
        )
        return found
