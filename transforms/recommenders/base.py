"""The recommender that is built on a model.

It adds what every model needs alike: string ids, users and items that nobody announced, the
items that a user already has, and the list itself.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Sequence
from typing import Final, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from transforms.errors import IncompatibleModelError
from transforms.formats.records import Rating, ScoredItems
from transforms.recommenders.blocks import EVERYTHING, Block
from transforms.recommenders.forgetting import LastSeen, renumbered
from transforms.recommenders.ids import IdIndex
from transforms.recommenders.model import (
    LONGEST_LIST,
    Arrays,
    Model,
    Stretch,
    StretchModel,
    Trail,
)
from transforms.recommenders.topn import top_n

POPULAR: Final = "popular"
"""How a list is marked that has the most popular items as its user is unknown."""

_NOTHING: Final = array("i")


class Candidates(NamedTuple):
    """What a user could be shown by one recommender.

    Attributes:
        scores: Of each item, shape (n_item,); minus infinity for one that the user has.
        popularity: How many positives each item has, shape (n_item,); minus infinity likewise.
        item: Index of the item in question, -1 if it is not known here.
    """

    scores: NDArray[np.floating]
    popularity: NDArray[np.floating]
    item: int


class Recommender:
    """A model for string ids that also remembers which items each user has.

    Args:
        model: A new model, or one whose state is about to be loaded.
        allow_repeats: Whether a list may name an item that the user already has.
        items: The items that are learned here; of others only the users are registered.
        max_users: Beyond so many, those that were not seen for longest are forgotten; one who
            comes back is new. 0 for no bound.
        max_items: The same for items.
    """

    def __init__(
        self,
        model: Model,
        *,
        allow_repeats: bool = False,
        items: Block = EVERYTHING,
        max_users: int = 0,
        max_items: int = 0,
    ) -> None:
        self.model = model
        self.allow_repeats = allow_repeats
        self.block = items
        self.users = IdIndex()
        self.items = IdIndex()
        # One sorted array of item indices a user: compact, and numpy reads it in place.
        self._known: list[array[int]] = []
        self._popularity = array("q")
        self._seen_users = LastSeen(max_users)
        self._seen_items = LastSeen(max_items)
        self._number = 0

    def update(self, rating: Rating) -> bool:
        """Learns one positive; a new user or item is registered first.

        Returns:
            Whether anything changed: not if the item is learned elsewhere and the user is known,
            unless users are forgotten, which depends on when each was seen.
        """
        user, item, changed = self._register(rating)
        if item >= 0:
            self.model.learn(user, item, rating, self._known[user])
        if changed:
            self._forget()
        return changed

    def stretch(self, n: int) -> int:
        """Returns how many ratings to give to `learn_many` at once.

        Args:
            n: Length of the lists that will be asked for, 0 if none will be.

        Returns:
            0 if these have to be learned and listed one by one.
        """
        bounded = self._seen_users.bound or self._seen_items.bound
        if bounded or n > LONGEST_LIST or not isinstance(self.model, StretchModel):
            return 0
        return self.model.stretch(n)

    def learn_many(self, ratings: Sequence[Rating], n: int) -> tuple[list[Rating], Trail]:
        """Does what `update` does with each rating, in order, where `stretch` allows it.

        Args:
            ratings: As many as `stretch` says, or fewer.
            n: Length of the lists that will be asked for, 0 if none will be.

        Returns:
            The ratings that changed something, and what `lists_along` needs.
        """
        changed = []
        users, items, sizes, ends, known = [], [], [], [0], []
        for rating in ratings:
            user, item, new = self._register(rating)
            if new:
                changed.append(rating)
            users.append(user)
            items.append(item)
            if n:
                had = self._known[user]
                sizes.append(len(self.items))
                ends.append(ends[-1] + len(had))
                # It grows with the user's next rating, which may be of this stretch.
                known.append(had.tobytes())
        model = cast("StretchModel", self.model)
        stretch = Stretch(
            np.array(users, dtype=np.int32),
            np.array(items, dtype=np.int32),
            np.array(sizes, dtype=np.int32),
            np.frombuffer(b"".join(known), dtype=np.int32),
            np.array(ends, dtype=np.int64),
        )
        return changed, model.learn_many(stretch)

    def learn_all(self, ratings: Sequence[Rating]) -> None:
        """Does what `update` does with each of any number of ratings, in order."""
        at_once = self.stretch(0)
        if not at_once:
            for rating in ratings:
                self.update(rating)
            return
        for first in range(0, len(ratings), at_once):
            self.learn_many(ratings[first : first + at_once], 0)

    def lists_along(self, trail: Trail, n: int) -> list[ScoredItems]:
        """Returns what `recommend` would have said of each rating's user just after it.

        Args:
            trail: From the last `learn_many`.
            n: Length of the lists, at most what was said there.
        """
        items, scores, counts = trail.best_items(n, leave_out=not self.allow_repeats)
        rows = zip(items.tolist(), scores.tolist(), counts.tolist(), strict=True)
        return [self._named(best[:count], of[:count]) for best, of, count in rows]

    def _register(self, rating: Rating) -> tuple[int, int, bool]:
        """Notes who chose what; returns both indices, an item of -1 if it is learned elsewhere.

        The third that it returns is whether anything changes by it, see `update`.
        """
        user = self.users.get(rating.user)
        changed = user is None or self._seen_users.bound > 0
        if user is None:
            user = self.users.add(rating.user)
            self._known.append(array("i"))
            self.model.add_user()
        item = -1
        if self.block.has(rating.item):
            changed = True
            item = self._register_item(rating.item, self._known[user])
        if changed:
            self._seen_users.see(user, self._number)
            self._number += 1
        return user, item, changed

    def _register_item(self, name: str, known: array[int]) -> int:
        item = self.items.get(name)
        if item is None:
            item = self.items.add(name)
            self._popularity.append(0)
            self.model.add_item()
        self._popularity[item] += 1
        place = bisect_left(known, item)
        if place == len(known) or known[place] != item:
            known.insert(place, item)
        self._seen_items.see(item, self._number)
        return item

    def _forget(self) -> None:
        kept = self._seen_users.kept()
        if kept is not None:
            self._seen_users.keep(kept)
            self.users.keep(kept)
            self._known = [self._known[user] for user in kept.tolist()]
            self.model.keep_users(kept)
        kept = self._seen_items.kept()
        if kept is not None:
            self._keep_items(kept)

    def _keep_items(self, kept: NDArray[np.intp]) -> None:
        n = len(self.items)
        self._seen_items.keep(kept)
        self.items.keep(kept)
        self._popularity = array("q", [self._popularity[item] for item in kept.tolist()])
        for user, known in enumerate(self._known):
            numbers = renumbered(np.frombuffer(known, dtype=np.int32), kept, n)
            self._known[user] = array("i", numbers[numbers >= 0].tobytes())
        self.model.keep_items(kept)

    def knows(self, user: str) -> bool:
        """Whether the user was ever seen."""
        return self.users.get(user) is not None

    def recommend(self, user: str, n: int, context: Sequence[float] = ()) -> ScoredItems:
        """Returns the user's `n` best items, best first; fewer if there are not so many.

        A user who was never seen gets the most popular items, scored by their positives.
        """
        index = self.users.get(user)
        if index is None:
            return self.best(np.array(self._popularity, dtype=np.float64), n)
        known = _NOTHING if self.allow_repeats else self._known[index]
        left_out = np.frombuffer(known, dtype=np.int32)
        return self._listed(*self.model.best_items(index, left_out, n, context))

    def candidates(self, user: str, item: str, context: Sequence[float] = ()) -> Candidates:
        """Returns how all items stand for a user, and which of them is `item`."""
        popularity = np.array(self._popularity, dtype=np.float64)
        place = self.items.get(item)
        index = self.users.get(user)
        if index is None:
            return Candidates(popularity, popularity, -1 if place is None else place)
        scores = self.model.item_scores(index, context)
        if not self.allow_repeats:
            known = np.frombuffer(self._known[index], dtype=np.int32)
            scores[known] = popularity[known] = -np.inf
        return Candidates(scores, popularity, -1 if place is None else place)

    def best(self, scores: NDArray[np.floating], n: int) -> ScoredItems:
        """Returns the `n` items with the highest scores, best first, none with minus infinity."""
        best = top_n(scores, n)
        return self._listed(best, scores[best])

    def _listed(self, best: NDArray[np.integer], scores: NDArray[np.floating]) -> ScoredItems:
        return self._named(best.tolist(), scores.tolist())

    def _named(self, best: list[int], scores: list[float]) -> ScoredItems:
        return ScoredItems(list(map(self.items.ids.__getitem__, best)), scores)

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
            "popularity": np.array(self._popularity, dtype=np.int64),
            "users.seen": self._seen_users.to_array(),
            "items.seen": self._seen_items.to_array(),
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
            self._popularity = array("q", arrays["popularity"].tolist())
            self._seen_users.load(arrays["users.seen"])
            self._seen_items.load(arrays["items.seen"])
        except KeyError as e:
            msg = f"the saved model has no array {e}"
            raise IncompatibleModelError(msg) from e
        self._number = self._seen_users.latest() + 1
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
