"""Items that go together: an incremental item-item model that minds the order of events."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, cast

import numpy as np
from numpy.typing import NDArray

from transforms.formats.records import Features, Rating
from transforms.recommenders.arrays import Arrays, SavedArrays
from transforms.recommenders.memory.cooccurrence_sparse import SparseCounts
from transforms.recommenders.memory.tuning import EXPERTS_LIST
from transforms.recommenders.minibatch import LONGEST_LIST, Minibatch, UpdateTrace
from transforms.recommenders.model import MinibatchModel, ShardedModel, strength
from transforms.recommenders.models.itemknn_config import ItemKNNConfig
from transforms.recommenders.models.itemknn_learning import ItemKNNLearning
from transforms.recommenders.models.itemknn_state import ItemKNNState
from transforms.recommenders.numerics.cooccurrence_arrays import TOTAL
from transforms.recommenders.numerics.cooccurrence_one_score import score_one
from transforms.recommenders.numerics.habit_arrays import empty_mixture
from transforms.recommenders.numerics.mixing import PRIOR, mix
from transforms.recommenders.numerics.top_n import top_n_excluding

_BATCH: Final = 256
_UNLISTED_BATCH: Final = 1024
_NOBODY: Final = -1


class ItemKNN(MinibatchModel, ShardedModel):
    r"""Incremental item-item neighborhoods with time-aware co-occurrence, and how people repeat.

    A positive (u, i) of weight w is compared with the last items h_0 (the newest), h_1, ... of u:

        c(h_g, i) <- c(h_g, i) + w (1 + g)^-gap_power,  and c(i, h_g) likewise

    so items that are chosen soon after each other go together more than items of the same user
    that are far apart. An item that is chosen again becomes the newest of its user. With n(j),
    the weight of j's positives, r(j), the same with a half-life of 1,000 positives, and b_g, the
    number of pauses of more than ten minutes between consecutive items from h_g to h_0, let

        a_g = 2^(-g / half_life) 0.5^(b_g),    left out where 2^(-g / half_life) is below 0.01
        prior(j) = 0.01 n(j) / sum n + 0.1 r(j) / sum r

    A user without history is like others who had none: with t(j), the weight of j's positives that
    began a history, with a half-life of 1,000 of these, and l, the length of the history,

        start(j) = 2^-l t(j) / sum t,    left out where l is above 6

    **Without repeats** the similarity of two items is a cosine whose norms are shrunk, and an
    item's score adds its similarities to the user's last items:

        s(i, j) = c(i, j) / sqrt((n(i) + shrinkage) (n(j) + shrinkage))
        score(j) = sum_g a_g s(h_g, j) + prior(j) + start(j)

    **With repeats** a score is the probability that the user chooses the item next: p for h_0,
    from how often users chose the same item again (of all, by the streak of the same item, up to
    2, and the length of the history, up to 4; and of h_0 itself, smoothed by 10 positives of
    all). A mixture of eight experts shares the rest, P(j) = (1 - p) sum_e w_e P_e(j), with weights
    that the stream teaches, see `numerics.experts`. A user without history gets
    prior(j) + start(j), or where the user is not known, that in positives, 100 sum n times it.

    **Tuned**, with `tune` "auto", lists without repeats are by one of four settings: the cosines
    with a third of `half_life`, with it, and with three times it, and the experts without p and
    places. Each is tested with positives before they are learned, and one that is surely better
    takes over, see `tuning_kernels.follow_leader`. Item shards do not test: they have the scores
    of their own items alone.

    **Features** that come with ratings say more of an item the fewer positives it has. With x, the
    cosine of j's features, standardized over all items (see `ItemFeatures`), with the sum of
    those of the user's history, weighted by 2^(-g / 10), a score is changed by

        y = feature_weight x 20 / (20 + n(j))
        score(j) <- score(j) (1 + y) where y > 0, else score(j) / (1 - y)

    so where ratings carry features of items, probabilities need not sum to at most 1.

    A weight below 0 is not learned here. With `session_gap` a longer pause ends a history.

    Cost: an update touches 2 x history entries, a list adds up at most as many rows as history
    is long. What is kept, and what item shards keep, is in `ItemKNNState`.

    References:
        B. Sarwar, G. Karypis, J. Konstan, J. Riedl. Item-based Collaborative Filtering
        Recommendation Algorithms. WWW 2001. Incremental counts: M. Papagelis, I. Rousidis, D.
        Plexousakis, E. Theoharopoulos. Incremental Collaborative Filtering for Highly-Scalable
        Recommendation Algorithms. ISMIS 2005. Weights that fall with age: Y. Ding, X. Li. Time
        Weight Collaborative Filtering. CIKM 2005; with distance in a session: M. Ludewig, D.
        Jannach. Evaluation of Session-based Recommendation Algorithms. UMUAI 28, 2018. Repeats
        apart from other items: P. Ren et al. RepeatNet: A Repeat Aware Neural Recommendation
        Machine for Session-Based Recommendation. AAAI 2019.
    """

    def __init__(self, config: ItemKNNConfig, seed: int) -> None:
        del seed  # nothing is drawn
        self.config = config
        self.n_user = self.n_item = 0
        self._state = ItemKNNState(config)
        self._learning = ItemKNNLearning(config, self._state)
        # What `item_scores` needs each time.
        self._one = empty_mixture(1, config.history)

    def add_user(self) -> None:
        """Adds the user with index `n_user`."""
        self._state.histories.add_user()
        self.n_user += 1

    def add_item(self) -> None:
        """Adds the item with index `n_item`."""
        self._add_item(listed=True)

    def list_some(self, *, score_elsewhere: bool) -> None:
        """Keeps the columns of some items alone; with `score_elsewhere` pairs of others, too."""
        # A test needs the scores of all items, and an expert's credit the counts of all pairs.
        constants = self._learning.constants
        learns_habits = constants.learns_habits and score_elsewhere
        self._learning.constants = constants._replace(tunes=False, learns_habits=learns_habits)
        self._state.list_some(score_elsewhere=score_elsewhere)

    def add_item_elsewhere(self) -> None:
        """Adds the item with index `n_item`, which another shard lists."""
        self._add_item(listed=False)

    def _add_item(self, *, listed: bool) -> None:
        self._state.add_item(listed=listed)
        self.n_item += 1

    def allow_repeats(self, allowed: bool) -> None:
        """Learns how people repeat, and lists accordingly, from now on."""
        self._learning.with_repeats = allowed

    def lists_by(self) -> str:
        """Returns which setting lists, see above."""
        return EXPERTS_LIST if self._learning.with_repeats else self._state.habits.tuning.leader

    def learn(self, user: int, item: int, rating: Rating, seen: NDArray[np.int32]) -> None:
        """Learns one positive."""
        state = self._state
        if rating.features and state.features.uses(rating.features.item):
            state.features.see(item, rating.features.item)
        weight = strength(rating.weight)
        self._learning.learn(user, item, weight, rating.timestamp, self.n_item)

    def minibatch_size(self, n: int) -> int:
        """Returns how many positives to learn together; those with features are learned alone."""
        if self._state.features.known:
            return 0
        return _BATCH if n else _UNLISTED_BATCH

    def learns_alone(self, features: Features | None) -> bool:
        """Whether a list after such a positive depends on features of items."""
        said = features is not None and self._state.features.uses(features.item)
        return said or self._state.features.known

    def learn_batch(self, batch: Minibatch, n: int) -> tuple[int, UpdateTrace]:
        """Learns positives in their order, up to the first that needs room for counts."""
        return self._learning.learn_batch(batch, n)

    def item_scores(self, user: int, context: Sequence[float] = ()) -> NDArray[np.float64]:
        """Returns each item's score, or its probability where repeats are allowed."""
        scores = self._scores(user, with_repeats=self._learning.with_repeats)
        return self._state.items.columns.by_item(scores)

    def best_items(
        self, user: int, excluded: NDArray[np.int32], n: int, context: Sequence[float] = ()
    ) -> tuple[NDArray[np.int32], NDArray[np.floating]]:
        """Returns the best of the items that are listed here, and their scores."""
        state = self._state
        counts, by_need = state.counts, 0 < n <= LONGEST_LIST and not state.features.known
        if isinstance(counts, SparseCounts) and by_need:
            self._mix(user, with_repeats=self._learning.with_repeats)
            transitions, arrays = state.habits.transitions.arrays, state.items.column_arrays
            return counts.best_items(transitions, arrays, self._one, 0, excluded, n)
        columns = state.items.columns
        scores = self._scores(user, with_repeats=self._learning.with_repeats)
        best, best_scores = top_n_excluding(scores, columns.columns_of(excluded), n)
        return columns.items[best], best_scores

    def _scores(self, user: int, *, with_repeats: bool) -> NDArray[np.float64]:
        """Returns the scores of the items that are listed here, by column."""
        state = self._state
        self._mix(user, with_repeats=with_repeats)
        scores = np.empty(state.items.columns.n_listed)
        columns = state.items.column_arrays
        transitions = state.habits.transitions.arrays
        state.counts.score(transitions, columns, self._one, 0, scores)
        state.features.change_scores(
            state.histories.arrays,
            user,
            columns,
            scores,
            all_listed=not state.items.columns.n_elsewhere,
        )
        return scores

    def _mix(self, user: int, *, with_repeats: bool) -> None:
        """Fills what a user's list is made from."""
        state = self._state
        mix(
            state.histories.arrays,
            state.items.arrays,
            state.habits.arrays(self.n_item),
            self._learning.constants,
            # As kernels know users, so that one compiled version does.
            cast("int", np.int32(user)),
            with_repeats,
            self._one,
            0,
        )

    def score_of(self, user: int, item: int) -> float:
        """Returns the score of one item, listed here or not."""
        state = self._state
        with_repeats = self._learning.with_repeats and user != _NOBODY
        self._mix(user, with_repeats=with_repeats)
        one = self._one
        others = one.recent[0, : int(one.rows[0])]
        transitions = state.habits.transitions.arrays
        counts = state.counts.counts_of(state.items.column_arrays, others, item)
        score = float(score_one(counts, transitions, state.items.arrays, one, 0, item))
        chosen = float(state.items.arrays.chosen[item])
        score = state.features.change_one(state.histories.arrays, user, item, chosen, score)
        return score if user != _NOBODY else score * self._newcomer_scale()

    def _newcomer_scale(self) -> float:
        return float(self._state.items.arrays.totals[TOTAL]) / PRIOR

    def newcomer_scores(self) -> NDArray[np.float64]:
        """Returns each item's positives, the recent ones counted more."""
        scores = self._scores(_NOBODY, with_repeats=False)
        return self._state.items.columns.by_item(scores * self._newcomer_scale())

    def keep_users(self, kept: NDArray[np.intp]) -> None:
        """Drops all users but these; the counts of their items stay."""
        self._state.histories.keep_users(kept)
        self.n_user = len(kept)

    def keep_items(self, kept: NDArray[np.intp]) -> None:
        """Drops all items but these."""
        self._state.keep_items(kept, self.n_item)
        self.n_item = len(kept)

    def state_dict(self) -> Arrays:
        """Returns what `load_state_dict` of another model takes, see `ItemKNNState`."""
        return self._state.state_dict()

    def load_state_dict(self, arrays: SavedArrays, n_user: int, n_item: int) -> None:
        """Takes over what `state_dict` returned.

        Raises:
            IncompatibleModelError: See `ItemKNNState.load_state_dict`.
        """
        self._state.load_state_dict(arrays, n_user, n_item)
        self.n_user, self.n_item = n_user, n_item
