"""The recommender that is built on a model.

It adds what every model needs alike: string ids, users and items that nobody announced, the
items that a user has seen, and the list itself.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from transforms.formats.records import Rating, ScoredItems
from transforms.recommenders.arrays import Arrays, SavedArrays
from transforms.recommenders.hashing import EVERYTHING, Block
from transforms.recommenders.memory.eviction import LastSeen
from transforms.recommenders.memory.growable import GrowableRows
from transforms.recommenders.memory.ragged import RaggedRows
from transforms.recommenders.memory.vocabulary import Vocabulary
from transforms.recommenders.minibatch import LONGEST_LIST, Minibatch, UpdateTrace
from transforms.recommenders.model import MinibatchModel, Model
from transforms.recommenders.numerics.ragged_kernels import insert_sorted, insert_sorted_each
from transforms.recommenders.numerics.top_n import top_n

POPULAR: Final = "popular"
"""How a list is marked that has the most popular items because its user is unknown."""

_NO_ITEMS: Final = np.zeros(0, dtype=np.int32)
_MODEL: Final = "model."


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


class LearnedBatch(NamedTuple):
    """What `Recommender.learn_batch` learned.

    Attributes:
        learned: How many of the ratings were learned.
        changed: Those that changed something.
        trace: What `Recommender.top_n_after_each` needs.
    """

    learned: int
    changed: list[Rating]
    trace: UpdateTrace


class Recommender:
    """A model for string ids that also remembers which items each user has.

    Args:
        model: A new model, or one whose state is about to be loaded.
        allow_repeats: Whether a list may name an item that the user already has.
        items: The items that are learned here; of others only the users are registered.
        max_users: Maximum number of users; the least recently seen are evicted. One who comes
            back is new. 0 for no maximum.
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
        self.users = Vocabulary()
        self.items = Vocabulary()
        self._seen = RaggedRows()
        self._popularity = GrowableRows(dtype=np.int64)
        self._users_last_seen = LastSeen(max_users)
        self._items_last_seen = LastSeen(max_items)
        self._number = 0

    def update(self, rating: Rating) -> bool:
        """Learns one positive; a new user or item is registered first.

        Returns:
            Whether anything changed: not if the item is learned elsewhere and the user is known,
            unless users are evicted, which depends on when each was seen.
        """
        user, item, changed = self._register(rating)
        if item >= 0:
            self._popularity.rows[item] += 1
            self._items_last_seen.see(item, self._number)
            self._see(user, item)
            self.model.learn(user, item, rating, self._seen.row(user))
        if changed:
            self._users_last_seen.see(user, self._number)
            self._number += 1
            self._evict()
        return changed

    def minibatch_size(self, n: int) -> int:
        """Returns how many ratings to give to `learn_batch`.

        Args:
            n: Length of the lists that will be asked for, 0 if none will be.

        Returns:
            0 if ratings have to be learned and listed one by one.
        """
        bounded = self._users_last_seen.maximum or self._items_last_seen.maximum
        if bounded or n > LONGEST_LIST or not isinstance(self.model, MinibatchModel):
            return 0
        return self.model.minibatch_size(n)

    def learn_batches(self, ratings: Sequence[Rating], n: int) -> Iterator[LearnedBatch]:
        """Does what `update` does with each rating, in order, where `minibatch_size` allows it.

        Args:
            ratings: As many as `minibatch_size` says, or fewer.
            n: Length of the lists that will be asked for, 0 if none will be.

        Yields:
            Parts that follow each other, each before the next is learned.
        """
        batch, changes = self._register_all(ratings, with_seen=n > 0)
        model = cast("MinibatchModel", self.model)
        start = 0
        while start < len(ratings):
            count, trace = model.learn_batch(batch.part(start, len(ratings)), n)
            part = slice(start, start + count)
            changed = list(itertools.compress(ratings[part], changes[part]))
            yield LearnedBatch(count, changed, trace)
            start += count

    def learn_all(self, ratings: Sequence[Rating]) -> None:
        """Does what `update` does with each of any number of ratings, in order."""
        size = self.minibatch_size(0)
        if not size:
            for rating in ratings:
                self.update(rating)
            return
        for first in range(0, len(ratings), size):
            for _ in self.learn_batches(ratings[first : first + size], 0):
                pass

    def top_n_after_each(self, trace: UpdateTrace, n: int) -> list[ScoredItems]:
        """Returns what `recommend` would have returned for each rating's user just after it.

        Args:
            trace: From the last `LearnedBatch`.
            n: Length of the lists, at most what was said there.
        """
        items, scores, counts = trace.top_n_after_each(n, exclude_seen=not self.allow_repeats)
        rows = zip(items.tolist(), scores.tolist(), counts.tolist(), strict=True)
        return [self._named(best[:count], of[:count]) for best, of, count in rows]

    def _register(self, rating: Rating) -> tuple[int, int, bool]:
        """Adds a rating's user and item; returns both indices, an item of -1 if it is elsewhere.

        The third that it returns is whether anything changes by the rating, see `update`.
        """
        user = self.users.get(rating.user)
        changed = user is None or self._users_last_seen.maximum > 0
        if user is None:
            user = self.users.add(rating.user)
            self._seen.add_row()
            self._users_last_seen.add()
            self.model.add_user()
        if not self.block.has(rating.item):
            return user, -1, changed
        item = self.items.get(rating.item)
        if item is None:
            item = self.items.add(rating.item)
            self._popularity.add()
            self._items_last_seen.add()
            self.model.add_item()
        return user, item, True

    def _see(self, user: int, item: int) -> None:
        seen = self._seen
        while not insert_sorted(seen.ids, seen.starts, seen.sizes, seen.room, user, item):
            seen.widen(user)

    def _register_all(
        self, ratings: Sequence[Rating], *, with_seen: bool
    ) -> tuple[Minibatch, list[bool]]:
        """Registers ratings; returns them as a minibatch, and whether each changes anything."""
        m = len(ratings)
        users, items, item_counts, changes = [], [], [], []
        numbers = np.empty(m, dtype=np.int64)
        for at, rating in enumerate(ratings):
            user, item, changed = self._register(rating)
            users.append(user)
            items.append(item)
            item_counts.append(len(self.items))
            changes.append(changed)
            numbers[at] = self._number
            self._number += changed
        batch = Minibatch(
            np.array(users, dtype=np.int32),
            np.array(items, dtype=np.int32),
            np.array(item_counts, dtype=np.int32),
            *self._see_all(users, items, with_seen=with_seen),
        )
        changed_here = np.array(changes)
        self._users_last_seen.see(batch.users[changed_here], numbers[changed_here])
        here = batch.items >= 0
        self._items_last_seen.see(batch.items[here], numbers[here])
        np.add.at(self._popularity.rows, batch.items[here], 1)
        return batch, changes

    def _see_all(
        self, users: list[int], items: list[int], *, with_seen: bool
    ) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """Adds what users saw; returns all that each had just after it, see `Minibatch`."""
        seen, m = self._seen, len(users)
        rows, entries = np.array(users, dtype=np.int32), np.array(items, dtype=np.int32)
        # A user may gain as many items as the minibatch has.
        most = int(seen.sizes[rows].sum()) + m * m if with_seen else 0
        after = np.empty(most, dtype=np.int32)
        ends = np.zeros(m + 1, dtype=np.int64)
        done = 0
        while True:
            done = insert_sorted_each(
                seen.ids, seen.starts, seen.sizes, seen.room, rows, entries, done, after, ends
            )
            if done == m:
                return after[: ends[-1]], ends
            seen.widen(users[done])

    def _evict(self) -> None:
        kept = self._users_last_seen.kept()
        if kept is not None:
            self._users_last_seen.keep(kept)
            self.users.keep(kept)
            self._seen.keep(kept)
            self.model.keep_users(kept)
        kept = self._items_last_seen.kept()
        if kept is not None:
            n = len(self.items)
            self._items_last_seen.keep(kept)
            self.items.keep(kept)
            self._popularity.keep(kept)
            self._seen.renumber(kept, n)
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
            return self.best(self._popularity.used().astype(np.float64), n)
        excluded = _NO_ITEMS if self.allow_repeats else self._seen.row(index)
        best, scores = self.model.best_items(index, excluded, n, context)
        return self._named(best.tolist(), scores.tolist())

    def candidates(self, user: str, item: str, context: Sequence[float] = ()) -> Candidates:
        """Returns the scores of all items for a user, and which of them is `item`."""
        popularity = self._popularity.used().astype(np.float64)
        place = self.items.get(item)
        index = self.users.get(user)
        if index is None:
            return Candidates(popularity, popularity, -1 if place is None else place)
        scores = self.model.item_scores(index, context)
        if not self.allow_repeats:
            seen = self._seen.row(index)
            scores[seen] = popularity[seen] = -np.inf
        return Candidates(scores, popularity, -1 if place is None else place)

    def best(self, scores: NDArray[np.floating], n: int) -> ScoredItems:
        """Returns the `n` items with the highest scores, best first, none with minus infinity."""
        best = top_n(scores, n)
        return self._named(best.tolist(), scores[best].tolist())

    def _named(self, best: list[int], scores: list[float]) -> ScoredItems:
        return ScoredItems(list(map(self.items.ids.__getitem__, best)), scores)

    def seen_items(self, user: str) -> set[str]:
        """Returns the items that the user already has."""
        index = self.users.get(user)
        if index is None:
            return set()
        return {self.items.ids[item] for item in self._seen.row(index).tolist()}

    def state_dict(self) -> Arrays:
        """Returns ids, seen items and the model's own arrays."""
        seen_ends, seen_ids, _ = self._seen.packed()
        return {
            **self.users.to_arrays("users"),
            **self.items.to_arrays("items"),
            "seen.ends": seen_ends,
            "seen.ids": seen_ids,
            "popularity": self._popularity.used().copy(),
            "users.last_seen": self._users_last_seen.to_array(),
            "items.last_seen": self._items_last_seen.to_array(),
            **{f"{_MODEL}{name}": value for name, value in self.model.state_dict().items()},
        }

    def load_state_dict(self, arrays: Arrays) -> None:
        """Becomes the recommender that `state_dict` described.

        Call it on a new recommender; after an error it is of no further use.

        Raises:
            IncompatibleModelError: The arrays are damaged, or of another model or other
                hyperparameters.
        """
        saved = SavedArrays(arrays)
        self.users.load("users", saved)
        self.items.load("items", saved)
        n_user, n_item = len(self.users), len(self.items)
        self._seen.load(*saved.rows("seen", n_user, n_item, ascending=True))
        self._popularity.load(saved.counts("popularity", (n_item,)))
        self._users_last_seen.load(saved.counts("users.last_seen", (n_user,)))
        self._items_last_seen.load(saved.counts("items.last_seen", (n_item,)))
        self._number = self._users_last_seen.latest() + 1
        self.model.load_state_dict(saved.part(_MODEL), n_user, n_item)
