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

from transforms.formats.listed_ratings import TopNColumns
from transforms.formats.records import Rating, ScoredItem, ScoredItems
from transforms.recommenders.arrays import Arrays, SavedArrays, prefixed
from transforms.recommenders.hashing import EVERYTHING, Block
from transforms.recommenders.memory.vocabulary import Vocabulary
from transforms.recommenders.minibatch import LONGEST_LIST, Minibatch, UpdateTrace
from transforms.recommenders.model import LARGEST_STRENGTH, MinibatchModel, Model, ShardedModel
from transforms.recommenders.numerics.repeat_share import AGAIN, FIRST, OTHER
from transforms.recommenders.numerics.top_n import top_n
from transforms.recommenders.repeats import NEVER, RepeatPolicy
from transforms.recommenders.users_and_items import UsersAndItems

POPULAR: Final = "popular"
"""How a list is marked that has the most popular items because its user is unknown."""

_NO_ITEMS: Final = np.zeros(0, dtype=np.int32)
_NO_ENDS: Final = np.zeros(1, dtype=np.int64)
_MODEL: Final = "model."
_REPEATS: Final = "repeats."


class Candidates(NamedTuple):
    """What a user could be shown by one recommender.

    Attributes:
        scores: Of each item, shape (n_item,); minus infinity for one that the user has.
        popularity: How many positives each item has, shape (n_item,); minus infinity likewise.
        item: Index of the item in question, -1 if it is not known here.
        score: Score of that item, also where another shard lists it; minus infinity if the user
            could not be shown it, or it is not known.
    """

    scores: NDArray[np.floating]
    popularity: NDArray[np.floating]
    item: int
    score: float = -np.inf


class LearnedBatch(NamedTuple):
    """What `Recommender.learn_batches` learned.

    Attributes:
        learned: How many of the ratings were learned.
        changed: Those that changed something.
        users: The users of those that were learned.
        listed: Which of those that were learned lists are asked for, shape (learned,).
        trace: What `Recommender.top_n_after_each` needs; None where a rating was learned alone.
        excluded: What lists must not have, as `UpdateTrace` takes it.
        excluded_ends: Likewise.
    """

    learned: int
    changed: list[Rating]
    users: list[str]
    listed: NDArray[np.bool]
    trace: UpdateTrace | None = None
    excluded: NDArray[np.int32] = _NO_ITEMS
    excluded_ends: NDArray[np.int64] = _NO_ENDS


class Recommender:
    """A model for string ids that also remembers which items each user has.

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
        if plain and all(rating.weight > 0 and rating.features is None for rating in ratings):
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
        batch, changes, allowed = self._register_all(ratings, listed, with_seen=n > 0)
        model = cast("MinibatchModel", self.model)
        # Learning and lists differ with the policy, so a part ends where it changes.
        ends = [*(np.flatnonzero(np.diff(allowed)) + 1).tolist(), len(ratings)]
        start = 0
        for end in ends:
            self._allow(allowed[end - 1])
            while start < end:
                count, trace = model.learn_batch(batch.part(start, end), n)
                part = slice(start, start + count)
                changed = list(itertools.compress(ratings[part], changes[part]))
                users = [rating.user for rating in ratings[part]]
                excluded, ends_of = batch.seen, batch.seen_ends[start : start + count + 1]
                if allowed[end - 1]:
                    excluded, ends_of = self._known.user_items.rejected_by(batch.users[part])
                yield LearnedBatch(count, changed, users, listed[part], trace, excluded, ends_of)
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

    def top_n_after_each(self, part: LearnedBatch, n: int) -> Sequence[ScoredItems]:
        """Returns what `recommend` would have returned just after each listed rating.

        Args:
            part: The last that `learn_batches` gave.
            n: Length of the lists, at most what was said there.
        """
        if part.trace is None:
            listed = itertools.compress(part.users, part.listed)
            return [self.recommend(user, n) for user in listed]
        lists = part.trace.top_n_after_each(n, part.excluded, part.excluded_ends)
        return TopNColumns(self.items.ids, *lists)

    def _register_all(
        self, ratings: Sequence[Rating], listed: NDArray[np.bool], *, with_seen: bool
    ) -> tuple[Minibatch, list[bool], NDArray[np.bool]]:
        """Registers ratings.

        Returns:
            Them as a minibatch, whether each changes anything, and whether repeats are allowed
            just after each.
        """
        known = self._known
        users, items, item_counts, changes = known.register_all(ratings)
        seen = known.user_items.see_all(users, items, with_seen=with_seen)
        batch = Minibatch(
            users,
            items,
            item_counts,
            np.minimum([rating.weight for rating in ratings], LARGEST_STRENGTH),
            np.array([rating.timestamp for rating in ratings]),
            seen.ids,
            seen.ends,
            listed,
        )
        here = items >= 0
        np.add.at(known.popularity.rows, items[here], 1)
        kinds = np.where(seen.new, np.where(seen.sizes > 0, OTHER, FIRST), AGAIN)
        kinds[~here] = FIRST
        return batch, changes, self._repeats.see(kinds)

    def knows(self, user: str) -> bool:
        """Whether the user was ever seen."""
        return self.users.get(user) is not None

    def recommend(self, user: str, n: int, context: Sequence[float] = ()) -> ScoredItems:
        """Returns the user's `n` best items, best first; fewer if there are not so many.

        A user who was never seen gets the most popular items, scored by their positives or as
        the model does.
        """
        index = self.users.get(user)
        if index is None:
            return self.best(self._newcomer_scores(), n)
        excluded = self._known.user_items.excluded(index, allow_repeats=self.allow_repeats)
        best, scores = self.model.best_items(index, excluded, n, context)
        return self._named(best.tolist(), scores.tolist())

    def candidates(self, user: str, item: str, context: Sequence[float] = ()) -> Candidates:
        """Returns the scores of all items for a user, and which of them is `item`."""
        popularity = self._known.popularity.used().astype(np.float64)
        place, index = self.items.get(item), self.users.get(user)
        if index is None:
            scores = self._newcomer_scores()
        else:
            scores = self.model.item_scores(index, context)
            excluded = self._known.user_items.excluded(index, allow_repeats=self.allow_repeats)
            scores[excluded] = popularity[excluded] = -np.inf
        if place is None:
            return Candidates(scores, popularity, -1)
        score = float(scores[place])
        if self.is_exact_shard and popularity[place] > -np.inf:
            score = self._score_of(index, place)
        return Candidates(scores, popularity, place, score)

    def _score_of(self, user: int | None, item: int) -> float:
        if user is None and self.model.newcomer_scores() is None:
            return float(self._known.popularity.rows[item])
        return cast("ShardedModel", self.model).score_of(-1 if user is None else user, item)

    def _newcomer_scores(self) -> NDArray[np.floating]:
        scores = self.model.newcomer_scores()
        if scores is not None:
            return scores
        popularity = self._known.popularity.used().astype(np.float64)
        listed = self._known.listed
        return popularity if listed is None else listed.hide_elsewhere(popularity)

    def places(self, items: Sequence[ScoredItem]) -> list[int]:
        """Returns the index of each item of a list, which is the order of those that tie."""
        names = items.items if isinstance(items, ScoredItems) else [item for item, _ in items]
        return cast("list[int]", list(map(self.items.get, names)))

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
        return {self.items.ids[item] for item in self._known.user_items.seen(index).tolist()}

    def state_dict(self) -> Arrays:
        """Returns ids, seen items and the model's own arrays."""
        return {
            **self._known.state_dict(),
            **prefixed(_REPEATS, self._repeats.state_dict()),
            **prefixed(_MODEL, self.model.state_dict()),
        }

    def load_state_dict(self, arrays: Arrays) -> None:
        """Becomes the recommender that `state_dict` described.

        Call it on a new recommender; after an error it is of no further use.

        Raises:
            IncompatibleModelError: The arrays are damaged, or of another model or other
                hyperparameters.
        """
        saved = SavedArrays(arrays)
        self._known.load_state_dict(saved)
        self._repeats.load_state_dict(saved.part(_REPEATS))
        self._allow(self.allow_repeats)
        self.model.load_state_dict(saved.part(_MODEL), len(self.users), len(self.items))
