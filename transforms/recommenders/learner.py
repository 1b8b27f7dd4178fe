"""What a recommender learns, one rating at a time or in minibatches.

It adds what every model needs alike: string ids, users and items that nobody announced, and the
items that a user has seen.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from transforms.formats.rating_columns import RatingColumns, columns_of, kept_ratings
from transforms.formats.records import Rating
from transforms.recommenders.hashing import EVERYTHING, Block
from transforms.recommenders.memory.vocabulary import Vocabulary
from transforms.recommenders.minibatch import LONGEST_LIST, Minibatch, UpdateTrace
from transforms.recommenders.model import LARGEST_STRENGTH, MinibatchModel, Model, ShardedModel
from transforms.recommenders.numerics.repeat_share import AGAIN, FIRST, OTHER
from transforms.recommenders.repeats import NEVER, RepeatPolicy
from transforms.recommenders.users_and_items import UsersAndItems


class LearnedBatch(NamedTuple):
    """What `Learner.learn_batches` learned.

    Attributes:
        learned: How many of the ratings were learned.
        changed: Those that changed something.
        users: The users of those that were learned.
        listed: Which of those that were learned lists are asked for, shape (learned,).
        trace: What `Recommender.top_n_after_each` needs; None where a rating was learned alone.
    """

    learned: int
    changed: Sequence[Rating]
    users: Sequence[str]
    listed: NDArray[np.bool]
    trace: UpdateTrace | None = None


class Learner:
    """A model that learns from ratings with string ids, and which items each user has.

    Args:
        model: A new model, or one whose state is about to be loaded.
        repeats: One of `REPEATS`: whether a list may name an item that the user already has.
        items: The items that are listed here, see `UsersAndItems`.
        max_users: Maximum number of users; the least recently seen are evicted. One who comes
            back is new. 0 for no maximum.
        max_items: The same for items.
        user_ttl: Seconds of event time after which a user who was not seen is evicted; 0 for
            never.
    """

    def __init__(
        self,
        model: Model,
        *,
        repeats: str = NEVER,
        items: Block = EVERYTHING,
        max_users: int = 0,
        max_items: int = 0,
        user_ttl: float = 0.0,
    ) -> None:
        self.model = model
        self.block = items
        self._repeats = RepeatPolicy(repeats)
        self._known = UsersAndItems(
            model, items, max_users=max_users, max_items=max_items, user_ttl=user_ttl
        )
        if isinstance(model, ShardedModel) and self.is_exact_shard:
            model.list_some(score_elsewhere=items.tested or repeats != NEVER)
        self.model.allow_repeats(self._repeats.allowed)

    @property
    def is_exact_shard(self) -> bool:
        """Whether it knows all items and lists some of them, as one recommender of all would."""
        return self._known.listed is not None

    @property
    def allow_repeats(self) -> bool:
        """Whether a list may name an item that the user already has, as of now."""
        return self._repeats.allowed

    @property
    def users(self) -> Vocabulary:
        """Ids of the users, by index."""
        return self._known.users

    @property
    def items(self) -> Vocabulary:
        """Ids of the items, by index."""
        return self._known.items

    def update(self, rating: Rating) -> bool:
        """Learns one rating; a new user or item is registered first.

        One of weight 0 only marks its item as seen. One of a weight below 0 keeps its item out of
        the user's lists until a positive, and is learned as the model can.

        Returns:
            Whether anything changed, see `UsersAndItems.register`.
        """
        user, item, changed = self._known.register(rating)
        if item >= 0:
            self._update(user, item, rating)
        self._known.see(user, item, rating.timestamp, changed=changed)
        self._known.evict()
        return changed

    def _update(self, user: int, item: int, rating: Rating) -> None:
        items = self._known.user_items
        if rating.weight > 0:
            kind = AGAIN if items.has(user, item) else OTHER if len(items.seen(user)) else FIRST
            self._allow(self._repeats.see(np.array([kind]))[0])
            self._known.popularity.rows[item] += 1
            items.accept(user, item)
        elif rating.weight < 0:
            items.reject(user, item)
        items.see(user, item)
        if rating.weight > 0:
            self.model.learn(user, item, rating, items.seen(user))
        elif rating.weight < 0:
            self.model.learn_negative(user, item)

    def _allow(self, allowed: bool | np.bool) -> None:
        self.model.allow_repeats(bool(allowed))

    def minibatch_size(self, n: int) -> int:
        """Returns how many ratings to give to `learn_batches`.

        Args:
            n: Length of the lists that will be asked for, 0 if none will be.

        Returns:
            0 if ratings have to be learned and listed one by one.
        """
        if self._known.evicts or n > LONGEST_LIST or not isinstance(self.model, MinibatchModel):
            return 0
        return self.model.minibatch_size(n)

    def learn_batches(
        self, ratings: Sequence[Rating], n: int, listed: NDArray[np.bool] | None = None
    ) -> Iterator[LearnedBatch]:
        """Does what `update` does with each rating, in order, where `minibatch_size` allows it.

        Args:
            ratings: As many as `minibatch_size` says, or fewer.
            n: Length of the lists that will be asked for, 0 if none will be.
            listed: For which of the ratings, shape (len(ratings),); None for all if n is not 0.

        Yields:
            Parts that follow each other, each before the next is learned.
        """
        if listed is None:
            listed = np.full(len(ratings), n > 0)
        alone = cast("MinibatchModel", self.model).learns_alone
        plain = not self._known.user_items.any_rejected and not alone(None)
        if plain and _are_plain_positives(ratings):
            yield from self._learn_positives(ratings, n, listed)
            return
        start = 0
        for number, rating in enumerate(ratings):
            if rating.weight > 0 and not alone(rating.features) and not self._is_rejected(rating):
                continue
            yield from self._learn_positives(ratings[start:number], n, listed[start:number])
            changed = self.update(rating)
            yield LearnedBatch(1, [rating] * changed, [rating.user], listed[number : number + 1])
            start = number + 1
        yield from self._learn_positives(ratings[start:], n, listed[start:])

    def _is_rejected(self, rating: Rating) -> bool:
        user, item = self.users.get(rating.user), self.items.get(rating.item)
        known = user is not None and item is not None
        return known and self._known.user_items.has_rejected(cast("int", user), cast("int", item))

    def _learn_positives(
        self, ratings: Sequence[Rating], n: int, listed: NDArray[np.bool]
    ) -> Iterator[LearnedBatch]:
        """Does the same with positives, none of which takes a rejection back."""
        if not ratings:
            return
        users = columns_of(ratings).users
        batch, changes, allowed = self._register_all(ratings, listed, with_seen=n > 0)
        model = cast("MinibatchModel", self.model)
        # Learning and lists differ with the policy, so a part ends where it changes.
        ends = [*(np.flatnonzero(np.diff(allowed)) + 1).tolist(), len(ratings)]
        start = 0
        for end in ends:
            self._allow(allowed[end - 1])
            while start < end:
                given = batch.part(start, end)
                if n and allowed[end - 1]:
                    excluded, ends_of = self._known.user_items.rejected_by(given.users)
                    given = given._replace(excluded=excluded, excluded_ends=ends_of)
                count, trace = model.learn_batch(given, n)
                part = slice(start, start + count)
                changed = kept_ratings(ratings[part], changes[part])
                yield LearnedBatch(count, changed, users[part], listed[part], trace)
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

    def _register_all(
        self, ratings: Sequence[Rating], listed: NDArray[np.bool], *, with_seen: bool
    ) -> tuple[Minibatch, list[bool], NDArray[np.bool]]:
        """Registers ratings.

        Returns:
            Them as a minibatch, whether each changes anything, and whether repeats are allowed
            just after each.
        """
        known = self._known
        columns, m = columns_of(ratings), len(ratings)
        users, items, item_counts, changes = known.register_all(ratings)
        seen = known.user_items.see_all(users, items, with_seen=with_seen)
        batch = Minibatch(
            users,
            items,
            item_counts,
            np.minimum(columns.weights, LARGEST_STRENGTH) if columns.weights else np.ones(m),
            np.array(columns.timestamps),
            seen.ids,
            seen.ends,
            listed,
            seen.ids,
            seen.ends,
        )
        here = items >= 0
        np.add.at(known.popularity.rows, items[here], 1)
        kinds = np.where(seen.new, np.where(seen.sizes > 0, OTHER, FIRST), AGAIN)
        kinds[~here] = FIRST
        return batch, changes, self._repeats.see(kinds)


def _are_plain_positives(ratings: Sequence[Rating]) -> bool:
    if isinstance(ratings, RatingColumns) and ratings.are_plain:
        return True
    return all(rating.weight > 0 and rating.features is None for rating in ratings)
