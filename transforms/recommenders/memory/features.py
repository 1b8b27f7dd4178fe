"""The features that users and items were last seen with, for the models that use them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from transforms.formats.records import MAX_FEATURES, Features
from transforms.recommenders.arrays import Arrays, SavedArrays
from transforms.recommenders.memory.growable import GrowableRows

_LOG: Final = logging.getLogger(__name__)
_NO_FEATURES: Final = Features()

_LARGEST_UNSCALED: Final = 4.0
"""A feature that was never farther from 0 than this is used as it is."""

USER: Final = 0
CONTEXT: Final = 1
ITEM: Final = 2


class FeatureStore:
    """What ratings said of each user and item, the last one counting, and of their context.

    The first vector of a kind (user, item, context) that is not empty fixes the length of that
    kind. One of another length is ignored, as if the rating did not have it, and a warning says
    so, once for each kind. What is not known is zero.

    The kinds stand end to end in the order in which they became known; of those that did with
    the same rating the user's come first, then the context, then the item's, as in FluRS.

    Models get scaled features: once the absolute value of a feature has exceeded 4, it is divided
    by the largest that was seen (max-abs scaling), so that a year or a price does not drown all
    others. Features of the order of 1 are used as they are.

    Attributes:
        users: As they came, shape (n_user, length); the length is 0 until it is known.
        items: As they came, shape (n_item, length), likewise.
        context_length: Of contexts, 0 until it is known.
        length: Of all kinds end to end.
    """

    def __init__(self) -> None:
        self.users = GrowableRows((0,))
        self.items = GrowableRows((0,))
        self.context_length = 0
        self.length = 0
        self._starts = [0, 0, 0]
        self._scale = np.zeros(0)
        self._is_scaled = False
        self._warned: set[str] = set()

    def _lengths(self) -> tuple[int, int, int]:
        return self.users.rows.shape[1], self.context_length, self.items.rows.shape[1]

    def part(self, kind: int) -> slice:
        """Returns where `USER`, `CONTEXT` or `ITEM` stands; empty if nothing is known of it."""
        start = self._starts[kind]
        return slice(start, start + self._lengths()[kind])

    def whole(self, user: int, context: NDArray[np.float64], item: int) -> NDArray[np.float64]:
        """Returns the scaled features of all kinds end to end, shape (length,).

        Args:
            user: Index of the user.
            context: As `see` and `context` return it.
            item: Index of the item; -1 for none, whose features are zero.
        """
        whole = np.empty(self.length)
        whole[self.part(USER)] = self.users.rows[user] / self._scale_of(USER)
        whole[self.part(CONTEXT)] = context
        whole[self.part(ITEM)] = self.item(item) if item >= 0 else 0.0
        return whole

    def whole_of_items(self, user: int, context: NDArray[np.float64]) -> NDArray[np.float64]:
        """Returns what `whole` does for each item, shape (n_item, length)."""
        whole = np.tile(self.whole(user, context, -1), (self.items.n, 1))
        whole[:, self.part(ITEM)] = self.all_items()
        return whole

    def item(self, item: int) -> NDArray[np.float64]:
        """Returns an item's scaled features."""
        return np.asarray(self.items.rows[item] / self._scale_of(ITEM))

    def all_items(self) -> NDArray[np.float64]:
        """Returns the scaled features of all items, shape (n_item, length); not to be changed."""
        items = self.items.used()
        return np.asarray(items / self._scale_of(ITEM)) if self._is_scaled else items

    def see(self, user: int, item: int, features: Features | None) -> NDArray[np.float64]:
        """Remembers what a rating says of its user and item; returns its scaled context."""
        said = features or _NO_FEATURES
        before = self._lengths()
        self.users = self._put("user_features", self.users, user, said.user)
        self.items = self._put("item_features", self.items, item, said.item)
        if said.context and not self.context_length:
            self.context_length = len(said.context)
        for kind, length in enumerate(self._lengths()):
            if length > before[kind]:
                self._starts[kind] = self.length
                self.length += length
                self._scale = np.append(self._scale, np.ones(length))
        for kind, vector in enumerate((said.user, said.context, said.item)):
            if len(vector) == self._lengths()[kind]:
                self._fit_scale(kind, vector)
        return self.context(said.context)

    def context(self, vector: Sequence[float]) -> NDArray[np.float64]:
        """Returns a scaled context as an array of the length that contexts have."""
        if not vector or not self._fits("context", vector, self.context_length):
            return np.zeros(self.context_length)
        scaled = np.array(vector, dtype=np.float64) / self._scale_of(CONTEXT)
        # That of a request was not learned, so it may be of any size.
        return np.clip(scaled, -_LARGEST_UNSCALED, _LARGEST_UNSCALED)

    def _scale_of(self, kind: int) -> NDArray[np.float64]:
        return self._scale[self.part(kind)]

    def _fit_scale(self, kind: int, vector: Sequence[float]) -> None:
        sizes = np.abs(np.array(vector, dtype=np.float64))
        large = sizes > _LARGEST_UNSCALED
        if large.any():
            scale = self._scale_of(kind)
            scale[large] = np.maximum(scale[large], sizes[large])
            self._is_scaled = True

    def _put(
        self, name: str, rows: GrowableRows, index: int, vector: Sequence[float]
    ) -> GrowableRows:
        if not vector:
            return rows
        if not rows.rows.shape[1]:
            n = rows.n
            rows = GrowableRows((len(vector),))
            rows.add(n)
        if self._fits(name, vector, rows.rows.shape[1]):
            rows.rows[index] = vector
        return rows

    def _fits(self, name: str, vector: Sequence[float], length: int) -> bool:
        fits = len(vector) == length
        if length and not fits and name not in self._warned:
            self._warned.add(name)
            text = "%s of %d numbers is ignored, expected %d as in the first rating that had any"
            _LOG.warning(text, name, len(vector), length)
        return fits

    def state_dict(self) -> Arrays:
        """Returns features of users and items, the context's length, starts and scales."""
        return {
            "features.users": self.users.used().copy(),
            "features.items": self.items.used().copy(),
            "features.context_length": np.array([self.context_length]),
            "features.starts": np.array(self._starts),
            "features.scale": self._scale.copy(),
        }

    def load_state_dict(self, arrays: SavedArrays, n_user: int, n_item: int) -> None:
        """Takes over what `state_dict` returned.

        Raises:
            IncompatibleModelError: An array is missing or damaged.
        """
        self.users = _loaded(arrays, "features.users", n_user)
        self.items = _loaded(arrays, "features.items", n_item)
        self.context_length = arrays.count("features.context_length")
        self._starts = arrays.counts("features.starts", (3,)).tolist()
        self.length = sum(self._lengths())
        arrays.require(
            max(self._lengths()) <= MAX_FEATURES,
            "features.context_length",
            f"is above {MAX_FEATURES}",
        )
        end = 0
        for start, length in sorted(zip(self._starts, self._lengths(), strict=True)):
            arrays.require(
                not length or start == end,
                "features.starts",
                "does not fit the lengths of the features",
            )
            end += length
        self._scale = arrays.finite("features.scale", (self.length,), largest=np.inf)
        arrays.require(bool((self._scale >= 1.0).all()), "features.scale", "has a scale below 1")
        self._is_scaled = bool((self._scale > 1.0).any())


def _loaded(arrays: SavedArrays, name: str, n: int) -> GrowableRows:
    saved = arrays.finite(name, (n, None), largest=np.inf)
    rows = GrowableRows(saved.shape[1:])
    rows.load(saved)
    return rows
