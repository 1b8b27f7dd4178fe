"""Matrix factorization for ranking: FluRS's BPRMF, growing at constant cost."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from transforms.formats.records import Rating
from transforms.recommenders import validation
from transforms.recommenders.arrays import Arrays, SavedArrays
from transforms.recommenders.memory.factor_matrix import FactorMatrix
from transforms.recommenders.model import Model
from transforms.recommenders.numerics.counter_rng import draw
from transforms.recommenders.numerics.jit import compile_exact

_USERS: Final = 0
_ITEMS: Final = 1
_LARGEST_EXPONENT: Final = 700.0


@dataclass(frozen=True)
class BPRMFConfig:
    """Hyperparameters of `BPRMF`, under FluRS's names; what each is stands in its metadata."""

    k: int = field(default=40, metadata={"help": "number of latent factors"})
    l2_reg: float = field(default=0.0, metadata={"help": "regularization, lambda"})
    learn_rate: float = field(default=0.3, metadata={"help": "step size, eta"})

    def __post_init__(self) -> None:
        """Raises ValueError for a value that cannot work."""
        validation.at_least("k", self.k, 1)
        validation.at_most("k", self.k, 10_000)
        validation.share("l2_reg", self.l2_reg)
        validation.step_size("learn_rate", self.learn_rate)


class BPRMF(Model):
    r"""Incremental matrix factorization with Bayesian personalized ranking.

    With user factors p_u and item factors q_i, both of shape (k,), a positive (u, i) is set
    against an item j drawn uniformly from those that u does not have:

        x = p_u . q_i - p_u . q_j
        s = 1 / (1 + exp(x))
        p_u <- p_u + eta (s (q_i - q_j) + lambda p_u)
        q_i <- q_i + eta (s p_u + lambda q_i)       with the p_u from before the step
        q_j <- q_j + eta (-s p_u + lambda q_j)

    Items are ranked by p_u . q_i, the largest first. Where the user has every item there is no j,
    and nothing is learned.

    The signs of lambda are FluRS's: it adds the regularization where Rendle's paper subtracts
    it, so factors grow by 1 + eta lambda a step rather than shrink. On a stream without end that
    has no bound, so lambda is 0 by default. FluRS's own defaults, eta 0.003 and lambda 0.01, are
    made for many passes: with one, the factors stay near where they were drawn, and so the lists
    stay at chance.

    FluRS copies the whole item matrix for each new item, builds the list of all the user's
    missing items for each positive, and draws from a global generator; here rows double, the
    r-th missing item is found by halving, and r is a function of the seed and the count of
    positives. The numbers are FluRS's to rounding, and its sigmoid no longer overflows.

    References:
        S. Rendle, C. Freudenthaler, Z. Gantner, L. Schmidt-Thieme. BPR: Bayesian Personalized
        Ranking from Implicit Feedback. UAI 2009. FluRS: `flurs.recommender.BPRMFRecommender`.
    """

    def __init__(self, config: BPRMFConfig, seed: int) -> None:
        self.config = config
        self.n_user = 0
        self.n_item = 0
        self._seed = seed
        self._learned = 0
        self._p = FactorMatrix(config.k, seed, _USERS)
        self._q = FactorMatrix(config.k, seed, _ITEMS)

    def add_user(self) -> None:
        """Adds the user with index `n_user`."""
        self._p.add()
        self.n_user = self._p.n

    def add_item(self) -> None:
        """Adds the item with index `n_item`."""
        self._q.add()
        self.n_item = self._q.n

    def learn(self, user: int, item: int, rating: Rating, seen: NDArray[np.int32]) -> None:
        """Learns one positive against a drawn item that the user does not have."""
        missing = self.n_item - len(seen)
        if missing:
            number = draw(self._seed, self._learned) * missing >> 64
            self._step(user, item, nth_missing(seen, number))
        self._learned += 1

    def _step(self, user: int, item: int, negative: int) -> None:
        p, q, n = self._p.rows[user], self._q.rows[item], self._q.rows[negative]
        rate, l2_reg = self.config.learn_rate, self.config.l2_reg
        x = float(p.dot(q) - p.dot(n))
        sigmoid = 1.0 / (1.0 + math.exp(min(x, _LARGEST_EXPONENT)))
        next_p = p + rate * (sigmoid * (q - n) + l2_reg * p)
        pull = sigmoid * p
        q += rate * (pull + l2_reg * q)
        n += rate * (l2_reg * n - pull)
        p[:] = next_p

    def item_scores(self, user: int, context: Sequence[float] = ()) -> NDArray[np.float64]:
        """Returns p_u . q_i for each item."""
        return np.asarray(self._q.used() @ self._p.rows[user])

    def keep_users(self, kept: NDArray[np.intp]) -> None:
        """Drops all users but these."""
        self._p.keep(kept)
        self.n_user = self._p.n

    def keep_items(self, kept: NDArray[np.intp]) -> None:
        """Drops all items but these."""
        self._q.keep(kept)
        self.n_item = self._q.n

    def state_dict(self) -> Arrays:
        """Returns `p`, shape (n_user, k), `q`, shape (n_item, k), and the count of positives."""
        learned = np.array([self._learned])
        return {**self._p.to_arrays("p"), **self._q.to_arrays("q"), "learned": learned}

    def load_state_dict(self, arrays: SavedArrays, n_user: int, n_item: int) -> None:
        """Takes over what `state_dict` returned.

        Raises:
            IncompatibleModelError: An array is missing, damaged or not of this model's k.
        """
        self._p.load("p", arrays, n_user)
        self._q.load("q", arrays, n_item)
        self._learned = arrays.count("learned")
        self.n_user, self.n_item = self._p.n, self._q.n


@compile_exact
def nth_missing(seen: NDArray[np.int32], number: int) -> int:
    """Returns the whole number, from 0, that `number` others which are not seen precede.

    Args:
        seen: Ascending, without repeats.
        number: How many missing ones come before it.
    """
    low, high = 0, len(seen)
    while low < high:
        middle = (low + high) // 2
        # seen[middle] - middle missing ones come before seen[middle].
        if seen[middle] - middle <= number:
            low = middle + 1
        else:
            high = middle
    return number + low
