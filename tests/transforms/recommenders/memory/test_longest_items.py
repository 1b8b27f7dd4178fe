from __future__ import annotations

import numpy as np
import pytest

from transforms.formats.records import Rating
from transforms.recommenders.memory import longest_items
from transforms.recommenders.memory.longest_items import LongestItems
from transforms.recommenders.models.mf import MF
from transforms.recommenders.models.mf_config import MFConfig
from transforms.recommenders.numerics import mf_minibatch
from transforms.recommenders.recommender import Recommender
from transforms.recommenders.registry import RecommenderSpec

MANY = 20_000


def factors(n: int = MANY) -> np.ndarray:
    return np.random.default_rng(1).normal(0.05, 0.01, (n, 4))


def check(longest: LongestItems, rows: np.ndarray) -> None:
    others = np.ones(len(rows), dtype=bool)
    others[longest.items()] = False
    assert np.sqrt(np.square(rows[others]).sum(axis=1)).max() <= longest.floor * (1 + 1e-15)


def test_few_items_are_all_looked_at() -> None:
    longest = LongestItems()
    longest.follow(factors(1000))
    assert not longest.follows
    assert len(longest.items()) == 0


def test_the_others_are_never_longer_than_the_floor() -> None:
    rows = factors()
    longest = LongestItems()
    longest.follow(rows[: MANY - 10])
    assert len(longest.items()) == 1024
    check(longest, rows[: MANY - 10])
    rows[7] = 1.0
    longest.changed(np.array([7], dtype=np.int32), rows[7:8])
    assert 7 in longest.items()
    rows[MANY - 1] = 2.0
    longest.follow(rows)
    assert MANY - 1 in longest.items()
    check(longest, rows)


def test_they_are_chosen_anew_when_too_many_have_joined() -> None:
    rows = factors()
    longest = LongestItems()
    longest.follow(rows)
    grown = np.arange(3000, dtype=np.int32)
    rows[grown] += 0.1
    longest.changed(grown, rows[grown])
    assert len(longest.items()) > 3000
    longest.follow(rows)
    assert len(longest.items()) == 1024
    check(longest, rows)


def test_a_length_that_is_no_number_joins() -> None:
    longest = LongestItems()
    longest.follow(factors())
    longest.changed(np.array([5], dtype=np.int32), np.full((1, 4), np.nan))
    assert 5 in longest.items()


def learned(ratings: list[Rating], hyperparameters: dict[str, float]) -> list[object]:
    """Returns lists after each rating, most in minibatches, some one by one with rejections."""
    recommender: Recommender = RecommenderSpec("mf", hyperparameters, repeats="never").build()
    recommender.learn_all([Rating(f"a{at % 50}", f"i{at}", 5.0, 0.0) for at in range(MANY)])
    lists: list[object] = []
    size = recommender.minibatch_size(10)
    for start in range(0, len(ratings), size):
        for part in recommender.learn_batches(ratings[start : start + size], 10):
            lists += map(list, recommender.top_n_after_each(part, 10))
        lists.append(recommender.recommend("u1", 10))
    return lists


@pytest.mark.parametrize(
    "hyperparameters",
    [
        {"k": 8},
        {"k": 8, "l2_reg": 0.01, "learn_rate": 0.05, "item_learn_rate": 0.05, "init_scale": 0.1},
        # Products arrive at 1 soon, so the longest are not the best.
        {"k": 8, "l2_reg": 0.0, "learn_rate": 0.3, "item_learn_rate": 0.3, "init_scale": 0.2},
    ],
)
def test_lists_are_the_same_without_them(
    hyperparameters: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    random = np.random.default_rng(3)
    popular = (random.pareto(1.0, 600) * 20).astype(np.int64) % (MANY + 50)
    ratings = [
        Rating(f"u{number % 20}", f"i{item}", 5.0, 0.0, weight=-1.0 if number % 97 == 96 else 1.0)
        for number, item in enumerate(popular.tolist())
    ]
    found = learned(ratings, hyperparameters)
    monkeypatch.setattr(longest_items, "_FEWEST", 1 << 40)
    assert learned(ratings, hyperparameters) == found


def test_popular_items_are_listed_without_a_look_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    model = MF(MFConfig(k=8), seed=2)
    model.add_user()
    for _ in range(MANY):
        model.add_item()
    for item in [*range(100, 120)] * 20:
        model.update_model(0, item, 1.0)
    monkeypatch.setattr(mf_minibatch, "top_n_after_each", None)
    best, scores = model.best_items(0, np.array([105], dtype=np.int32), 10)
    everything = model.item_scores(0)
    assert scores.tolist() == everything[best].tolist()
    everything[105] = -np.inf
    assert best.tolist() == np.argsort(-everything, kind="stable")[:10].tolist()
