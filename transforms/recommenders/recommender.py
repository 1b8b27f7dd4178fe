"""The recommender that is built on a model: a learner that recommends, too."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Final, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from transforms.formats.listed_ratings import TopNColumns
from transforms.formats.records import ScoredItem, ScoredItems
from transforms.recommenders.arrays import Arrays, SavedArrays, prefixed
from transforms.recommenders.learner import LearnedBatch, Learner
from transforms.recommenders.model import ShardedModel
from transforms.recommenders.numerics.top_n import top_n

POPULAR: Final = "popular"
"""How a list is marked that has the most popular items because its user is unknown."""

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


class Recommender(Learner):
    """A learner that recommends what its model does, and is saved and loaded.

    The arguments are those of `Learner`.
    """

    def top_n_after_each(self, part: LearnedBatch, n: int) -> Sequence[ScoredItems]:
        """Returns what `recommend` would have returned just after each listed rating.

        Args:
            part: The last that `learn_batches` gave.
            n: Length of the lists, at most what was said there.
        """
        if part.trace is None:
            listed = itertools.compress(part.users, part.listed)
            return [self.recommend(user, n) for user in listed]
        lists = part.trace.top_n_after_each(n)
        return TopNColumns(self.items.ids, *lists)

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
        """Returns ids, seen items and the model's arrays; later learning does not change them."""
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
