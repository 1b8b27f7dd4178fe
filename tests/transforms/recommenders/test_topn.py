from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.recommenders.topn import partitioned, top_n


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
    ],
)
def test_the_best_come_first_and_of_equals_the_first(
    scores: list[float], n: int, expected: list[int]
) -> None:
    assert top_n(np.array(scores, dtype=np.float64), n).tolist() == expected
    assert partitioned(np.array(scores, dtype=np.float64), n).tolist() == expected


def test_the_scores_are_left_as_they_were() -> None:
    scores = np.array([0.1, 0.9, 0.5, -np.inf])
    top_n(scores, 2)
    assert scores.tolist() == [0.1, 0.9, 0.5, -math.inf]


# Few distinct values, so that ties fall on the border of the list.
SCORES = st.lists(st.sampled_from([-math.inf, -1.0, 0.0, 0.25, 0.5, 1.0]) | st.floats(-2, 2))


@settings(deadline=None, max_examples=300)
@given(SCORES, st.integers(1, 12))
def test_it_equals_a_full_stable_sort(scores: list[float], n: int) -> None:
    everyone = sorted(range(len(scores)), key=lambda index: (-scores[index], index))
    expected = [index for index in everyone if scores[index] != -math.inf][:n]
    assert top_n(np.array(scores, dtype=np.float64), n).tolist() == expected
    assert partitioned(np.array(scores, dtype=np.float64), n).tolist() == expected
