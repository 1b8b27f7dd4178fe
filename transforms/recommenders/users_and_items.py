"""The users and items that a recommender knows, by id and by index, and when each was last seen.

Nobody announces them: a rating registers its user and its item, and bounds evict them again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from transforms.formats.rating_columns import columns_of
from transforms.formats.records import Rating
from transforms.recommenders.arrays import Arrays, SavedArrays, prefixed
from transforms.recommenders.hashing import Block
from transforms.recommenders.memory.eviction import Expiry, LastSeen
from transforms.recommenders.memory.growable import GrowableRows
from transforms.recommenders.memory.item_columns import ItemColumns
from transforms.recommenders.memory.user_items import UserItems
from transforms.recommenders.memory.vocabulary import Vocabulary
from transforms.recommenders.model import Model, ShardedModel

_EXPIRY: Final = "expiry."


class Registered(NamedTuple):
    """What `UsersAndItems.register_all` found for m ratings.

    Attributes:
        users: Index of each user, int32, shape (m,).
        items: Index of each item, -1 where it is learned elsewhere, int32, shape (m,).
        item_counts: How many items there were just after each, int32, shape (m,).
        changes: Whether each changes anything, see `UsersAndItems.register`, shape (m,).
    """

    users: NDArray[np.int32]
    items: NDArray[np.int32]
    item_counts: NDArray[np.int32]
    changes: list[bool]


class UsersAndItems:
    """Users and items, which items each user has, and the positives of each item.

    The model is told of each user and item that is added or evicted, so its indices are these.

    Args:
        model: Whose users and items they are.
        block: The items that are listed here. Of others all is learned, too, where the model is a
            `ShardedModel`; elsewhere only their users are registered.
        max_users: Maximum number of users; the least recently seen are evicted. 0 for no maximum.
        max_items: The same for items.
        user_ttl: Seconds of event time after which a user who was not seen is evicted; 0 for
            never.

    Attributes:
        users: Ids of the users.
        items: Ids of the items.
        user_items: The items that each user has.
        popularity: How many positives each item has, int64, shape (n_item,).
        listed: Which items are listed here; None for all that are learned.
    """

    def __init__(
        self, model: Model, block: Block, *, max_users: int, max_items: int, user_ttl: float
    ) -> None:
        self._model = model
        self._block = block
        self.users = Vocabulary()
        self.items = Vocabulary()
        self.user_items = UserItems()
        self.popularity = GrowableRows(dtype=np.int64)
        self.listed = ItemColumns() if block.of > 1 and isinstance(model, ShardedModel) else None
        self._users_last_seen = LastSeen(max_users)
        self._items_last_seen = LastSeen(max_items)
        self._expiry = Expiry(user_ttl)
        self._number = 0

    @property
    def evicts(self) -> bool:
        """Whether users or items are ever evicted."""
        return self._evicts_users or self._items_last_seen.maximum > 0

    @property
    def _evicts_users(self) -> bool:
        return self._users_last_seen.maximum > 0 or self._expiry.time_to_live > 0

    def register(self, rating: Rating) -> tuple[int, int, bool]:
        """Adds a rating's user and item, if they are new.

        Returns:
            Both indices, an item of -1 if it is learned elsewhere; and whether anything changes
            by the rating: not if its item is learned elsewhere and the user is known, unless
            users are evicted, which depends on when each was seen.
        """
        user = self.users.get(rating.user)
        changed = user is None or self._evicts_users
        if user is None:
            user = self._add_user(rating.user)
        if self.listed is None and not self._block.has(rating.item):
            return user, -1, changed
        item = self.items.get(rating.item)
        return user, self._add_item(rating.item) if item is None else item, True

    def _add_user(self, name: str) -> int:
        self.user_items.add_user()
        self._users_last_seen.add()
        self._expiry.add()
        self._model.add_user()
        return self.users.add(name)

    def _add_item(self, name: str) -> int:
        self.popularity.add()
        self._items_last_seen.add()
        self._add_to_model(name)
        return self.items.add(name)

    def _add_to_model(self, name: str) -> None:
        if self.listed is None:
            self._model.add_item()
            return
        here = self._block.has(name)
        self.listed.add(listed=here)
        if here:
            self._model.add_item()
        else:
            cast("ShardedModel", self._model).add_item_elsewhere()

    def register_all(self, ratings: Sequence[Rating]) -> Registered:
        """Does what `register` and `see` do with each rating, in order; evicts nothing."""
        if self.listed is None and self._block.of > 1:
            return self._register_each(ratings)
        n_item, m = len(self.items), len(ratings)
        columns = columns_of(ratings)
        users = _indices(self.users, columns.users, self._add_user)
        items = _indices(self.items, columns.items, self._add_item)
        numbers = np.arange(self._number, self._number + m)
        self._number += m
        self._users_last_seen.see(users, numbers)
        self._items_last_seen.see(items, numbers)
        # New items have the next indices, in order.
        item_counts = np.maximum.accumulate(np.maximum(items + np.int32(1), np.int32(n_item)))
        return Registered(users, items, item_counts, [True] * m)

    def _register_each(self, ratings: Sequence[Rating]) -> Registered:
        """Does the same where some items are learned elsewhere."""
        users, items, item_counts, changes = [], [], [], []
        numbers = np.empty(len(ratings), dtype=np.int64)
        for at, rating in enumerate(ratings):
            user, item, changed = self.register(rating)
            users.append(user)
            items.append(item)
            item_counts.append(len(self.items))
            changes.append(changed)
            numbers[at] = self._number
            self._number += changed
        user_column, item_column = np.array(users, dtype=np.int32), np.array(items, dtype=np.int32)
        here, changed_here = item_column >= 0, np.array(changes)
        self._users_last_seen.see(user_column[changed_here], numbers[changed_here])
        self._items_last_seen.see(item_column[here], numbers[here])
        counts = np.array(item_counts, dtype=np.int32)
        return Registered(user_column, item_column, counts, changes)

    def see(self, user: int, item: int, time: float, *, changed: bool) -> None:
        """Notes that a registered rating was learned.

        Args:
            user: As `register` returned it, as are `item` and `changed`.
            item: -1 if it is learned elsewhere.
            time: Event time in seconds.
            changed: Whether the rating changed anything.
        """
        if item >= 0:
            self._items_last_seen.see(item, self._number)
        if changed:
            self._users_last_seen.see(user, self._number)
            self._expiry.see(user, time)
            self._number += 1

    def evict(self) -> None:
        """Drops who is beyond a bound."""
        for bound in (self._users_last_seen, self._expiry):
            kept = bound.kept()
            if kept is not None:
                self._keep_users(kept)
        kept = self._items_last_seen.kept()
        if kept is not None:
            n = len(self.items)
            self._items_last_seen.keep(kept)
            self.items.keep(kept)
            self.popularity.keep(kept)
            if self.listed is not None:
                self.listed.keep(kept)
            self.user_items.keep_items(kept, n)
            self._model.keep_items(kept)

    def _keep_users(self, kept: NDArray[np.intp]) -> None:
        self._users_last_seen.keep(kept)
        self._expiry.keep(kept)
        self.users.keep(kept)
        self.user_items.keep_users(kept)
        self._model.keep_users(kept)

    def state_dict(self) -> Arrays:
        """Returns ids, what each user has, and what eviction goes by."""
        return {
            **self.users.to_arrays("users"),
            **self.items.to_arrays("items"),
            **self.user_items.state_dict(),
            "popularity": self.popularity.used().copy(),
            "users.last_seen": self._users_last_seen.to_array(),
            "items.last_seen": self._items_last_seen.to_array(),
            **prefixed(_EXPIRY, self._expiry.state_dict()),
        }

    def load_state_dict(self, saved: SavedArrays) -> None:
        """Takes over what `state_dict` returned; the model is not told.

        Raises:
            IncompatibleModelError: It is damaged.
        """
        self.users.load("users", saved)
        self.items.load("items", saved)
        n_user, n_item = len(self.users), len(self.items)
        self.user_items.load(saved, n_user, n_item)
        self.popularity.load(saved.counts("popularity", (n_item,)))
        if self.listed is not None:
            self.listed.load(np.array([self._block.has(name) for name in self.items.ids], np.bool))
        self._users_last_seen.load(saved.counts("users.last_seen", (n_user,)))
        self._items_last_seen.load(saved.counts("items.last_seen", (n_item,)))
        self._expiry.load_state_dict(saved.part(_EXPIRY), n_user)
        self._number = self._users_last_seen.latest() + 1


def _indices(
    vocabulary: Vocabulary, names: Sequence[str], add: Callable[[str], int]
) -> NDArray[np.int32]:
    """Returns the index of each name; new ones are added."""
    found = vocabulary.get_all(names)
    if None in found:
        for at, name in enumerate(names):
            if found[at] is None:
                known = vocabulary.get(name)
                found[at] = add(name) if known is None else known
    return np.array(found, dtype=np.int32)
