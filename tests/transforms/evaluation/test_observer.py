from __future__ import annotations

from dataclasses import replace

import pytest
from flurs.data.entity import Event, Item, User
from flurs.evaluator import Evaluator

from tests.support import movielens_like
from transforms.evaluation.observer import PreUpdateObserver, PreUpdateScores, evaluate
from transforms.formats.records import Rating
from transforms.learning.shard import learn
from transforms.recommenders.hashing import Block
from transforms.recommenders.memory.vocabulary import Vocabulary
from transforms.recommenders.models.mf import MF
from transforms.recommenders.models.mf_config import MFConfig
from transforms.recommenders.recommender import Recommender
from transforms.recommenders.registry import RecommenderSpec

SPEC = RecommenderSpec("mf", {"k": 4}, seed=3)


def _learned(recommender: Recommender, rating: Rating, top_n: int) -> PreUpdateScores:
    observer = PreUpdateObserver(top_n)
    learn(recommender, [rating], top_n, observer=observer)
    (scores,) = observer.scores
    return scores


def plain_rank(recommender: Recommender, user: str, item: str) -> int | None:
    if recommender.items.get(item) is None:
        return None
    everything = [name for name, _ in recommender.recommend(user, 10_000)]
    return everything.index(item) + 1 if item in everything else None


@pytest.mark.parametrize("repeats", ["never", "allow"])
def test_a_test_says_where_the_item_stands_in_the_list_of_all(repeats: str) -> None:
    spec = RecommenderSpec("mf", {"k": 4}, 3, repeats)
    ratings = movielens_like(300, users=12, items=40)
    recommender, plain, popular = spec.build(), spec.build(), spec.build()
    for rating in ratings:
        found = evaluate(rating, [_learned(recommender, rating, 6)], "mf", 6, 1.5, 2.0)
        assert (found.origin, found.user, found.item) == (rating.origin, rating.user, rating.item)
        assert (found.update_us, found.top_n_us) == (1.5, 2.0)
        assert found.rank == plain_rank(plain, rating.user, rating.item)
        assert found.items == [item for item, _ in plain.recommend(rating.user, 6)]
        assert found.candidates == len(plain.recommend(rating.user, 10_000))
        assert found.rank is None or (found.rank <= 6) == (rating.item in found.items)
        known = set() if repeats == "allow" else plain.seen_items(rating.user)
        by_count = [item for item, _ in popular.recommend("nobody", 10_000) if item not in known]
        assert found.popular_items == by_count[:6]
        if found.popular_rank is not None:
            assert by_count[found.popular_rank - 1] == rating.item
        assert (found.popular_rank is None) == (rating.item not in by_count)
        plain.update(rating)
        popular.update(rating)


def test_ranks_are_those_of_flurs_own_evaluator() -> None:
    """FluRS adds the right item to the candidates, so what is none here has a rank there."""
    ratings = movielens_like(800, users=20, items=60)
    users, items = Vocabulary(), Vocabulary()
    events = [
        Event(
            User(index if (index := users.get(one.user)) is not None else users.add(one.user)),
            Item(place if (place := items.get(one.item)) is not None else items.add(one.item)),
        )
        for one in ratings
    ]
    flurs_ranks = [
        rank + 1 for _, rank, _, _ in Evaluator(MF(MFConfig(k=4), 3), repeat=False).evaluate(events)
    ]
    recommender = replace(SPEC, repeats="never").build()
    compared = 0
    for rating, flurs_rank in zip(ratings, flurs_ranks, strict=True):
        known = recommender.knows(rating.user)
        found = evaluate(rating, [_learned(recommender, rating, 6)], "mf", 6, 1.5, 2.0)
        if known and found.rank is not None:
            assert found.rank == flurs_rank
            compared += 1
    assert compared > 300


def test_a_test_over_several_item_shards_is_that_over_their_items_together() -> None:
    ratings = movielens_like(300, users=12, items=40)
    shards = [SPEC.build(Block(number, 3)) for number in range(3)]
    for rating in ratings:
        together = sorted(
            (-score, column, place, item)
            for column, shard in enumerate(shards)
            for place, (item, score) in enumerate(shard.recommend(rating.user, 10_000))
        )
        everything = [item for *_, item in together]
        scores = [_learned(shard, rating, 5) for shard in shards]
        found = evaluate(rating, scores, "mf", 5, 1.5, 2.0)
        if rating.item in everything:
            assert found.rank == everything.index(rating.item) + 1
        else:
            assert found.rank is None
        assert found.items == everything[:5]
        assert found.candidates == len(everything)
