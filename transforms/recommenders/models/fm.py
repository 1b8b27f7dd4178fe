"""Incremental factorization machines: FluRS's FM, growing at constant cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from transforms.formats.records import Rating
from transforms.recommenders import validation
from transforms.recommenders.arrays import Arrays, SavedArrays
from transforms.recommenders.memory.factor_matrix import FactorMatrix
from transforms.recommenders.memory.features import ITEM, FeatureStore
from transforms.recommenders.memory.growable import GrowableRows
from transforms.recommenders.model import Model

_USERS: Final = 0
_ITEMS: Final = 1
_FEATURES: Final = 2
_NOBODY: Final = -1


@dataclass(frozen=True)
class FMConfig:
    """Hyperparameters of `FM`, under FluRS's names; what each is stands in its metadata."""

    k: int = field(default=40, metadata={"help": "number of latent factors"})
    l2_reg_w0: float = field(default=2.0, metadata={"help": "initial regularization of the bias"})
    l2_reg_w: float = field(default=0.1, metadata={"help": "initial regularization of weights"})
    l2_reg_V: float = field(default=16.0, metadata={"help": "regularization of factors"})
    learn_rate: float = field(default=0.002, metadata={"help": "step size, eta"})
    init_scale: float = field(default=0.01, metadata={"help": "standard deviation of new factors"})

    def __post_init__(self) -> None:
        """Raises ValueError for a value that cannot work."""
        validation.at_least("k", self.k, 1)
        validation.at_most("k", self.k, 10_000)
        validation.step_size("learn_rate", self.learn_rate)
        validation.share("init_scale", self.init_scale)
        for name in ("l2_reg_w0", "l2_reg_w", "l2_reg_V"):
            value = getattr(self, name)
            validation.at_least(name, value, 0)
            if self.learn_rate * value >= 1:
                msg = f"{name} is {value}, expected below 1 / learn_rate: it would diverge"
                raise ValueError(msg)


class _Parameters:
    """The parameters of one kind of input: a weight and a row of factors for each."""

    def __init__(self, config: FMConfig, seed: int, name: int) -> None:
        self.w = GrowableRows()
        self.v = FactorMatrix(config.k, seed, name, config.init_scale)

    def add(self) -> None:
        self.w.add()
        self.v.add()

    def keep(self, kept: NDArray[np.intp]) -> None:
        self.w.keep(kept)
        self.v.keep(kept)

    def to_arrays(self, name: str) -> Arrays:
        return {f"{name}.w": self.w.used().copy(), **self.v.to_arrays(f"{name}.v")}

    def load(self, name: str, arrays: SavedArrays, n: int) -> None:
        self.w.load(arrays.finite(f"{name}.w", (n,)))
        self.v.load(f"{name}.v", arrays, n)


class FM(Model):
    r"""Incremental factorization machines for positive-only feedback.

    An input x has a 1 for the user, a 1 for the item, and the features of user, item and
    context as they are; each of its places j has a weight w_j and factors v_j of shape (k,):

        y = w_0 + sum_j w_j x_j + (|sum_j x_j v_j|^2 - sum_j x_j^2 |v_j|^2) / 2
        e = 1 - y
        w_0 <- w_0 + 2 eta (e - lambda_0 w_0)
        w_j <- w_j + 2 eta (e x_j - lambda_w w_j)                                 where x_j != 0
        v_j <- v_j + 2 eta (e x_j (sum_i x_i v_i - x_j v_j) - lambda_V v_j)       where x_j != 0

    lambda_0 and lambda_w adapt before each step: with the parameters w' from before the step
    before, lambda <- max(0, lambda + 4 eta^2 e w'_0), or e sum_j x_j w'_j. FluRS means to adapt
    lambda_V too, but writes it where nobody reads it, so it stays. Items are ranked by |1 - y|,
    the smallest first.

    Features are those of `FeatureStore`, scaled where they are large: what a rating does not say
    of its user or item is taken from the last one that did; without any features it is a
    factorization with biases. So that many features, or large factors, cannot make a step
    overshoot, its size is 2 eta at most, and at most 1 / |dy / d(w_0, w, v)|^2, as in normalized
    least mean squares; lambda_0 and lambda_w stay below 1 / eta.

    FluRS's defaults are eta 0.004, lambda_w 8 and new factors N(0, 0.1^2): weights of items then
    forget what popular is within some 16 positives, and factors begin as noise. The defaults keep
    both small, which is as good as most popular without features. With features neither is.

    FluRS copies all parameters for each new user and item; here users, items and features have
    rows of their own that double. The numbers are FluRS's to rounding, where FluRS grows at
    all: it puts a new item's parameters before those of the user's features and the context, so
    with these it is right only if all items are registered beforehand. Here they may come as
    they come. Scoring takes O(n_item k), and with d features of
    items O(n_item d (k + d)).

    References:
        T. Kitazawa. Incremental Factorization Machines for Persistently Cold-Starting Online
        Item Recommendation. arXiv:1607.02858, 2016. FluRS: `flurs.recommender.FMRecommender`
        with `use_index=True`. Normalized steps: S. Haykin. Adaptive Filter Theory, chapter 7.
    """

    def __init__(self, config: FMConfig, seed: int) -> None:
        self.config = config
        self.n_user = 0
        self.n_item = 0
        self._features = FeatureStore()
        self._users = _Parameters(config, seed, _USERS)
        self._items = _Parameters(config, seed, _ITEMS)
        self._weights = _Parameters(config, seed, _FEATURES)
        self._w0 = 0.0
        self._l2_reg_w0 = config.l2_reg_w0
        self._l2_reg_w = config.l2_reg_w
        # As they were before the last step.
        self._last = [_NOBODY, _NOBODY]
        self._last_w = [0.0, 0.0]
        self._last_w0 = 0.0
        self._last_features_w = np.zeros(0)

    def add_user(self) -> None:
        """Adds the user with index `n_user`."""
        self._users.add()
        self._features.users.add()
        self.n_user += 1

    def add_item(self) -> None:
        """Adds the item with index `n_item`."""
        self._items.add()
        self._features.items.add()
        self.n_item += 1

    def learn(self, user: int, item: int, rating: Rating, seen: NDArray[np.int32]) -> None:
        """Learns one positive."""
        context = self._features.see(user, item, rating.features)
        self._make_room()
        z = self._features.whole(user, context, item)
        active = np.flatnonzero(z)
        x = z[active]
        w, v = self._weights.w.rows, self._weights.v.rows[active]
        user_v, item_v = self._users.v.rows[user], self._items.v.rows[item]
        user_w, item_w = self._users.w.rows[user], self._items.w.rows[item]
        total = user_v + item_v + x @ v
        alone = user_v @ user_v + item_v @ item_v + x * x @ np.einsum("ij,ij->i", v, v)
        predicted = self._w0 + user_w + item_w + x @ w[active] + (total @ total - alone) / 2.0
        error = float(1.0 - predicted)
        self._adapt(user, item, z, error)

        column = x[:, np.newaxis]
        user_slope, item_slope, slopes = total - user_v, total - item_v, total - column * v
        steepness = 3.0 + x @ x + user_slope @ user_slope + item_slope @ item_slope
        steepness += x * x @ np.einsum("ij,ij->i", slopes, slopes)
        rate = min(2.0 * self.config.learn_rate, float(1.0 / steepness))
        l2_reg_v = self.config.l2_reg_V
        self._last, self._last_w, self._last_w0 = [user, item], [user_w, item_w], self._w0
        self._last_features_w = self._weights.w.used().copy()
        self._w0 += rate * (error - self._l2_reg_w0 * self._w0)
        self._users.w.rows[user] += rate * (error - self._l2_reg_w * user_w)
        self._items.w.rows[item] += rate * (error - self._l2_reg_w * item_w)
        w[active] += rate * (error * x - self._l2_reg_w * w[active])
        user_v += rate * (error * user_slope - l2_reg_v * user_v)
        item_v += rate * (error * item_slope - l2_reg_v * item_v)
        v += rate * (error * column * slopes - l2_reg_v * v)
        self._weights.v.rows[active] = v

    def _make_room(self) -> None:
        missing = self._features.length - self._weights.w.n
        for _ in range(missing):
            self._weights.add()
        if missing:
            self._last_features_w = np.append(self._last_features_w, np.zeros(missing))

    def _adapt(self, user: int, item: int, z: NDArray[np.float64], error: float) -> None:
        last_user, last_item = self._last
        user_w = self._last_w[0] if user == last_user else self._users.w.rows[user]
        item_w = self._last_w[1] if item == last_item else self._items.w.rows[item]
        last = user_w + item_w + z @ self._last_features_w
        step = 4.0 * self.config.learn_rate**2 * error
        # Beyond, the regularization of a step would overshoot 0.
        largest = 1.0 / self.config.learn_rate
        self._l2_reg_w0 = min(max(0.0, self._l2_reg_w0 + step * self._last_w0), largest)
        self._l2_reg_w = min(max(0.0, float(self._l2_reg_w + step * last)), largest)

    def item_scores(self, user: int, context: Sequence[float] = ()) -> NDArray[np.float64]:
        """Returns 1 - |1 - y| for each item: 1 is the best there is."""
        items = self._features.all_items()
        z = self._features.whole(user, self._features.context(context), -1)
        w, v = self._weights.w.used(), self._weights.v.used()
        own = self._users.v.rows[user]
        total = own + z @ v
        base = self._w0 + self._users.w.rows[user] + z @ w
        base += (total @ total - own @ own - z * z @ np.einsum("ij,ij->i", v, v)) / 2.0

        factors = self._items.v.used()
        scores = factors @ total
        scores += self._items.w.used()
        if items.shape[1]:
            # Of each feature: its weight, its pair with the user's side, with the item itself,
            # and with the item's other features.
            part = self._features.part(ITEM)
            of_items = v[part]
            pairs = of_items @ of_items.T / 2.0
            np.fill_diagonal(pairs, 0.0)
            slopes = factors @ of_items.T
            slopes += items @ pairs
            slopes += of_items @ total + w[part]
            scores += np.einsum("ij,ij->i", slopes, items)
        scores += base - 1.0
        np.abs(scores, out=scores)
        return np.asarray(np.subtract(1.0, scores, out=scores))

    def keep_users(self, kept: NDArray[np.intp]) -> None:
        """Drops all users but these."""
        self._users.keep(kept)
        self._features.users.keep(kept)
        self._last[0] = _moved(self._last[0], kept)
        self.n_user = len(kept)

    def keep_items(self, kept: NDArray[np.intp]) -> None:
        """Drops all items but these."""
        self._items.keep(kept)
        self._features.items.keep(kept)
        self._last[1] = _moved(self._last[1], kept)
        self.n_item = len(kept)

    def state_dict(self) -> Arrays:
        """Returns weights, factors and features of all inputs, and the last step's weights."""
        return {
            **self._users.to_arrays("users"),
            **self._items.to_arrays("items"),
            **self._weights.to_arrays("weights"),
            **self._features.state_dict(),
            "scalars": np.array([self._w0, self._l2_reg_w0, self._l2_reg_w, self._last_w0]),
            "last": np.array(self._last),
            "last.w": np.array(self._last_w, dtype=np.float64),
            "last.features.w": self._last_features_w.copy(),
        }

    def load_state_dict(self, arrays: SavedArrays, n_user: int, n_item: int) -> None:
        """Takes over what `state_dict` returned.

        Raises:
            IncompatibleModelError: An array is missing, damaged or not of this model's k.
        """
        self._features.load_state_dict(arrays, n_user, n_item)
        length = self._features.length
        self._users.load("users", arrays, n_user)
        self._items.load("items", arrays, n_item)
        self._weights.load("weights", arrays, length)
        scalars = arrays.finite("scalars", (4,)).tolist()
        self._w0, self._l2_reg_w0, self._l2_reg_w, self._last_w0 = scalars
        self._last = arrays.numbers("last", np.int64, (2,)).tolist()
        pairs = zip(self._last, (n_user, n_item), strict=True)
        within = all(_NOBODY <= last < n for last, n in pairs)
        arrays.require(within, "last", "has an index out of range")
        self._last_w = arrays.finite("last.w", (2,)).tolist()
        self._last_features_w = arrays.finite("last.features.w", (length,))
        self.n_user, self.n_item = n_user, n_item


def _moved(index: int, kept: NDArray[np.intp]) -> int:
    place = int(np.searchsorted(kept, index))
    return place if place < len(kept) and kept[place] == index else _NOBODY
