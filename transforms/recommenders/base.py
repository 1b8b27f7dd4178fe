"""What a model must do, and the recommender that is built on it.

A `Model` is the mathematics over dense indices, in FluRS's words where FluRS has one
(`n_user`, `n_item`). `Recommender` adds what every model needs alike: string ids, users and
items that nobody announced, the items that a user already has, and the list itself.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from array import array
from bisect import bisect_left
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from transforms.errors import IncompatibleModelError
from transforms.formats.records import Rating, ScoredItem
from transforms.recommenders.ids import IdIndex
from transforms.recommenders.topn import top_n

Arrays = dict[str, NDArray[np.generic]]


class Model(ABC):
    """Learns from (user, item) pairs of dense 0-based indices, and scores items.

    Everything that a model draws at random derives from its seed and an index or the count of
    updates, so the same pairs in the same order give the same model, bit for bit.
    """

    n_user: int
    n_item: int

    @abstractmethod
    def add_user(self) -> None:
        """Makes room for the user with index `n_user`, at amortised constant cost."""

    @abstractmethod
    def add_item(self) -> None:
        """Makes room for the item with index `n_item`, at amortised constant cost."""

    @abstractmethod
    def learn(self, user: int, item: int) -> None:
        """Learns one positive; both indices have been added."""

    @abstractmethod
    def item_scores(self, user: int) -> NDArray[np.float64]:
        """Returns a score for each item, shape (n_item,), the higher the better.

        The array is the caller's to change until the next call.
        """

    @abstractmethod
    def state_dict(self) -> Arrays:
        """Returns all that was learned, as named arrays."""

    @abstractmethod
    def load_state_dict(self, arrays: Arrays) -> None:
        """Becomes the model that `state_dict` described.

        Raises:
            IncompatibleModelError: The arrays are of a model with other hyperparameters.
        """


class Recommender:
    """A model for string ids that also remembers which items each user has.

    Args:
        model: A new model, or one whose state is about to be loaded.
        allow_repeats: Whether a list may name an item that the user already has.
    """

    def __init__(self, model: Model, *, allow_repeats: bool = False) -> None:
        self.model = model
        self.allow_repeats = allow_repeats
        self.users = IdIndex()
        self.items = IdIndex()
        # One sorted array of item indices a user: compact, and numpy reads it in place.
        self._known: list[array[int]] = []

    def update(self, rating: Rating) -> None:
        """Learns one positive; a new user or item is registered first."""
        user = self.users.get(rating.user)
        if user is None:
            user = self.users.add(rating.user)
            self._known.append(array("i"))
            self.model.add_user()
        item = self.items.get(rating.item)
        if item is None:
            item = self.items.add(rating.item)
            self.model.add_item()
        self.model.learn(user, item)
        known = self._known[user]
        place = bisect_left(known, item)
        if place == len(known) or known[place] != item:
            known.insert(place, item)

    def recommend(self, user: str, n: int) -> list[ScoredItem]:
        """Returns the user's `n` best items, best first; fewer if there are not so many.

        A user who was never seen gets an empty list.
        """
        index = self.users.get(user)
        if index is None:
            return []
        scores = self.model.item_scores(index)
        if not self.allow_repeats:
            scores[np.frombuffer(self._known[index], dtype=np.int32)] = -np.inf
        best = top_n(scores, n)
        ids = self.items.ids
        return [
            ScoredItem(ids[item], score)
            for item, score in zip(best.tolist(), scores[best].tolist(), strict=True)
        ]

    def known_items(self, user: str) -> set[str]:
        """Returns the items that the user already has."""
        index = self.users.get(user)
        return set() if index is None else {self.items.ids[item] for item in self._known[index]}

    def state_dict(self) -> Arrays:
        """Returns ids, known items and the model's own arrays."""
        counts = [len(known) for known in self._known]
        joined = array("i")
        for known in self._known:
            joined.extend(known)
        return {
            **self.users.to_arrays("users"),
            **self.items.to_arrays("items"),
            "known.ends": np.cumsum(counts, dtype=np.int64),
            "known.items": np.frombuffer(joined, dtype=np.int32),
            **{f"model.{name}": value for name, value in self.model.state_dict().items()},
        }

    def load_state_dict(self, arrays: Arrays) -> None:
        """Becomes the recommender that `state_dict` described.

        Raises:
            IncompatibleModelError: The arrays are of another model or other hyperparameters.
        """
        try:
            self.users = IdIndex.from_arrays("users", arrays)
            self.items = IdIndex.from_arrays("items", arrays)
            items = arrays["known.items"].tobytes()
            ends: Sequence[int] = arrays["known.ends"].tolist()
        except KeyError as e:
            msg = f"the saved model has no array {e}"
            raise IncompatibleModelError(msg) from e
        size = array("i").itemsize
        self._known = []
        start = 0
        for end in ends:
            known = array("i")
            known.frombytes(items[start * size : end * size])
            self._known.append(known)
            start = end
        prefix = "model."
        self.model.load_state_dict(
            {
                name.removeprefix(prefix): value
                for name, value in arrays.items()
                if name.startswith(prefix)
            }
        )
