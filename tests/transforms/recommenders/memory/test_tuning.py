from __future__ import annotations

import logging

import numpy as np
import pytest

from tests.support import movielens_like, same_arrays
from transforms.errors import IncompatibleModelError
from transforms.formats.records import Rating
from transforms.recommenders.arrays import SavedArrays
from transforms.recommenders.hashing import Block
from transforms.recommenders.memory.tuning import Tuning
from transforms.recommenders.numerics.habit_arrays import SETTINGS
from transforms.recommenders.numerics.tuning_kernels import follow_leader
from transforms.recommenders.recommender import Recommender
from transforms.recommenders.registry import RecommenderSpec


def _test(tuning: Tuning, best: int, count: int, seed: int = 0) -> None:
    """Makes tests in which one setting is better by a fifth on average, all of them noisy."""
    random = np.random.default_rng(seed)
    arrays = tuning.arrays(1)
    for _ in range(count):
        arrays.latest[:] = random.random(SETTINGS) * 0.8
        arrays.latest[best] += 0.2
        follow_leader(arrays)


def test_the_leader_follows_a_stream_that_changes(caplog: pytest.LogCaptureFixture) -> None:
    tuning = Tuning(4, 3.0)
    leaders = []
    for best in (1, 3, 0, 2, 1):
        _test(tuning, best, 3000, seed=best)
        with caplog.at_level(logging.WARNING):
            tuning.tell()
            tuning.tell()
        leaders.append(tuning.leader)
    assert leaders == ["half_life 3", "experts", "half_life 1", "half_life 9", "half_life 3"]
    assert len(caplog.messages) == 4
    assert "by experts from now on, no longer by half_life 3" in caplog.messages[0]


def test_settings_that_are_as_good_leave_the_leader_alone() -> None:
    for seed in range(5):
        tuning, random = Tuning(4, 3.0), np.random.default_rng(seed)
        arrays = tuning.arrays(1)
        for _ in range(300):
            arrays.latest[:] = random.random()
            follow_leader(arrays)
        assert tuning.leader == "half_life 3"


def test_few_tests_do_not_suffice() -> None:
    tuning = Tuning(4, 3.0)
    _test(tuning, 3, 5)
    assert tuning.leader == "half_life 3"


def test_it_is_saved_and_a_damaged_one_is_refused() -> None:
    tuning, loaded = Tuning(4, 3.0), Tuning(4, 3.0)
    _test(tuning, 2, 500)
    loaded.load_state_dict(SavedArrays(tuning.state_dict()))
    assert loaded.leader == "half_life 9"
    _test(tuning, 0, 700)
    _test(loaded, 0, 700)
    assert same_arrays(tuning.state_dict(), loaded.state_dict())
    damaged = {**tuning.state_dict(), "tuning.leader": np.array([4])}
    with pytest.raises(IncompatibleModelError, match=r"tuning\.leader is 4, expected at most 3"):
        loaded.load_state_dict(SavedArrays(damaged))


def _learned(ratings: list[Rating], **hyperparameters: object) -> Recommender:
    recommender = RecommenderSpec("itemknn", hyperparameters, repeats="never").build()
    for rating in ratings:
        recommender.update(rating)
    return recommender


def test_where_experts_do_better_lists_are_theirs_unless_tune_is_off() -> None:
    ratings = movielens_like(700)
    tuned, off = _learned(ratings), _learned(ratings, tune="off")
    assert tuned.model.lists_by() == "experts"
    assert off.model.lists_by() == "half_life 3"
    user = ratings[0].user
    assert tuned.recommend(user, 5) != off.recommend(user, 5)
    first = ratings[:3]
    assert _learned(first).recommend(user, 5) == _learned(first, tune="off").recommend(user, 5)


def test_item_shards_do_not_test() -> None:
    shard = RecommenderSpec("itemknn", repeats="never").build(Block(0, 2))
    for rating in movielens_like(700):
        shard.update(rating)
    assert not shard.state_dict()["model.tuning.utilities"].any()
    assert shard.model.lists_by() == "half_life 3"


def test_what_is_tested_and_credited_rarely_is_so_in_minibatches_too() -> None:
    ratings = movielens_like(9000, users=400, items=300)
    together = RecommenderSpec("itemknn", repeats="never").build()
    together.learn_all(ratings)
    assert same_arrays(_learned(ratings).state_dict(), together.state_dict())
