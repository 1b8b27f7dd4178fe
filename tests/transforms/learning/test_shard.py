from __future__ import annotations

import numpy as np
import pytest
from flurs.data.entity import Event, Item, User
from flurs.evaluator import Evaluator

from tests.support import movielens_like
from transforms.elements import RatingBatch
from transforms.formats.records import Recommendation, Request, ScoredItem
from transforms.learning.shard import evaluate, learn, merge_items, merge_lists
from transforms.recommenders.blocks import Block
from transforms.recommenders.memory.vocabulary import Vocabulary
from transforms.recommenders.models.mf import MF, MFConfig
from transforms.recommenders.recommender import Recommender
from transforms.recommenders.registry import RecommenderSpec

SPEC = RecommenderSpec("mf", {"k": 4}, seed=3)


def test_a_rating_is_learned_and_then_listed() -> None:
    ratings = movielens_like(200)
    done = learn(SPEC.build(), RatingBatch(ratings), 5, test=False)
    plain = SPEC.build()
    for rating, found in zip(ratings, done.lists, strict=True):
        plain.update(rating)
        best = plain.recommend(rating.user, 5)
        assert found == Recommendation(rating.user, best, rating.timestamp, rating.origin)
    assert done.changed == ratings
    assert done.standings == []
    assert done.update_us > 0
    assert done.top_n_us > 0


def test_requests_are_answered_after_the_ratings_and_change_nothing() -> None:
    ratings = movielens_like(100)
    requests = [Request(ratings[0].user, 5.0, "r:1"), Request("nobody", 6.0, "r:2")]
    recommender = SPEC.build()
    known, unknown = learn(recommender, RatingBatch(ratings, 0.0, requests), 3, test=False).lists[
        -2:
    ]
    assert known == Recommendation(
        ratings[0].user, recommender.recommend(ratings[0].user, 3), 5.0, "r:1"
    )
    assert unknown.fallback == "popular"
    assert unknown.items == recommender.recommend("nobody", 3)
    assert not recommender.knows("nobody")
    assert learn(recommender, RatingBatch([], 0.0, requests), 3, test=True).changed == []


def test_with_top_n_zero_no_rating_is_listed() -> None:
    assert learn(SPEC.build(), RatingBatch(movielens_like(9)), 0, test=False).lists == []


def plain_rank(recommender: Recommender, user: str, item: str) -> int | None:
    if recommender.items.get(item) is None:
        return None
    everything = [name for name, _ in recommender.recommend(user, 10_000)]
    return everything.index(item) + 1 if item in everything else None


@pytest.mark.parametrize("allow_repeats", [False, True])
def test_a_test_says_where_the_item_stands_in_the_list_of_all(allow_repeats: bool) -> None:
    spec = RecommenderSpec("mf", {"k": 4}, 3, allow_repeats)
    ratings = movielens_like(300, users=12, items=40)
    recommender, plain, popular = spec.build(), spec.build(), spec.build()
    for rating in ratings:
        done = learn(recommender, RatingBatch([rating]), 6, test=True)
        found = evaluate(rating, done.standings, "mf", 6, 1.5, 2.0)
        assert (found.origin, found.user, found.item) == (rating.origin, rating.user, rating.item)
        assert (found.update_us, found.top_n_us) == (1.5, 2.0)
        assert found.rank == plain_rank(plain, rating.user, rating.item)
        assert found.items == [item for item, _ in plain.recommend(rating.user, 6)]
        assert found.candidates == len(plain.recommend(rating.user, 10_000))
        assert found.rank is None or (found.rank <= 6) == (rating.item in found.items)
        known = set() if allow_repeats else plain.seen_items(rating.user)
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
    recommender = SPEC.build()
    compared = 0
    for rating, flurs_rank in zip(ratings, flurs_ranks, strict=True):
        known = recommender.knows(rating.user)
        done = learn(recommender, RatingBatch([rating]), 6, test=True)
        found = evaluate(rating, done.standings, "mf", 6, 1.5, 2.0)
        if known and found.rank is not None:
            assert found.rank == flurs_rank
            compared += 1
    assert compared > 300


def test_a_test_over_several_blocks_is_that_over_their_items_together() -> None:
    ratings = movielens_like(300, users=12, items=40)
    cells = [SPEC.build(Block(number, 3)) for number in range(3)]
    for rating in ratings:
        together = sorted(
            (-score, column, place, item)
            for column, cell in enumerate(cells)
            for place, (item, score) in enumerate(cell.recommend(rating.user, 10_000))
        )
        everything = [item for *_, item in together]
        parts = [learn(cell, RatingBatch([rating]), 5, test=True) for cell in cells]
        standings = [part.standings[0] for part in parts]
        found = evaluate(rating, standings, "mf", 5, 1.5, 2.0)
        if rating.item in everything:
            assert found.rank == everything.index(rating.item) + 1
        else:
            assert found.rank is None
        assert found.items == everything[:5]
        assert found.candidates == len(everything)


def test_lists_are_merged_best_first_and_of_equals_the_earlier_one_wins() -> None:
    first = [ScoredItem("a", 3.0), ScoredItem("b", 1.0)]
    second = [ScoredItem("c", 3.0), ScoredItem("d", 2.0)]
    assert [item for item, _ in merge_items([first, second], 3)] == ["a", "c", "d"]
    parts = [Recommendation("u", items, 1.0, "o", "popular") for items in (first, second)]
    assert merge_lists(parts, 1) == Recommendation("u", first[:1], 1.0, "o", "popular")


def test_nothing_to_list_is_an_empty_list() -> None:
    assert merge_items([[], []], 3) == []
    done = learn(SPEC.build(), RatingBatch([], 0.0, [Request("u")]), 3, test=True)
    assert done.lists == [Recommendation("u", [], 0.0, "", "popular")]
    assert np.isfinite(done.top_n_us)
