from __future__ import annotations

import numpy as np
import pytest

from transforms.recommenders.mf import MF, MFConfig
from transforms.recommenders.screen import Screen


def _nearest(scores: np.ndarray, left_out: np.ndarray, n: int) -> list[int]:
    scores = scores.copy()
    scores[left_out] = -np.inf
    return np.argsort(-scores, kind="stable")[:n].tolist()


@pytest.mark.parametrize("scale", [0.01, 0.3, 3.0])
def test_the_best_are_always_among_what_is_left(scale: float) -> None:
    random = np.random.default_rng(1)
    screen = Screen(40)
    items = random.normal(0.0, scale, (3000, 40))
    items[1500:] = items[:1500] + random.normal(0.0, 1e-9, (1500, 40))
    left_out = np.array([0, 7, 2999], dtype=np.int32)
    for n_item in (1000, 2000, 2001, 3000):
        for _ in range(20):
            p = random.normal(0.0, scale, 40)
            screen.follow(items[:n_item])
            near = screen.near_one(p, left_out[left_out < n_item], 10)
            assert near is not None
            scores = 1.0 - np.abs(1.0 - items[:n_item] @ p)
            best = _nearest(scores, left_out[left_out < n_item], 10)
            assert set(best) <= set(near.tolist())
            assert len(near) < 500


def test_it_follows_changes() -> None:
    screen = Screen(4)
    items = np.zeros((100, 4))
    p = np.array([1.0, 0.0, 0.0, 0.0])
    nothing = np.empty(0, dtype=np.int32)
    screen.follow(items)
    items[42, 0] = 1.0
    screen.changed(42, items[42])
    near = screen.near_one(p, nothing, 1)
    assert near is not None
    assert near.tolist() == [42]


def test_it_says_when_it_can_not_tell() -> None:
    screen = Screen(2)
    screen.follow(np.ones((5, 2)))
    nothing = np.empty(0, dtype=np.int32)
    assert screen.near_one(np.ones(2), np.arange(4, dtype=np.int32), 2) is None
    assert screen.near_one(np.array([np.nan, 0.0]), nothing, 2) is None


@pytest.mark.parametrize("factor", [np.nan, np.inf, 1e200, 1e20])
def test_factors_beyond_single_precision_are_noticed_for_good(factor: float) -> None:
    screen = Screen(2)
    screen.follow(np.ones((5, 2)))
    screen.changed(3, np.array([factor, 0.0]))
    screen.changed(3, np.ones(2))
    assert screen.errors(np.full((1, 2), 1e-30)).tolist() == [np.inf]


def test_lists_of_many_items_are_those_of_all_scores() -> None:
    model = MF(MFConfig(k=10), seed=2)
    random = np.random.default_rng(4)
    for _ in range(50):
        model.add_user()
    for _ in range(10_000):
        model.add_item()
    left_out = np.array([3, 9000], dtype=np.int32)
    for number in range(300):
        user, item = random.integers(50), random.integers(model.n_item)
        model.update_model(user, item, 1.0)
        if number == 200:
            model.keep_items(np.arange(0, 10_000, 1)[random.random(10_000) < 0.95])
            model.add_item()
        best, scores = model.best_items(user, left_out, 10)
        everything = model.item_scores(user)
        assert best.tolist() == _nearest(everything, left_out, 10)
        assert np.allclose(scores, everything[best], rtol=0, atol=1e-14)
