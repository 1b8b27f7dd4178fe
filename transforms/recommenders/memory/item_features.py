"""The features of items, for comparing an item that has few positives with what a user had."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from transforms.formats.records import MAX_FEATURES
from transforms.recommenders.arrays import Arrays, SavedArrays
from transforms.recommenders.memory.growable import GrowableRows
from transforms.recommenders.numerics import feature_similarity as kernels
from transforms.recommenders.numerics.cooccurrence_arrays import ColumnArrays, HistoryArrays

_LOG: Final = logging.getLogger(__name__)


class ItemFeatures:
    """What ratings said of items, the last one counting; nothing until one says something.

    The first vector fixes how many features there are; one of another length is ignored, and a
    warning says so once. An item without any is like no other.

    A vector is compared as its deviation from the mean, in standard deviations, so that a
    feature that most items have tells little, and units do not matter. Mean and deviation are
    those of all items that had features when the number of these last doubled, so that keeping
    them up to date costs a constant for each item.

    Args:
        weight: See `ItemKNN`; 0 for never remembering anything.
    """

    def __init__(self, weight: float) -> None:
        self._weight = weight
        self._n_item = 0
        self._warned = False
        self._forget(0)

    def _forget(self, n_item: int) -> None:
        self._n_item = n_item
        self._vectors = GrowableRows((0,))
        self._has = GrowableRows(dtype=np.bool)
        self._moments = np.zeros((2, 0))
        # How many items had features, now and when `_moments` were taken.
        self._count = self._measured = 0
        self._units = np.zeros((0, 0))
        self._profile = np.zeros(0)

    @property
    def known(self) -> bool:
        """Whether any item has features."""
        return self._count > 0

    def uses(self, vector: Sequence[float]) -> bool:
        """Whether anything follows from an item's having these features."""
        return self._weight > 0 and len(vector) > 0

    def add_item(self) -> None:
        """Adds an item without features."""
        self._n_item += 1
        if self._moments.size:
            self._make_room()

    def _make_room(self) -> None:
        missing = self._n_item - self._vectors.n
        self._vectors.add(missing)
        self._has.add(missing)
        capacity = len(self._vectors.rows)
        if capacity > self._units.shape[1]:
            units = np.zeros((len(self._units), capacity))
            units[:, : self._units.shape[1]] = self._units
            self._units = units

    def see(self, item: int, vector: Sequence[float]) -> None:
        """Remembers an item's features."""
        if not self._moments.size:
            self._set_length(len(vector))
            self._make_room()
        if len(vector) != len(self._profile):
            self._warn(len(vector))
            return
        self._vectors.rows[item] = np.clip(vector, -kernels.LARGEST, kernels.LARGEST)
        self._count += not self._has.rows[item]
        self._has.rows[item] = True
        if self._count >= 2 * self._measured:
            self._measured = self._count
            kernels.moments_of(self._vectors.used(), self._has.used(), self._moments)
            self._standardize_all()
        else:
            kernels.standardize(self._vectors.rows[item], self._moments, self._units[:, item])

    def _set_length(self, length: int) -> None:
        self._vectors = GrowableRows((length,))
        self._moments = np.zeros((2, length))
        self._units = np.zeros((length, 0))
        self._profile = np.zeros(length)

    def _standardize_all(self) -> None:
        kernels.standardize_all(self._vectors.used(), self._has.used(), self._moments, self._units)

    def _warn(self, length: int) -> None:
        if not self._warned:
            self._warned = True
            text = "item_features of %d numbers is ignored, expected %d as in the first rating"
            _LOG.warning(text + " that had any", length, len(self._profile))

    def change_scores(
        self,
        histories: HistoryArrays,
        user: int,
        columns: ColumnArrays,
        scores: NDArray[np.float64],
        *,
        all_listed: bool,
    ) -> None:
        """Changes a user's scores, by column, by how items' features go with their history."""
        if self.known and user >= 0:
            kernels.fill_profile(self._units, histories, user, self._profile)
            kernels.change_scores(
                self._units, self._profile, columns, self._weight, all_listed, scores
            )

    def change_one(
        self, histories: HistoryArrays, user: int, item: int, chosen: float, score: float
    ) -> float:
        """Returns what `change_scores` makes of one item's score."""
        if not self.known or user < 0:
            return score
        kernels.fill_profile(self._units, histories, user, self._profile)
        return float(
            kernels.change_one(self._units, self._profile, item, chosen, self._weight, score)
        )

    def keep_items(self, kept: NDArray[np.intp]) -> None:
        """Drops all items but these."""
        if not self._moments.size:
            self._n_item = len(kept)
            return
        self._load(self._vectors.rows[kept], self._has.rows[kept], self._moments)
        self._measured = min(self._measured, self._count)

    def state_dict(self) -> Arrays:
        """Returns vectors, which items have any, and what they are standardized by; or nothing."""
        if not self._moments.size:
            return {}
        return {
            "item_features.vectors": self._vectors.used().copy(),
            "item_features.known": self._has.used().copy(),
            "item_features.moments": self._moments.copy(),
            "item_features.measured": np.array([self._measured]),
        }

    def load_state_dict(self, arrays: SavedArrays, n_item: int) -> None:
        """Takes over what `state_dict` returned.

        Raises:
            IncompatibleModelError: An array is missing or damaged.
        """
        if not arrays.has("item_features.vectors"):
            self._forget(n_item)
            return
        vectors = arrays.finite("item_features.vectors", (n_item, None), largest=kernels.LARGEST)
        length = vectors.shape[1]
        fits = 0 < length <= MAX_FEATURES
        arrays.require(fits, "item_features.vectors", f"has {length} features")
        has = arrays.numbers("item_features.known", np.bool, (n_item,))
        moments = arrays.finite("item_features.moments", (2, length), largest=np.inf)
        arrays.require(bool((moments[1] >= 0).all()), "item_features.moments", "has one below 0")
        self._measured = arrays.count("item_features.measured")
        self._load(vectors, has, moments)

    def _load(
        self, vectors: NDArray[np.float64], has: NDArray[np.bool], moments: NDArray[np.float64]
    ) -> None:
        self._n_item = len(vectors)
        self._set_length(vectors.shape[1])
        self._vectors.load(vectors)
        self._has.load(has)
        self._moments = moments
        self._count = int(has.sum())
        self._make_room()
        self._standardize_all()
