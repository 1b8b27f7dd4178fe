"""Items that go together: an incremental item-item model that minds the order of events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from transforms.formats.records import Rating
from transforms.recommenders.arrays import Arrays, SavedArrays
from transforms.recommenders.memory.cooccurrence import DenseCounts, Rows, SparseCounts
from transforms.recommenders.memory.cooccurrence_trace import (
    CooccurrenceTrace,
    ItemStatistics,
    UpdateLog,
)
from transforms.recommenders.memory.ragged import RaggedRows
from transforms.recommenders.minibatch import Minibatch, UpdateTrace
from transforms.recommenders.model import MinibatchModel
from transforms.recommenders.numerics import cooccurrence_kernels as kernels
from transforms.recommenders.validation import above, at_least, at_most

_PRIOR: Final = 0.01
"""Weight of an item's share of all positives, beside its similarity to what the user had."""

_LEAST_RECENCY: Final = 0.01

_BATCH: Final = 256
_UNLISTED_BATCH: Final = 1024


@dataclass(frozen=True)
class ItemKNNConfig:
    """Hyperparameters of `ItemKNN`; what each is stands in its metadata."""

    history: int = field(default=32, metadata={"help": "length of a user's history, in items"})
    half_life: float = field(
        default=3.0, metadata={"help": "half-life of a user's history, in items"}
    )
    gap_power: float = field(
        default=0.5, metadata={"help": "how fast co-occurrence falls with the gap in a history"}
    )
    shrinkage: float = field(
        default=10.0, metadata={"help": "positives that are added to the norms of a similarity"}
    )
    neighbors: int = field(
        default=2000,
        metadata={"help": "maximum number of neighbors kept for each item"},
    )

    def __post_init__(self) -> None:
        """Raises ValueError for a value that cannot work."""
        at_least("history", self.history, 1)
        at_most("history", self.history, 10_000)
        above("half_life", self.half_life, 0)
        at_least("gap_power", self.gap_power, 0)
        above("shrinkage", self.shrinkage, 0)
        at_least("neighbors", self.neighbors, 1)
        at_most("neighbors", self.neighbors, 100_000)


class ItemKNN(MinibatchModel):
    r"""Incremental item-item neighborhoods with time-aware co-occurrence.

    A positive (u, i) is compared with the last items h_0 (the newest), h_1, ... of u:

        c(h_g, i) <- c(h_g, i) + (1 + g)^-gap_power,  and c(i, h_g) likewise

    so items that are chosen soon after each other go together more than items of the same user
    that are far apart. With n(j), how often j was chosen, the similarity of two items is a cosine
    whose norms are shrunk, and an item's score adds its similarities to the user's last items:

        s(i, j) = c(i, j) / sqrt((n(i) + shrinkage) (n(j) + shrinkage))
        score(j) = sum_g 2^(-g / half_life) s(h_g, j) + 0.01 n(j) / sum n

    where a g whose factor is below 0.01 is left out. The last term puts what has no similarity in
    the order of popularity. An item that is chosen again becomes the newest of its user.

    Cost: an update touches 2 x history entries, a list adds up at most as many rows as history
    is long. While there are no more items than `neighbors` c is a square matrix; beyond, a row
    has at most 2 x `neighbors` entries, the heaviest, of 8 bytes each.

    References:
        B. Sarwar, G. Karypis, J. Konstan, J. Riedl. Item-based Collaborative Filtering
        Recommendation Algorithms. WWW 2001. Incremental counts: M. Papagelis, I. Rousidis, D.
        Plexousakis, E. Theoharopoulos. Incremental Collaborative Filtering for Highly-Scalable
        Recommendation Algorithms. ISMIS 2005. Weights that fall with age: Y. Ding, X. Li. Time
        Weight Collaborative Filtering. CIKM 2005; with distance in a session: M. Ludewig, D.
        Jannach. Evaluation of Session-based Recommendation Algorithms. UMUAI 28, 2018.
    """

    def __init__(self, config: ItemKNNConfig, seed: int) -> None:
        del seed  # nothing is drawn
        self.config = config
        self.n_user = self.n_item = 0
        ages = np.arange(config.history, dtype=np.float64)
        self._gap_weights = ((1.0 + ages) ** -config.gap_power).astype(np.float32)
        recency = 0.5 ** (ages / config.half_life)
        self._recency = recency[recency >= _LEAST_RECENCY]
        self._counts: DenseCounts | SparseCounts = DenseCounts()
        # A user's last items, the newest last.
        self._histories = RaggedRows()
        # What `learn` needs each time.
        self._pair = np.zeros(2, dtype=np.int32)
        self._pair_log = self._log(1)
        self._chosen = np.zeros(0)
        self._norms = np.zeros(0)
        self._total = 0.0

    def add_user(self) -> None:
        """Adds the user with index `n_user`."""
        self._histories.add_row()
        self.n_user += 1

    def add_item(self) -> None:
        """Adds the item with index `n_item`."""
        if self.n_item == len(self._chosen):
            more = max(64, self.n_item)
            self._chosen = np.concatenate([self._chosen, np.zeros(more)])
            self._norms = np.concatenate([self._norms, np.zeros(more)])
        self._norms[self.n_item] = 1.0 / np.sqrt(self.config.shrinkage)
        self.n_item += 1
        self._counts.add_item()

    def learn(self, user: int, item: int, rating: Rating, seen: NDArray[np.int32]) -> None:
        """Learns one positive."""
        self._reserve(user, 1)
        self._total += 1.0
        pair = self._pair
        pair[0], pair[1] = user, item
        self._learn(pair[:1], pair[1:], self.n_item <= self.config.neighbors, self._pair_log)

    def minibatch_size(self, n: int) -> int:
        """Returns how many positives to learn together."""
        return _BATCH if n else _UNLISTED_BATCH

    def learn_batch(self, batch: Minibatch, n: int) -> tuple[int, UpdateTrace]:
        """Learns positives in their order, up to the first that needs room for counts."""
        log = self._log(len(batch.users) if n else 1)
        for user, count in zip(*np.unique(batch.users, return_counts=True), strict=True):
            self._reserve(user, count)
        dense = int(np.searchsorted(batch.item_counts, self.config.neighbors, side="right"))
        learned = self._learn(batch.users, batch.items, dense, log)
        self._total += float(np.count_nonzero(batch.items[:learned] >= 0))
        statistics = ItemStatistics(
            self._chosen, self._norms, self.config.shrinkage, self._total, _PRIOR, self._recency
        )
        return learned, CooccurrenceTrace(batch.part(0, learned), self._counts, statistics, log)

    def _log(self, slots: int) -> UpdateLog:
        return UpdateLog(slots, self.config.history, len(self._recency))

    def _learn(
        self,
        users: NDArray[np.int32],
        items: NDArray[np.int32],
        dense: int,
        log: UpdateLog,
    ) -> int:
        """Returns how many positives were learned, at least one.

        Args:
            users: Shape (m,).
            items: Shape (m,).
            dense: How many come before there are too many items for a matrix.
            log: Of the updates.
        """
        if isinstance(self._counts, DenseCounts) and not dense:
            self._counts = SparseCounts(self.config.neighbors, self._counts.rows())
        if isinstance(self._counts, DenseCounts):
            self._learn_dense(self._counts, users[:dense], items[:dense], log)
            return dense
        return self._learn_sparse(self._counts, users, items, log)

    def _learn_dense(
        self,
        counts: DenseCounts,
        users: NDArray[np.int32],
        items: NDArray[np.int32],
        log: UpdateLog,
    ) -> None:
        histories = self._histories
        kernels.learn_dense(
            counts.matrix,
            histories.ids,
            histories.starts,
            histories.sizes,
            self.config.history,
            users,
            items,
            self._gap_weights,
            self._chosen,
            self._norms,
            self.config.shrinkage,
            log.others,
            log.other_counts,
            log.values,
            log.recent,
            log.recent_counts,
        )

    def _learn_sparse(
        self,
        counts: SparseCounts,
        users: NDArray[np.int32],
        items: NDArray[np.int32],
        log: UpdateLog,
    ) -> int:
        histories, rows = self._histories, counts.entries
        step = 0
        while True:
            learned, full, step = kernels.learn_sparse(
                rows.ids,
                rows.values,
                rows.starts,
                rows.sizes,
                rows.room,
                histories.ids,
                histories.starts,
                histories.sizes,
                self.config.history,
                users,
                items,
                self._gap_weights,
                self._chosen,
                self._norms,
                self.config.shrinkage,
                log.others,
                log.other_counts,
                log.values,
                log.places,
                log.recent,
                log.recent_counts,
                step,
            )
            if learned:
                return learned
            counts.make_room(full)

    def _reserve(self, user: int, count: int) -> None:
        """Makes room in a user's history for so many items more, or for as many as it can have."""
        histories, longest = self._histories, self.config.history
        needed = min(longest, histories.sizes[user] + count)
        while histories.room[user] < needed:
            histories.widen(user, longest)

    def item_scores(self, user: int, context: Sequence[float] = ()) -> NDArray[np.float64]:
        """Returns each item's similarity to what the user had last, and a little popularity."""
        scores = np.zeros(self.n_item)
        recent = self._histories.row(user)[: -len(self._recency) - 1 : -1].copy()
        factors = self._recency[: len(recent)] * self._norms[recent]
        if isinstance(self._counts, DenseCounts):
            kernels.sum_dense(self._counts.matrix, recent, factors, scores)
        else:
            rows = self._counts.entries
            kernels.sum_sparse(
                rows.ids, rows.values, rows.starts, rows.sizes, recent, factors, scores
            )
        scores *= self._norms[: self.n_item]
        if self._total:
            scores += (_PRIOR / self._total) * self._chosen[: self.n_item]
        return scores

    def keep_users(self, kept: NDArray[np.intp]) -> None:
        """Drops all users but these; the counts of their items stay."""
        self._histories.keep(kept)
        self.n_user = len(kept)

    def keep_items(self, kept: NDArray[np.intp]) -> None:
        """Drops all items but these."""
        self._histories.renumber(kept, self.n_item)
        self._load(self._chosen[kept], self._counts.rows().keep(kept))

    def state_dict(self) -> Arrays:
        """Returns counts as rows end to end, how often items were chosen, and histories."""
        counts = self._counts.rows()
        history_ends, history_ids, _ = self._histories.packed()
        return {
            "counts.ends": counts.ends,
            "counts.ids": counts.ids,
            "counts.weights": counts.weights,
            "chosen": self._chosen[: self.n_item].copy(),
            "histories.ends": history_ends,
            "histories.ids": history_ids,
        }

    def load_state_dict(self, arrays: SavedArrays, n_user: int, n_item: int) -> None:
        """Takes over what `state_dict` returned.

        Raises:
            IncompatibleModelError: An array is missing or damaged, or a history or a row of
                counts is longer than the hyperparameters allow.
        """
        ends, ids = arrays.rows("counts", n_item, n_item)
        weights = arrays.finite("counts.weights", (len(ids),), np.float32)
        chosen = arrays.counts("chosen", (n_item,), np.float64)
        history_ends, history_ids = arrays.rows("histories", n_user, n_item)
        longest = self.config.history
        fits = np.diff(history_ends, prepend=0).max(initial=0) <= longest
        arrays.require(fits, "histories.ends", f"has a history of more than {longest} items")
        most = n_item if n_item <= self.config.neighbors else 2 * self.config.neighbors
        fits = np.diff(ends, prepend=0).max(initial=0) <= most
        arrays.require(fits, "counts.ends", f"has a row of more than {most} items")
        self._histories.load(history_ends, history_ids)
        self.n_user = n_user
        self._load(chosen, Rows(ends, ids, weights))

    def _load(self, chosen: NDArray[np.float64], rows: Rows) -> None:
        self._chosen = chosen
        self.n_item = len(chosen)
        self._norms = 1.0 / np.sqrt(chosen + self.config.shrinkage)
        self._total = float(chosen.sum())
        neighbors = self.config.neighbors
        dense = self.n_item <= neighbors
        self._counts = DenseCounts(rows) if dense else SparseCounts(neighbors, rows)
