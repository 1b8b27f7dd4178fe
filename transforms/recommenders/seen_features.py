"""The features that users and items were last seen with, for the models that use them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from transforms.formats.records import Features
from transforms.recommenders.growing import GrowingRows, saved
from transforms.recommenders.model import Arrays

_LOG: Final = logging.getLogger(__name__)
_NOTHING: Final = Features()

USER: Final = 0
CONTEXT: Final = 1
ITEM: Final = 2


class SeenFeatures:
    """What ratings said of each user and item, the last one counting, and of their context.

    The first vector of a kind (user, item, context) that is not empty fixes how long those of
    its kind are. One of another length is left out, as if the rating did not have it, and a
    warning says so, once for each kind. What is not known is zero.

    The kinds stand end to end in the order in which they became known; of those that did with
    the same rating the user's come first, then the context, then the item's, as in FluRS.

    Attributes:
        users: Shape (n_user, length); the length is 0 until it is known.
        items: Shape (n_item, length), likewise.
        context_length: Of contexts, 0 until it is known.
        length: Of all kinds end to end.
    """

    def __init__(self) -> None:
        self.users = GrowingRows((0,))
        self.items = GrowingRows((0,))
        self.context_length = 0
        self.length = 0
        self._starts = [0, 0, 0]
        self._warned: set[str] = set()

    def _lengths(self) -> tuple[int, int, int]:
        return self.users.rows.shape[1], self.context_length, self.items.rows.shape[1]

    def part(self, kind: int) -> slice:
        """Returns where `USER`, `CONTEXT` or `ITEM` stands; empty if nothing is known of it."""
        start = self._starts[kind]
        return slice(start, start + self._lengths()[kind])

    def whole(
        self, user: int, context: NDArray[np.float64], items: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Returns all kinds end to end for each of several items, shape (n, length).

        Args:
            user: Index of the user.
            context: As `context` returns it.
            items: Rows of `items`.
        """
        whole = np.empty((len(items), self.length))
        whole[:, self.part(USER)] = self.users.rows[user]
        whole[:, self.part(CONTEXT)] = context
        whole[:, self.part(ITEM)] = items
        return whole

    def see(self, user: int, item: int, features: Features | None) -> NDArray[np.float64]:
        """Remembers what a rating says of its user and item; returns its context."""
        said = features or _NOTHING
        before = self._lengths()
        self.users = self._seen("user_features", self.users, user, said.user)
        self.items = self._seen("item_features", self.items, item, said.item)
        if said.context and not self.context_length:
            self.context_length = len(said.context)
        for kind, length in enumerate(self._lengths()):
            if length > before[kind]:
                self._starts[kind] = self.length
                self.length += length
        return self.context(said.context)

    def context(self, vector: Sequence[float]) -> NDArray[np.float64]:
        """Returns a context as an array of the length that contexts have."""
        if vector and self._fits("context", vector, self.context_length):
            return np.array(vector, dtype=np.float64)
        return np.zeros(self.context_length)

    def _seen(
        self, name: str, rows: GrowingRows, index: int, vector: Sequence[float]
    ) -> GrowingRows:
        if not vector:
            return rows
        if not rows.rows.shape[1]:
            n = rows.n
            rows = GrowingRows((len(vector),))
            rows.add(n)
        if self._fits(name, vector, rows.rows.shape[1]):
            rows.rows[index] = vector
        return rows

    def _fits(self, name: str, vector: Sequence[float], length: int) -> bool:
        fits = len(vector) == length
        if length and not fits and name not in self._warned:
            self._warned.add(name)
            text = "%s of %d numbers left out, expected %d as in the first rating that had any"
            _LOG.warning(text, name, len(vector), length)
        return fits

    def state_dict(self) -> Arrays:
        """Returns `seen.users`, `seen.items`, the context's length and where each kind stands."""
        return {
            "seen.users": self.users.used(),
            "seen.items": self.items.used(),
            "seen.context_length": np.array([self.context_length]),
            "seen.starts": np.array(self._starts),
        }

    def load_state_dict(self, arrays: Arrays) -> None:
        """Takes over what `state_dict` returned.

        Raises:
            IncompatibleModelError: Something is missing.
        """
        self.users, self.items = (_loaded(name, arrays) for name in ("seen.users", "seen.items"))
        self.context_length = int(saved("seen.context_length", arrays, (1,))[0])
        self._starts = saved("seen.starts", arrays, (3,)).tolist()
        self.length = sum(self._lengths())


def _loaded(name: str, arrays: Arrays) -> GrowingRows:
    rows = GrowingRows(saved(name, arrays, (None, None)).shape[1:])
    rows.load(name, arrays)
    return rows
