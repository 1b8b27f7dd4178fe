from __future__ import annotations

import math
import random
from collections import defaultdict

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binomtest

from benchmarks.quality.outcomes import Costs, Outcome, compare, intervals
from transforms.evaluation.prequential import Scores

NOTHING = Scores(0, *[math.nan] * 6)


def outcome(ranks: list[int], top_n: int = 3, tests: list[int] | None = None) -> Outcome:
    numbers = np.arange(len(ranks)) if tests is None else np.array(tests, dtype=np.int64)
    values = np.array(ranks, dtype=np.int64)
    repeats = np.zeros(len(ranks), dtype=np.bool)
    costs = Costs(0.0, 0.0, 0.0)
    return Outcome("one", top_n, numbers, values, repeats, NOTHING, lists_only=False, costs=costs)


def test_hits_reciprocals_and_gains_are_of_the_list_alone() -> None:
    one = outcome([0, 1, 3, 4])
    assert one.hits.tolist() == [False, True, True, False]
    assert one.reciprocals.tolist() == [0, 1, 1 / 3, 0]
    assert one.gains.tolist() == pytest.approx([0, 1, 0.5, 0])


def plain_intervals(values: list[float], users: list[int], seed: int) -> list[float]:
    """Draws users with replacement, all tests of each, as the definition says."""
    of_user: dict[int, list[float]] = defaultdict(list)
    for value, user in zip(values, users, strict=True):
        of_user[user].append(value)
    names = sorted(of_user)
    draws = random.Random(seed)
    means = []
    for _ in range(4000):
        drawn = [value for name in draws.choices(names, k=len(names)) for value in of_user[name]]
        means.append(sum(drawn) / len(drawn))
    means.sort()
    return [means[100], means[3899]]


def test_intervals_draw_whole_users() -> None:
    draws = np.random.default_rng(1)
    users = draws.integers(40, size=600)
    tendency = draws.random(40)
    values = (draws.random(600) < tendency[users]).astype(np.float64)
    low, high = intervals(values[:, np.newaxis], users * 7, seed=3)[:, 0].tolist()
    expected = plain_intervals(values.tolist(), users.tolist(), seed=5)
    assert [low, high] == pytest.approx(expected, abs=0.012)
    # Drawing single tests would claim to be surer.
    alone = intervals(values[:, np.newaxis], np.arange(600), seed=3)[:, 0]
    assert high - low > 1.5 * (alone[1] - alone[0])


def test_intervals_are_the_same_for_the_same_seed() -> None:
    draws = np.random.default_rng(0)
    values, users = draws.random((50, 2)), draws.integers(9, size=50)
    assert (intervals(values, users) == intervals(values, users)).all()
    assert (intervals(values, users, seed=1) != intervals(values, users)).any()
    # A column's interval does not depend on what stands beside it, but for BLAS's order of sums.
    alone = intervals(values[:, 1:], users)
    np.testing.assert_allclose(alone, intervals(values, users)[:, 1:], rtol=1e-12)


def test_intervals_of_nothing_are_undefined() -> None:
    assert np.isnan(intervals(np.zeros((0, 2)), np.zeros(0, dtype=np.int64))).all()


def _users(count: int) -> NDArray[np.int64]:
    return np.arange(count)


def test_mcnemar_counts_what_one_of_both_hits() -> None:
    first = outcome([1] * 30 + [0] * 10 + [1] * 50)
    second = outcome([0] * 30 + [1] * 10 + [1] * 50)
    versus = compare(first, second, _users(90))
    assert versus.statistic == pytest.approx((30 - 10) ** 2 / 40)
    assert versus.recall_difference == pytest.approx(20 / 90)
    assert versus.better == 1
    assert binomtest(10, 40).pvalue < 0.01
    back = compare(second, first, _users(90))
    assert (back.statistic, back.better) == (-versus.statistic, -1)
    assert back.interval == pytest.approx((-versus.interval[1], -versus.interval[0]))


def test_a_small_difference_is_none() -> None:
    versus = compare(outcome([1, 1, 1, 0] * 20), outcome([1, 1, 0, 1] * 20), _users(80))
    assert (versus.statistic, versus.better) == (0.0, 0)
    low, high = versus.interval
    assert low < 0 < high


def test_more_tests_than_a_window_of_the_report_count() -> None:
    # `McNemar` forgets by default what is 5000 tests ago.
    first, second = outcome([1] * 100 + [0] * 9000), outcome([0] * 9100)
    assert compare(first, second, _users(9100)).statistic == pytest.approx(100)


def test_models_are_compared_on_the_tests_that_both_took() -> None:
    everything = outcome([1, 0, 1, 0, 1])
    sample = outcome([0, 0, 1], tests=[0, 2, 4])
    versus = compare(sample, everything, _users(5))
    assert versus.recall_difference == pytest.approx(-2 / 3)
    assert versus.statistic == pytest.approx(-2.0)
