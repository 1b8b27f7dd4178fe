"""Matrix sketching over features: FluRS's OnlineSketch, with users and items that come."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from transforms.errors import IncompatibleModelError
from transforms.formats.records import Rating
from transforms.recommenders import validation
from transforms.recommenders.arrays import Arrays, SavedArrays
from transforms.recommenders.memory.features import FeatureStore
from transforms.recommenders.model import Model
from transforms.recommenders.numerics.projections import PROJECTIONS, RAW, Projection

_ZERO: Final = 1e-8
"""What FluRS, by numpy's `isclose`, takes for zero."""


@dataclass(frozen=True)
class SketchConfig:
    """Hyperparameters of `Sketch`, under FluRS's names; what each is stands in its metadata."""

    k: int = field(
        default=40, metadata={"help": "length of a projected vector; of no matter with Raw"}
    )
    ell: int = field(
        default=-1, metadata={"help": "most bases of the sketch; -1 for the root of the length"}
    )
    r: int = field(
        default=-1, metadata={"help": "bases that lists are made from; -1 for half of ell"}
    )
    proj: str = field(
        default=RAW, metadata={"help": "projection of the features", "choices": PROJECTIONS}
    )

    def __post_init__(self) -> None:
        """Raises ValueError for a value that cannot work."""
        validation.at_least("k", self.k, 1)
        validation.at_most("k", self.k, 10_000)
        for name, value in (("ell", self.ell), ("r", self.r)):
            if value != -1:
                validation.at_least(name, value, 1)
        if self.proj not in PROJECTIONS:
            msg = f"proj is {self.proj}, expected one of {', '.join(PROJECTIONS)}"
            raise ValueError(msg)
        if self.proj != RAW and self.ell > self.k:
            msg = f"ell is {self.ell}, expected at most k, {self.k}"
            raise ValueError(msg)
        if 0 < self.ell < self.r:
            msg = f"r is {self.r}, expected at most ell, {self.ell}"
            raise ValueError(msg)


class Sketch(Model):
    r"""Keeps a low-rank sketch of the features of all positives, and lists what lies near it.

    A positive's vector is that of its user's features, its context and its item's features end
    to end, shape (p,), projected to shape (k,) and divided by its length; y. The sketch B, shape
    (k, ell), is kept by the Frequent Directions algorithm:

        the leftmost zero column of B, or the last one, becomes y
        U S V^T = svd(B)
        U_r = the first r columns of U                  what lists are made from
        B = U sqrt(S^2 - S_ell^2)                       so that its last column is zero again

    An item's score is 1 - |(I - U_r U_r^T) y| with the y of user, context and item; FluRS ranks
    by what is subtracted here, the smallest first.

    Ids play no part: items with the same features have the same score, and without any features
    all have 0. Features are those of `FeatureStore`; the sketch begins with the first positive
    that has any, and where a kind of them comes later what was sketched has zeros for it. An
    update takes O(k ell^2), a list O(n_item k r).

    FluRS needs the length of all vectors beforehand, copies the matrix of all items for each new
    one, keeps an item's features as they first were, and fails when `r` is given. The numbers
    are FluRS's to rounding.

    References:
        T. Kitazawa. Sketching Dynamic User-Item Interactions for Online Item Recommendation.
        CHIIR 2017. FluRS: `flurs.recommender.SketchRecommender`.
    """

    def __init__(self, config: SketchConfig, seed: int) -> None:
        self.config = config
        self.n_user = 0
        self.n_item = 0
        self._seed = seed
        self._features = FeatureStore()
        self._projection = Projection.empty(config.proj, config.k)
        self._b = np.zeros((0, 0))
        self._u = np.zeros((0, 0))

    def add_user(self) -> None:
        """Adds the user with index `n_user`."""
        self._features.users.add()
        self.n_user += 1

    def add_item(self) -> None:
        """Adds the item with index `n_item`."""
        self._features.items.add()
        self.n_item += 1

    def learn(self, user: int, item: int, rating: Rating, seen: NDArray[np.int32]) -> None:
        """Learns one positive, if it or one before it had features."""
        context = self._features.see(user, item, rating.features)
        if self._features.length > self._projection.matrices.shape[2]:
            self._grow()
        if self._features.length:
            self._add(self._reduced(self._features.whole(user, context, item)[np.newaxis])[0])

    def _grow(self) -> None:
        self._projection.grow(self._features.length, self._seed)
        k = self._projection.k
        if not self._b.size:
            ell = math.isqrt(k) if self.config.ell < 1 else min(k, self.config.ell)
            self._b, self._u = np.zeros((k, ell)), np.zeros((k, 0))
        # Without a projection the new features are further rows.
        rows = k - len(self._b)
        self._b, self._u = (np.pad(matrix, ((0, rows), (0, 0))) for matrix in (self._b, self._u))

    def _add(self, y: NDArray[np.float64]) -> None:
        zero = np.flatnonzero(abs(self._b.sum(axis=0)) <= _ZERO)
        ell = self._b.shape[1]
        self._b[:, zero[0] if len(zero) else ell - 1] = y
        u, s, _ = np.linalg.svd(self._b, full_matrices=False)
        r = math.ceil(ell / 2) if self.config.r < 1 else min(self.config.r, ell)
        self._u = u[:, :r].copy()
        self._b = u * np.sqrt(s * s - s[-1] * s[-1])

    def _reduced(self, vectors: NDArray[np.float64]) -> NDArray[np.float64]:
        """Returns each vector projected and of length 1: shape (n, p) becomes (n, k)."""
        # A copy, as a raw projection returns what it was given.
        y = self._projection.reduce(vectors).copy()
        lengths = np.sqrt(np.einsum("ij,ij->i", y, y))
        lengths[lengths == 0.0] = 1.0
        y /= lengths[:, np.newaxis]
        return y

    def item_scores(self, user: int, context: Sequence[float] = ()) -> NDArray[np.float64]:
        """Returns 1 - |(I - U_r U_r^T) y| for each item: 1 is the best there is."""
        if not self._features.length:
            return np.zeros(self.n_item)
        y = self._reduced(self._features.whole_of_items(user, self._features.context(context)))
        y -= (y @ self._u) @ self._u.T
        return np.asarray(1.0 - np.sqrt(np.einsum("ij,ij->i", y, y)))

    def keep_users(self, kept: NDArray[np.intp]) -> None:
        """Forgets the features of all users but these; the sketch stays."""
        self._features.users.keep(kept)
        self.n_user = len(kept)

    def keep_items(self, kept: NDArray[np.intp]) -> None:
        """Forgets the features of all items but these; the sketch stays."""
        self._features.items.keep(kept)
        self.n_item = len(kept)

    def state_dict(self) -> Arrays:
        """Returns the features, the projection, `b`, shape (k, ell), and `u`, shape (k, r)."""
        return {
            **self._features.state_dict(),
            "shape": self._shape(),
            "projection": self._projection.matrices.copy(),
            "b": self._b.copy(),
            "u": self._u.copy(),
        }

    def load_state_dict(self, arrays: SavedArrays, n_user: int, n_item: int) -> None:
        """Takes over what `state_dict` returned.

        Raises:
            IncompatibleModelError: Something is missing, or of other hyperparameters.
        """
        shape = arrays.numbers("shape", np.int64, (4,))
        if shape.tolist() != self._shape().tolist():
            msg = f"the saved sketch has k, ell, r and projection {shape.tolist()}, expected"
            msg += f" {self._shape().tolist()}"
            raise IncompatibleModelError(msg)
        self._features.load_state_dict(arrays, n_user, n_item)
        number, k, _ = Projection.empty(self.config.proj, self.config.k).matrices.shape
        matrices = arrays.finite("projection", (number, k, self._features.length))
        self._projection = Projection(self.config.proj, matrices)
        self._b, self._u = arrays.finite("b", (None, None)), arrays.finite("u", (None, None))
        rows, ell = self._b.shape
        known = self._features.length > 0
        fits = rows == (self._projection.k if known else 0) and known == (0 < ell <= rows)
        arrays.require(fits, "b", f"is of shape {self._b.shape}, which does not fit")
        fits = len(self._u) == rows and self._u.shape[1] <= ell
        arrays.require(fits, "u", f"is of shape {self._u.shape}, which does not fit")
        self.n_user, self.n_item = n_user, n_item

    def _shape(self) -> NDArray[np.int64]:
        config = self.config
        return np.array([config.k, config.ell, config.r, PROJECTIONS.index(config.proj)])
