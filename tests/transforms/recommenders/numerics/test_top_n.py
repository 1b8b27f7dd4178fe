from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.recommenders.numerics.top_n import top_n


@pytest.mark.parametrize(
    ("scores", "n", "expected"),
    [
        ([], 3, []),
        ([0.5], 3, [0]),
        ([0.1, 0.9, 0.5], 1, [1]),
        ([0.1, 0.9, 0.5], 2, [1, 2]),
        ([0.1, 0.9, 0.5], 3, [1, 2, 0]),
        ([0.1, 0.9, 0.5], 10, [1, 2, 0]),
        ([-3.0, -1.0, -2.0], 2, [1, 2]),
        ([0.5, 0.5, 0.5, 0.5], 2, [0, 1]),
        ([0.1, 0.5, 0.9, 0.5, 0.5], 3, [2, 1, 3]),
        ([0.0, -0.0, 0.0], 2, [0, 1]),
        ([-math.inf, 0.5, -math.inf], 2, [1]),
        ([-math.inf, 0.5, -math.inf], 3, [1]),
        ([-math.inf, -math.inf], 1, []),
        ([math.inf, 0.0, math.inf], 2, [0, 2]),
        ([math.nan, 0.5, math.nan, 0.7], 3, [3, 1]),
        ([math.nan, math.nan], 1, []),
    ],
)
def test_the_best_come_first_and_of_equals_the_first(
    scores: list[float], n: int, expected: list[int]
) -> None:
    assert top_n(np.array(scores, dtype=np.float64), n).tolist() == expected


def test_the_scores_are_left_as_they_were() -> None:
    scores = np.array([0.1, 0.9, 0.5, -np.inf])
    top_n(scores, 2)
    assert scores.tolist() == [0.1, 0.9, 0.5, -math.inf]


# Few distinct values, so that ties fall on the border of the list.
SCORES = st.lists(
    st.sampled_from([-math.inf, math.nan, -1.0, 0.0, 0.25, 0.5, 1.0]) | st.floats(-2, 2),
    max_size=150,
)


@settings(deadline=None, max_examples=300)
@given(SCORES, st.integers(1, 12) | st.integers(101, 110))
def test_it_equals_a_full_stable_sort(scores: list[float], n: int) -> None:
    numbers = [index for index, score in enumerate(scores) if not math.isnan(score)]
    everyone = sorted(numbers, key=lambda index: (-scores[index], index))
    expected = [index for index in everyone if scores[index] > -math.inf][:n]
    assert top_n(np.array(scores, dtype=np.float64), n).tolist() == expected


def test_long_lists_are_those_of_short_ones() -> None:
    scores = np.round(np.random.default_rng(3).normal(size=1000), 1)
    scores[::7] = np.nan
    assert top_n(scores, 500)[:100].tolist() == top_n(scores, 100).tolist()
