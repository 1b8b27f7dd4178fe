"""Learning and listing in minibatches gives what one by one gives, to the bit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from tests.support import movielens_like, same_arrays
from transforms.formats.records import Rating, Recommendation
from transforms.learning.shard import learn
from transforms.recommenders.hashing import EVERYTHING, Block
from transforms.recommenders.minibatch import LONGEST_LIST
from transforms.recommenders.recommender import Recommender
from transforms.recommenders.registry import RecommenderSpec


def _one_by_one(recommender: Recommender, ratings: Sequence[Rating], n: int) -> list[Any]:
    made = []
    for rating in ratings:
        changed = recommender.update(rating)
        best = recommender.recommend(rating.user, n)
        made.append((changed, Recommendation(rating.user, best, rating.timestamp, rating.origin)))
    return made


@pytest.mark.parametrize("n", [1, 10, LONGEST_LIST])
@pytest.mark.parametrize(
    "spec",
    [
        RecommenderSpec("mf", seed=1),
        RecommenderSpec("mf", {"k": 3, "learn_rate": 0.3}, seed=2),
        RecommenderSpec("mf", {"k": 17}, seed=3, repeats="allow"),
        RecommenderSpec("raisgd", seed=4),
        RecommenderSpec("itemknn"),
        RecommenderSpec("itemknn", {"history": 3, "half_life": 9.0}, repeats="allow"),
        RecommenderSpec("itemknn", {"neighbors": 100}),
        RecommenderSpec("itemknn", {"neighbors": 15, "history": 8}),
        RecommenderSpec("raisgd", {"k": 9, "negatives": 3}, seed=5, repeats="allow"),
    ],
)
@pytest.mark.parametrize("block", [EVERYTHING, Block(0, 2)])
def test_the_lists_and_the_model_are_those_of_one_by_one(
    spec: RecommenderSpec, n: int, block: Block
) -> None:
    ratings = movielens_like(1500, users=30, items=300)
    together, plain = spec.build(block), spec.build(block)
    assert together.minibatch_size(n) > 1
    for start, size in ((0, 1), (1, 7), (8, 200), (208, 1292)):
        batch = ratings[start : start + size]
        done = learn(together, batch, n)
        expected = _one_by_one(plain, batch, n)
        assert done.recommendations == [made for _, made in expected]
        pairs = zip(batch, expected, strict=True)
        assert done.changed == [rating for rating, (changed, _) in pairs if changed]
        assert same_arrays(together.state_dict(), plain.state_dict())


@pytest.mark.parametrize(
    "spec",
    [
        RecommenderSpec("mf", {"k": 5}, seed=1),
        RecommenderSpec("raisgd", {"k": 5}, seed=4, repeats="auto"),
        RecommenderSpec("itemknn", repeats="allow"),
        RecommenderSpec("itemknn", {"neighbors": 15, "history": 8}),
        RecommenderSpec("itemknn", {"neighbors": 100}, max_users=20),
        RecommenderSpec("userknn"),
    ],
)
def test_what_is_not_listed_is_learned_alike(spec: RecommenderSpec) -> None:
    ratings = [
        # Rejections are learned alone, between minibatches.
        rating._replace(weight=-1.0 if number % 97 == 0 else 1.0)
        for number, rating in enumerate(movielens_like(900, users=30, items=200))
    ]
    some, plain = spec.build(), spec.build()
    listed = [
        [number for number in range(300) if number % 7 in {2, 3}],
        [],
        [0, 299],
    ]
    for start, indexes in zip((0, 300, 600), listed, strict=True):
        batch = ratings[start : start + 300]
        done = learn(some, batch, 10, listed=indexes)
        expected = _one_by_one(plain, batch, 10)
        assert done.recommendations == [expected[index][1] for index in indexes]
        pairs = zip(batch, expected, strict=True)
        assert done.changed == [rating for rating, (changed, _) in pairs if changed]
        assert same_arrays(some.state_dict(), plain.state_dict())


@pytest.mark.parametrize("n", [0, 10])
@pytest.mark.parametrize("repeats", ["auto", "never", "allow"])
@pytest.mark.parametrize("model", ["mf", "raisgd", "itemknn"])
def test_weights_and_a_stream_that_begins_to_repeat_are_as_one_by_one(
    model: str, repeats: str, n: int
) -> None:
    spec = RecommenderSpec(model, repeats=repeats)
    ratings = []
    for number, rating in enumerate(movielens_like(700, users=12, items=400, seed=4)):
        # Nothing repeats at first, later much, and at last nothing again.
        item = f"{number}" if number < 200 or number > 450 else f"{number % 9}"
        weight = (1.0, 0.3, 1.0, -1.0, 2.5, 1.0, 0.0)[int(rating.rating + number % 7) % 7]
        ratings.append(rating._replace(item=item, weight=weight))
    together, plain = spec.build(), spec.build()
    allowed = set()
    for start in range(0, len(ratings), 100):
        batch = ratings[start : start + 100]
        done = learn(together, batch, n)
        expected = _one_by_one(plain, batch, n)
        assert done.changed == batch
        if n:
            assert done.recommendations == [made for _, made in expected]
        assert same_arrays(together.state_dict(), plain.state_dict())
        allowed.add(together.allow_repeats)
    assert allowed == {"auto": {False, True}, "never": {False}, "allow": {True}}[repeats]


@pytest.mark.parametrize("model", ["mf", "raisgd", "itemknn"])
def test_without_lists_the_model_is_the_same(model: str) -> None:
    spec = RecommenderSpec(model, {} if model == "itemknn" else {"k": 11})
    ratings = movielens_like(1000)
    together, plain = spec.build(), spec.build()
    assert learn(together, ratings, 0).recommendations == []
    _one_by_one(plain, ratings, 3)
    assert same_arrays(together.state_dict(), plain.state_dict())
    at_once = spec.build()
    at_once.learn_all(ratings)
    assert same_arrays(at_once.state_dict(), plain.state_dict())


def test_where_single_precision_does_not_do_the_lists_are_still_those_of_one_by_one() -> None:
    # A step far too large makes factors grow without bound, to infinity and to no number.
    spec = RecommenderSpec("mf", {"k": 2, "learn_rate": 0.99, "l2_reg": 0.9})
    together, plain = spec.build(), spec.build()
    for recommender in (together, plain):
        recommender.update(Rating("u", "far", 5.0, 0.0))
        state = recommender.state_dict()
        state["model.q"] = np.array([[1e9, 1e9]])
        recommender.load_state_dict(state)
    ratings = movielens_like(400, users=10, items=50)
    done = learn(together, ratings, 10)
    with np.errstate(all="ignore"):
        expected = [made for _, made in _one_by_one(plain, ratings, 10)]
    assert repr(done.recommendations) == repr(expected)
    assert same_arrays(together.state_dict(), plain.state_dict())


def test_many_alike_items_come_in_the_order_of_one_by_one() -> None:
    spec = RecommenderSpec("mf", {"k": 4})
    together, plain = spec.build(), spec.build()
    ratings = movielens_like(300, users=10, items=200)
    for recommender in (together, plain):
        _one_by_one(recommender, ratings, 1)
        state = recommender.state_dict()
        state["model.q"] = np.repeat(np.array([[0.3, 0.1, 0.2, 0.4]]), len(recommender.items), 0)
        recommender.load_state_dict(state)
    more = movielens_like(200, users=10, items=200, seed=9)
    done = learn(together, more, 20)
    assert done.recommendations == [made for _, made in _one_by_one(plain, more, 20)]


def test_what_can_not_go_together_goes_one_by_one() -> None:
    assert RecommenderSpec("mf", max_users=9).build().minibatch_size(10) == 0
    assert RecommenderSpec("mf", max_items=9).build().minibatch_size(10) == 0
    assert RecommenderSpec("mf", user_ttl=60.0).build().minibatch_size(10) == 0
    assert RecommenderSpec("popular").build().minibatch_size(10) == 0
    assert RecommenderSpec("mf").build().minibatch_size(LONGEST_LIST + 1) == 0
