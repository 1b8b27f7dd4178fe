"""Prequential evaluation as an observer of learning: each positive is a test before the update."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from transforms.evaluation.ranking import count_candidates, rank
from transforms.formats.records import Evaluation, Rating, ScoredItem
from transforms.learning.shard import merge_items
from transforms.recommenders.recommender import Candidates, Recommender


class PreUpdateScores(NamedTuple):
    """Candidate scores before the update, from one model shard.

    Attributes:
        candidates: All items that the user could have been shown.
        items: The list that the user would have been shown.
        popular_items: The most popular of the candidates.
    """

    candidates: Candidates
    items: Sequence[ScoredItem]
    popular_items: Sequence[ScoredItem]


class PreUpdateObserver:
    """Collects the scores before each update.

    Args:
        top_n: Length of the lists.

    Attributes:
        ratings: The tested ratings, in order.
        scores: The scores before each of `ratings`.
    """

    def __init__(self, top_n: int) -> None:
        self._top_n = top_n
        self.ratings: list[Rating] = []
        self.scores: list[PreUpdateScores] = []

    def before_update(self, recommender: Recommender, rating: Rating) -> None:
        """Notes the scores of all candidates for a rating that is about to be learned."""
        context = rating.features.context if rating.features else ()
        candidates = recommender.candidates(rating.user, rating.item, context)
        self.ratings.append(rating)
        self.scores.append(
            PreUpdateScores(
                candidates,
                recommender.best(candidates.scores, self._top_n),
                recommender.best(candidates.popularity, self._top_n),
            )
        )


def evaluate(
    rating: Rating,
    shards: Sequence[PreUpdateScores],
    model: str,
    top_n: int,
    update_us: float,
    top_n_us: float,
) -> Evaluation:
    """Returns the test of a rating.

    Args:
        rating: What the user chose.
        shards: The scores of each item shard of the user.
        model: The recommender's name.
        top_n: Length of the lists.
        update_us: Microseconds of learning the rating.
        top_n_us: Microseconds of making one list.
    """
    scores = [shard.candidates.scores for shard in shards]
    popularity = [shard.candidates.popularity for shard in shards]
    indices = [shard.candidates.item for shard in shards]
    # The shard that knows the item has an index of it, all others have -1.
    owner = max(range(len(indices)), key=indices.__getitem__)
    return Evaluation(
        rating.origin,
        rating.user,
        rating.item,
        rank(scores, owner, indices[owner]),
        count_candidates(scores),
        model,
        rating.timestamp,
        [item for item, _ in merge_items([shard.items for shard in shards], top_n)],
        rank(popularity, owner, indices[owner]),
        [item for item, _ in merge_items([shard.popular_items for shard in shards], top_n)],
        round(update_us, 3),
        round(top_n_us, 3),
    )
