from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from flurs.baseline import Random
from flurs.data.entity import Item, User

from tests.support import movielens_like
from tests.transforms.recommenders.contract import RecommenderContract
from transforms.formats.records import Rating
from transforms.recommenders.registry import RecommenderSpec

SPEC = RecommenderSpec("random", seed=3, repeats="never")


class TestRandomOrder(RecommenderContract):
    spec = SPEC
    other_spec = RecommenderSpec("mf", {"k": 9}, repeats="never")


def test_a_list_is_another_after_each_positive_and_the_same_until_then() -> None:
    recommender = SPEC.build()
    for rating in movielens_like(500):
        recommender.update(rating)
    lists = []
    for _ in range(50):
        lists.append([item for item, _ in recommender.recommend("1", 10)])
        assert [item for item, _ in recommender.recommend("1", 10)] == lists[-1]
        recommender.update(Rating("2", "3", 5.0, 0.0))
    assert len(set(map(tuple, lists))) == 50


def test_users_and_seeds_have_lists_of_their_own() -> None:
    def lists(seed: int) -> list[list[str]]:
        recommender = RecommenderSpec("random", seed=seed, repeats="allow").build()
        for rating in movielens_like(500):
            recommender.update(rating)
        return [[item for item, _ in recommender.recommend(user, 10)] for user in ("1", "2")]

    (one, two), (three, four) = lists(1), lists(2)
    assert len({*map(tuple, (one, two, three, four))}) == 4


def test_every_item_is_first_equally_often() -> None:
    recommender = RecommenderSpec("random", repeats="allow").build()
    for number in range(10):
        recommender.update(Rating("u", str(number), 5.0, 0.0))
    first: Counter[str] = Counter()
    for _ in range(5_000):
        recommender.update(Rating("u", "0", 5.0, 0.0))
        first[recommender.recommend("u", 1)[0].item] += 1
    # 500 +- 21 each.
    assert len(first) == 10
    assert all(abs(count - 500) < 110 for count in first.values())


def test_lists_are_those_of_flurs_when_it_draws_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    recommender, theirs = SPEC.build(), Random()
    theirs.initialize()
    for number in range(30):
        recommender.update(Rating("u", str(number), 5.0, 0.0))
        theirs.register(Item(number))
    scores = recommender.model.item_scores(0)
    # FluRS lists the smallest number first, and draws one for each candidate.
    monkeypatch.setattr(np.random, "rand", lambda n: 1.0 - scores[:n])
    best, _ = theirs.recommend(User(0), np.arange(30))
    assert best.tolist() == np.argsort(-scores).tolist()
