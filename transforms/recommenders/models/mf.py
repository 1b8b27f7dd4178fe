"""Incremental matrix factorization: FluRS's MF, growing at constant cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from flurs.data.entity import Item, User
from flurs.recommender import MFRecommender
from numpy.typing import NDArray

from transforms.formats.records import Rating
from transforms.recommenders.arrays import Arrays, SavedArrays
from transforms.recommenders.memory.factor_matrix import FactorMatrix
from transforms.recommenders.memory.factor_trace import FactorTrace, top_n_of_user
from transforms.recommenders.memory.float32_prefilter import Float32Prefilter
from transforms.recommenders.memory.longest_items import LongestItems
from transforms.recommenders.minibatch import LONGEST_LIST, Minibatch, UpdateTrace
from transforms.recommenders.model import MinibatchModel
from transforms.recommenders.models.mf_config import MFConfig
from transforms.recommenders.numerics import mf_minibatch
from transforms.recommenders.numerics.mf_steps import step
from transforms.recommenders.numerics.stable_dot import dots

_USERS: Final = 0
_ITEMS: Final = 1

_PREFILTERED: Final = 1 << 17
"""Scores in single precision that are computed together: as many as fit the processor's cache."""

_LARGEST_TARGET: Final = 1.0
"""Lists rank by how near 1 a product is, so a target beyond would count against its item."""

_SMALLEST_BATCH: Final = 32
_LARGEST_BATCH: Final = 64
_UNLISTED_BATCH: Final = 1024


def target(weight: float) -> float:
    """Returns the target of a positive of some weight."""
    return min(weight, _LARGEST_TARGET)


class MF(MFRecommender, MinibatchModel):
    r"""Incremental matrix factorization for positive-only feedback (ISGD).

    With user factors p_u and item factors q_i, both of shape (k,), a positive (u, i) does one
    step of gradient descent on (1 - p_u . q_i)^2 + lambda (|p_u|^2 + |q_i|^2):

        e = 1 - p_u . q_i
        p_u <- p_u + 2 eta_u (e q_i - lambda p_u)
        q_i <- q_i + 2 eta_i (e p_u - lambda q_i)     with the p_u from before the step

    A positive of a weight below 1 has that as its target in the place of 1, and what the user does
    not want has 0. Items are ranked by |1 - p_u . q_i|, the smallest first, as in FluRS.

    FluRS has one eta. A model that sees nothing but ones then comes to predict 1 for everything,
    the faster the larger eta is, and with a small one it learns little of users, who have few
    positives each. So users' steps are large, and each forgets 2 eta_u lambda, a quarter, of what
    was before: a user's factors are those of the last few items. Items' steps are small,
    so that products of popular items take long to arrive at 1. FluRS's own defaults are
    eta_u = eta_i = 0.05, lambda = 0.01 and new factors N(0, 0.1^2).

    FluRS copies the whole item matrix for each new item and keeps a dictionary for each user;
    here both are a `FactorMatrix`. The numbers are FluRS's own but for rounding, as inner products
    are added up in a fixed order, see `stable_dot`: they are the same one by one and in
    minibatches, on every machine.

    References:
        J. Vinagre, A. Jorge, J. Gama. Fast Incremental Matrix Factorization for Recommendation
        with Positive-only Feedback. UMAP 2014. FluRS: `flurs.recommender.MFRecommender`.
    """

    def __init__(self, config: MFConfig, seed: int) -> None:
        super().__init__(k=config.k, l2_reg=config.l2_reg, learn_rate=config.learn_rate)
        self.config = config
        self.initialize()
        self._p = FactorMatrix(config.k, seed, _USERS, config.init_scale)
        self._q = FactorMatrix(config.k, seed, _ITEMS, config.init_scale)
        self.Q = self._q.rows
        self._prefilter = Float32Prefilter(self.k)
        self._longest = LongestItems()

    def register_user(self, user: User) -> None:
        """FluRS's way to add a user; its index must be `n_user`."""
        _require_next("user", user.index, self.n_user)
        self.users[user.index] = {"known_items": set()}
        self.add_user()

    def register_item(self, item: Item) -> None:
        """FluRS's way to add an item; its index must be `n_item`."""
        _require_next("item", item.index, self.n_item)
        self.items[item.index] = {}
        self.add_item()

    def add_user(self) -> None:
        """Adds the user with index `n_user`."""
        self._p.add()
        self.n_user = self._p.n

    def add_item(self) -> None:
        """Adds the item with index `n_item`."""
        self._q.add()
        self.n_item = self._q.n
        self.Q = self._q.rows

    def learn(self, user: int, item: int, rating: Rating, seen: NDArray[np.int32]) -> None:
        """Learns one positive, with its weight, up to 1, as the target."""
        self.update_model(user, item, target(rating.weight))

    def learn_negative(self, user: int, item: int) -> None:
        """Does a step with the target 0."""
        self.update_model(user, item, 0.0)

    def minibatch_size(self, n: int) -> int:
        """Returns how many positives to learn together."""
        if not n:
            return _UNLISTED_BATCH
        return min(_LARGEST_BATCH, max(_SMALLEST_BATCH, _PREFILTERED // max(1, self.n_item)))

    def learn_batch(self, batch: Minibatch, n: int) -> tuple[int, UpdateTrace]:
        """Learns positives in their order."""
        trace = FactorTrace(batch, self._q, self._prefilter, self._longest)
        if n:
            self._longest.follow(self._q.used())
        self._learn_batch(batch, trace)
        if self._longest.follows:
            here = batch.items >= 0
            items = batch.items[here]
            # An item that is chosen twice is listed with its factors between the two, too.
            self._longest.changed(items, trace.q_before[here])
            self._longest.changed(items, self._q.rows[items])
        return len(batch.users), trace

    def _learn_batch(self, batch: Minibatch, trace: FactorTrace) -> None:
        longest = mf_minibatch.learn_each(
            self._p.rows,
            self._q.rows,
            self._prefilter.copy,
            batch.users,
            batch.items,
            np.minimum(batch.weights, _LARGEST_TARGET),
            2.0 * self.learn_rate,
            2.0 * self.config.item_learn_rate,
            self.l2_reg_u,
            trace.p_after,
            trace.q_before,
        )
        self._prefilter.reaches(longest)

    def update_model(self, ua: int, ia: int, value: float) -> None:
        """FluRS's step: the pair (ua, ia) with the target `value`."""
        q = self._q.rows[ia]
        rate, item_rate = 2.0 * self.learn_rate, 2.0 * self.config.item_learn_rate
        step(self._p.rows[ua], q, value, rate, item_rate, self.l2_reg_u)
        self._prefilter.changed(ia, q)
        if self._longest.follows:
            self._longest.changed(np.array([ia], dtype=np.int32), q[np.newaxis])

    def item_scores(self, user: int, context: Sequence[float] = ()) -> NDArray[np.float64]:
        """Returns 1 - |1 - p_u . q_i| for each item: 1 is the best there is."""
        products = dots(self._q.used(), self._p.rows[user])
        return np.asarray(1.0 - np.abs(1.0 - products))

    def best_items(
        self, user: int, excluded: NDArray[np.int32], n: int, context: Sequence[float] = ()
    ) -> tuple[NDArray[np.integer], NDArray[np.floating]]:
        """Returns the `n` best items and their scores; see `FactorTrace` for how."""
        if 0 < n <= LONGEST_LIST:
            return top_n_of_user(
                self._p.rows[user], excluded, n, self._q, self._prefilter, self._longest
            )
        return super().best_items(user, excluded, n, context)

    def score(self, user: User, candidates: NDArray[np.intp]) -> NDArray[np.float64]:
        """FluRS's score, |1 - p_u . q_i| of each candidate: the smaller the better."""
        return np.asarray(np.abs(1.0 - self._q.rows[candidates] @ self._p.rows[user.index]))

    def keep_users(self, kept: NDArray[np.intp]) -> None:
        """Drops all users but these."""
        self._p.keep(kept)
        self.n_user = self._p.n

    def keep_items(self, kept: NDArray[np.intp]) -> None:
        """Drops all items but these."""
        self._q.keep(kept)
        self._prefilter = Float32Prefilter(self.k)
        self._longest = LongestItems()
        self.n_item = self._q.n
        self.Q = self._q.rows

    def state_dict(self) -> Arrays:
        """Returns the factors `p`, shape (n_user, k), and `q`, shape (n_item, k)."""
        return {**self._p.to_arrays("p"), **self._q.to_arrays("q")}

    def load_state_dict(self, arrays: SavedArrays, n_user: int, n_item: int) -> None:
        """Takes over the factors that `state_dict` returned.

        Raises:
            IncompatibleModelError: The factors are missing, damaged or not of this model's k.
        """
        self._p.load("p", arrays, n_user)
        self._q.load("q", arrays, n_item)
        self._prefilter = Float32Prefilter(self.k)
        self._longest = LongestItems()
        self.n_user, self.n_item = self._p.n, self._q.n
        self.Q = self._q.rows


def _require_next(kind: str, index: int, expected: int) -> None:
    if index != expected:
        msg = f"{kind} index is {index}, expected {expected}: register them in order"
        raise ValueError(msg)
