"""Incremental matrix factorization: FluRS's MF, growing at constant cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from flurs.data.entity import Item, User
from flurs.recommender import MFRecommender
from numpy.typing import NDArray

from transforms.formats.records import Rating
from transforms.recommenders import compiled, near_one
from transforms.recommenders.dots import dot, dots
from transforms.recommenders.factors import FactorMatrix
from transforms.recommenders.model import LONGEST_LIST, Arrays, Stretch, StretchModel, Trail
from transforms.recommenders.screen import Screen
from transforms.recommenders.topn import top_n
from transforms.recommenders.trail import FactorTrail, best_of_one

_USERS: Final = 0
_ITEMS: Final = 1

_SCREENED: Final = 1 << 17
"""Scores in single precision that are made at once: as many as the processor's cache holds."""

_SHORTEST_STRETCH: Final = 8
_LONGEST_STRETCH: Final = 64
_UNLISTED_STRETCH: Final = 1024


@dataclass(frozen=True)
class MFConfig:
    """Hyperparameters of `MF`, under FluRS's names; what each is stands in its metadata."""

    k: int = field(default=40, metadata={"help": "number of latent factors"})
    l2_reg: float = field(default=0.01, metadata={"help": "regularization, lambda"})
    learn_rate: float = field(default=0.05, metadata={"help": "step size, eta"})

    def __post_init__(self) -> None:
        """Raises ValueError for a value that can not work."""
        if self.k < 1:
            msg = f"k is {self.k}, expected at least 1"
            raise ValueError(msg)
        if not 0 <= self.l2_reg < 1:
            msg = f"l2_reg is {self.l2_reg}, expected at least 0 and below 1"
            raise ValueError(msg)
        if not 0 < self.learn_rate < 1:
            msg = f"learn_rate is {self.learn_rate}, expected above 0 and below 1"
            raise ValueError(msg)


class MF(MFRecommender, StretchModel):
    r"""Incremental matrix factorization for positive-only feedback (ISGD).

    With user factors p_u and item factors q_i, both of shape (k,), a positive (u, i) does one
    step of gradient descent on (1 - p_u . q_i)^2 + lambda (|p_u|^2 + |q_i|^2):

        e = 1 - p_u . q_i
        p_u <- p_u + 2 eta (e q_i - lambda p_u)
        q_i <- q_i + 2 eta (e p_u - lambda q_i)     with the p_u from before the step

    Items are ranked by |1 - p_u . q_i|, the smallest first, as in FluRS.

    FluRS copies the whole item matrix for each new item and keeps a dictionary for each user;
    here both are a `FactorMatrix`. The numbers are FluRS's own but for rounding, as inner products
    are added up in an order of their own, see `dots`: the same with numba and without, one by one
    and in stretches, on every machine.

    References:
        J. Vinagre, A. Jorge, J. Gama. Fast Incremental Matrix Factorization for Recommendation
        with Positive-only Feedback. UMAP 2014. FluRS: `flurs.recommender.MFRecommender`.
    """

    def __init__(self, config: MFConfig, seed: int) -> None:
        super().__init__(k=config.k, l2_reg=config.l2_reg, learn_rate=config.learn_rate)
        self.config = config
        self.initialize()
        self._p = FactorMatrix(config.k, seed, _USERS)
        self._q = FactorMatrix(config.k, seed, _ITEMS)
        self.Q = self._q.rows
        self._screen = Screen(self.k)

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

    def learn(self, user: int, item: int, rating: Rating, known: Sequence[int]) -> None:
        """Learns one positive."""
        self.update_model(user, item, 1.0)

    def stretch(self, n: int) -> int:
        """Returns how many positives to learn at once; 0 without numba."""
        if not compiled.AVAILABLE:
            return 0
        if not n:
            return _UNLISTED_STRETCH
        return min(_LONGEST_STRETCH, max(_SHORTEST_STRETCH, _SCREENED // max(1, self.n_item)))

    def learn_many(self, stretch: Stretch) -> Trail:
        """Learns positives in their order."""
        trail = FactorTrail(stretch, self._q, self._screen)
        self._learn_along(stretch, trail)
        return trail

    def _learn_along(self, stretch: Stretch, trail: FactorTrail) -> None:
        longest = near_one.learn_along(
            self._p.rows,
            self._q.rows,
            self._screen.copy,
            stretch.users,
            stretch.items,
            2.0 * self.learn_rate,
            self.l2_reg_u,
            trail.p_after,
            trail.q_before,
        )
        self._screen.reaches(longest)

    def update_model(self, ua: int, ia: int, value: float) -> None:
        """FluRS's step: the pair (ua, ia) with the target `value`."""
        p = self._p.rows[ua]
        q = self._q.rows[ia]
        rate = 2.0 * self.learn_rate
        if compiled.AVAILABLE:
            compiled.step(p, q, value, rate, self.l2_reg_u)
        else:
            error = value - dot(p, q)
            # Multiplying by a power of two is exact, so this rounds as FluRS's expression does.
            next_p = p + rate * (error * q - self.l2_reg_u * p)
            q += rate * (error * p - self.l2_reg_i * q)
            p[:] = next_p
        self._screen.changed(ia, q)

    def item_scores(self, user: int, context: Sequence[float] = ()) -> NDArray[np.float64]:
        """Returns 1 - |1 - p_u . q_i| for each item: 1 is the best there is."""
        return _nearness(dots(self._q.used(), self._p.rows[user]))

    def best_items(
        self, user: int, left_out: NDArray[np.int32], n: int, context: Sequence[float] = ()
    ) -> tuple[NDArray[np.integer], NDArray[np.floating]]:
        """Returns the `n` best items and their scores; few are scored, see `Screen`."""
        p = self._p.rows[user]
        if compiled.AVAILABLE and 0 < n <= LONGEST_LIST:
            return best_of_one(p, left_out, n, self._q, self._screen)
        self._screen.follow(self._q.used())
        near = self._screen.near_one(p, left_out, n) if n else None
        if near is None:
            return super().best_items(user, left_out, n, context)
        scores = _nearness(dots(self._q.rows[near], p))
        best = top_n(scores, n)
        return near[best], scores[best]

    def score(self, user: User, candidates: NDArray[np.intp]) -> NDArray[np.float64]:
        """FluRS's score, |1 - p_u . q_i| of each candidate: the smaller the better."""
        return np.asarray(np.abs(1.0 - self._q.rows[candidates] @ self._p.rows[user.index]))

    def keep_users(self, kept: NDArray[np.intp]) -> None:
        """Forgets all users but these."""
        self._p.keep(kept)
        self.n_user = self._p.n

    def keep_items(self, kept: NDArray[np.intp]) -> None:
        """Forgets all items but these."""
        self._q.keep(kept)
        self._screen = Screen(self.k)
        self.n_item = self._q.n
        self.Q = self._q.rows

    def state_dict(self) -> Arrays:
        """Returns the factors `p`, shape (n_user, k), and `q`, shape (n_item, k)."""
        return {**self._p.to_arrays("p"), **self._q.to_arrays("q")}

    def load_state_dict(self, arrays: Arrays) -> None:
        """Takes over the factors that `state_dict` returned.

        Raises:
            IncompatibleModelError: The factors are missing or not of this model's k.
        """
        self._p.from_arrays("p", arrays)
        self._q.from_arrays("q", arrays)
        self._screen = Screen(self.k)
        self.n_user, self.n_item = self._p.n, self._q.n
        self.Q = self._q.rows


def _nearness(products: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(1.0 - np.abs(1.0 - products))


def _require_next(kind: str, index: int, expected: int) -> None:
    if index != expected:
        msg = f"{kind} index is {index}, expected {expected}: register them in order"
        raise ValueError(msg)
