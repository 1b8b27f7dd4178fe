"""Prequential evaluation as an observer of learning: each positive is a test before the update."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from transforms.evaluation.ranking import count_ahead, count_candidates, rank
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


class Standing(NamedTuple):
    """Where an item stands among the candidates of one item shard of a `ShardedModel`.

    Attributes:
        ahead: How many of them come before it; None if it is no candidate anywhere.
        candidates: How many there are.
        items: The list that the user would have been shown of them.
        places: The place of each of `items` among all items.
        popular_rank: The item's rank by popularity among all items, from 1; None as `ahead`.
        popular_items: The most popular of all candidates; empty in all item shards but the first,
            as every one would say the same.
    """

    ahead: int | None
    candidates: int
    items: Sequence[ScoredItem]
    places: Sequence[int]
    popular_rank: int | None
    popular_items: Sequence[ScoredItem]


class PreUpdateObserver:
    """Collects what it takes to test each rating before its update.

    Args:
        top_n: Length of the lists.

    Attributes:
        ratings: The tested ratings, in order.
        scores: The scores before each of `ratings`, unless there are standings.
        standings: Where each of `ratings` stands, in item shards of a `ShardedModel`.
    """

    def __init__(self, top_n: int) -> None:
        self._top_n = top_n
        self.ratings: list[Rating] = []
        self.scores: list[PreUpdateScores] = []
        self.standings: list[Standing] = []

    def before_update(self, recommender: Recommender, rating: Rating) -> None:
        """Notes the scores of all candidates for a rating that is about to be learned."""
        context = rating.features.context if rating.features else ()
        candidates = recommender.candidates(rating.user, rating.item, context)
        self.ratings.append(rating)
        if recommender.is_exact_shard:
            self.standings.append(self._standing(recommender, candidates))
            return
        self.scores.append(
            PreUpdateScores(
                candidates,
                recommender.best(candidates.scores, self._top_n),
                recommender.best(candidates.popularity, self._top_n),
            )
        )

    def _standing(self, recommender: Recommender, candidates: Candidates) -> Standing:
        scores, popularity, item, score = candidates
        items = recommender.best(scores, self._top_n)
        first = recommender.block.number == 0
        return Standing(
            count_ahead(scores, score, item),
            count_candidates([scores]),
            items,
            recommender.places(items),
            rank([popularity], 0, item) if first else None,
            recommender.best(popularity, self._top_n) if first else [],
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


def evaluate_standings(
    rating: Rating,
    shards: Sequence[Standing],
    model: str,
    top_n: int,
    update_us: float,
    top_n_us: float,
) -> Evaluation:
    """Returns the test of a rating, given where it stands in each item shard, see `evaluate`."""
    ahead = [shard.ahead for shard in shards if shard.ahead is not None]
    items = merge_items(
        [shard.items for shard in shards], top_n, [shard.places for shard in shards]
    )
    return Evaluation(
        rating.origin,
        rating.user,
        rating.item,
        1 + sum(ahead) if ahead else None,
        sum(shard.candidates for shard in shards),
        model,
        rating.timestamp,
        [item for item, _ in items],
        shards[0].popular_rank,
        [item for item, _ in shards[0].popular_items],
        round(update_us, 3),
        round(top_n_us, 3),
    )
