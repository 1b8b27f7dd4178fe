from __future__ import annotations

import numpy as np
import pytest

from transforms.recommenders.memory.float32_prefilter import Float32Prefilter
from transforms.recommenders.models.mf import MF
from transforms.recommenders.models.mf_config import MFConfig


def _nearest(scores: np.ndarray, excluded: np.ndarray, n: int) -> list[int]:
    scores = scores.copy()
    scores[excluded] = -np.inf
    nearest: list[int] = np.argsort(-scores, kind="stable")[:n].tolist()
    return nearest


@pytest.mark.parametrize("scale", [0.01, 0.3, 3.0])
def test_the_error_bound_holds(scale: float) -> None:
    random = np.random.default_rng(1)
    prefilter = Float32Prefilter(40)
    items = random.normal(0.0, scale, (3000, 40))
    users = random.normal(0.0, scale, (20, 40))
    for n_item in (1000, 2000, 2001, 3000):
        prefilter.follow(items[:n_item])
        products = users.astype(np.float32) @ prefilter.copy.T
        off = np.abs(products - users @ items[:n_item].T).max(axis=1)
        assert (off <= prefilter.errors(users)).all()


def test_it_follows_changes() -> None:
    prefilter = Float32Prefilter(4)
    items = np.zeros((100, 4))
    prefilter.follow(items)
    prefilter.changed(42, np.array([1.0, 0.0, 0.0, 0.5]))
    assert prefilter.copy[42].tolist() == [1.0, 0.0, 0.0, 0.5]
    assert prefilter.errors(np.ones((1, 4)))[0] > Float32Prefilter(4).errors(np.ones((1, 4)))[0]


@pytest.mark.parametrize("factor", [np.nan, np.inf, 1e200, 1e20])
def test_factors_beyond_single_precision_are_noticed_for_good(factor: float) -> None:
    prefilter = Float32Prefilter(2)
    prefilter.follow(np.ones((5, 2)))
    prefilter.changed(3, np.array([factor, 0.0]))
    prefilter.changed(3, np.ones(2))
    assert prefilter.errors(np.full((1, 2), 1e-30)).tolist() == [np.inf]


def test_lists_of_many_items_are_those_of_all_scores() -> None:
    model = MF(MFConfig(k=10), seed=2)
    random = np.random.default_rng(4)
    for _ in range(50):
        model.add_user()
    for _ in range(10_000):
        model.add_item()
    excluded = np.array([3, 9000], dtype=np.int32)
    for number in range(300):
        user, item = int(random.integers(50)), int(random.integers(model.n_item))
        model.update_model(user, item, 1.0)
        if number == 200:
            model.keep_items(np.arange(0, 10_000, 1)[random.random(10_000) < 0.95])
            model.add_item()
        best, scores = model.best_items(user, excluded, 10)
        everything = model.item_scores(user)
        assert best.tolist() == _nearest(everything, excluded, 10)
        assert np.allclose(scores, everything[best], rtol=0, atol=1e-14)
