from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from tests.support import movielens_like, same_arrays
from transforms.formats.records import ScoredItem
from transforms.recommenders import compiled
from transforms.recommenders.model import Arrays
from transforms.recommenders.registry import RecommenderSpec


def test_numba_is_what_the_tests_run_with() -> None:
    assert compiled.AVAILABLE


def test_it_compiles_where_no_cache_can_be_written() -> None:
    # numba looks for a place for its cache among these, and says so if none of them will do.
    program = (
        "from numba.core import caching; caching.CacheImpl._locator_classes = []\n"
        "from transforms.recommenders import compiled, topn\n"
        "import numpy\n"
        "assert compiled.AVAILABLE\n"
        "print(topn.top_n(numpy.array([1.0, 3.0, 2.0]), 2).tolist())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.stdout == "[1, 2]\n", done.stderr


def _learned(spec: RecommenderSpec) -> tuple[Arrays, list[list[ScoredItem]]]:
    recommender = spec.build()
    lists = []
    for rating in movielens_like(3000, users=100, items=400):
        recommender.update(rating)
        lists.append(recommender.recommend(rating.user, 10))
    return recommender.state_dict(), lists


@pytest.mark.parametrize(
    ("model", "hyperparameters"),
    [
        ("mf", {}),
        ("mf", {"k": 7}),
        ("raisgd", {}),
        ("raisgd", {"k": 7}),
        ("raisgd", {"k": 3}),
        ("raisgd", {"negatives": 0}),
        ("itemknn", {}),
        ("itemknn", {"neighbours": 20}),
        ("itemknn", {"neighbours": 150, "history": 5}),
    ],
)
def test_numba_and_numpy_give_the_same_model_and_lists_to_the_bit(
    model: str, hyperparameters: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = RecommenderSpec(model, hyperparameters, seed=5, max_users=90, max_items=350)
    arrays, lists = _learned(spec)
    monkeypatch.setattr(compiled, "AVAILABLE", False)
    plain_arrays, plain_lists = _learned(spec)
    assert same_arrays(arrays, plain_arrays)
    assert lists == plain_lists


def test_the_best_are_the_same_whoever_finds_them() -> None:
    random = np.random.default_rng(3)
    for _ in range(200):
        scores = random.integers(-3, 4, size=random.integers(0, 40)).astype(np.float64)
        scores[random.random(len(scores)) < 0.2] = -np.inf
        order = sorted(range(len(scores)), key=lambda index: (-scores[index], index))
        expected = [index for index in order if scores[index] > -np.inf]
        for n in (1, 3, 50):
            assert compiled.best_indices(scores, n).tolist() == expected[:n]
