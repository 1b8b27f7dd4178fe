from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support import movielens_like
from transforms.formats.records import Rating
from transforms.recommenders.memory import popular_items
from transforms.recommenders.models.itemknn import ItemKNN
from transforms.recommenders.numerics import cooccurrence_sparse_lists as kernels
from transforms.recommenders.numerics.listing_by_need import list_by_need
from transforms.recommenders.numerics.top_n import top_n
from transforms.recommenders.recommender import Recommender
from transforms.recommenders.registry import RecommenderSpec


@pytest.fixture(autouse=True)
def _few_at_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(popular_items, "_LEAST", 30)


def recommender(repeats: str, neighbors: int = 20) -> Recommender:
    return RecommenderSpec("itemknn", {"neighbors": neighbors}, repeats=repeats).build()


def stream(count: int, seed: int = 1) -> list[Rating]:
    """Half of the clicks are of rare items, so that the popular ones change."""
    common = movielens_like(count, users=80, items=300, seed=seed)
    rare = [rating._replace(item=f"r{at // 3}") for at, rating in enumerate(common)]
    return [(rare if at % 2 else common)[at] for at in range(count)]


def by_need(one: Recommender, user: int, n: int) -> tuple[list[int], list[float]]:
    """A list made without a look at all items, empty if that was not possible."""
    model = one.model
    assert isinstance(model, ItemKNN)
    excluded = np.sort(np.array([3, 1, 5], dtype=np.int32))
    items, scores = model.best_items(user, excluded, n)
    return items.tolist(), scores.tolist()


def by_all(one: Recommender, user: int, n: int) -> tuple[list[int], list[float]]:
    scores = one.model.item_scores(user)
    scores[[3, 1, 5]] = -np.inf
    best = top_n(scores, n)
    return best.tolist(), scores[best].tolist()


@pytest.mark.parametrize("repeats", ["never", "allow"])
@pytest.mark.parametrize("n", [1, 10, 100])
def test_a_list_is_that_of_a_look_at_all_items(repeats: str, n: int) -> None:
    one = recommender(repeats)
    for number, rating in enumerate(stream(3000)):
        one.update(rating)
        if number > 100 and number % 20 == 0:
            user = one.users.get(rating.user) or 0
            assert by_need(one, user, n) == by_all(one, user, n)


def test_most_lists_need_no_look_at_all_items(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[int] = []

    def noted(*arguments: Any) -> int:
        looks.append(list_by_need(*arguments))
        return looks[-1]

    one = recommender("never")
    one.learn_all(stream(3000))
    # Compiled code is bound to the kernel that it calls; the function that it is made of is not.
    kernel = kernels.top_n_sparse
    monkeypatch.setattr(kernels, "top_n_sparse", getattr(kernel, "py_func", kernel))
    monkeypatch.setattr(kernels, "list_by_need", noted)
    for user in range(60):
        by_need(one, user, 10)
    assert looks.count(10) > 50


@pytest.mark.parametrize("repeats", ["never", "allow"])
def test_minibatches_list_the_same(repeats: str) -> None:
    ratings = stream(2500)
    together, alone = recommender(repeats), recommender(repeats)
    size = together.minibatch_size(10)
    assert size
    for start in range(0, len(ratings), size):
        part_of = ratings[start : start + size]
        lists = [
            list(one)
            for part in together.learn_batches(part_of, 10)
            for one in together.top_n_after_each(part, 10)
        ]
        for rating, listed in zip(part_of, lists, strict=True):
            alone.update(rating)
            assert listed == list(alone.best(*_scores(alone, rating.user)))


def _scores(one: Recommender, user: str) -> tuple[NDArray[np.floating], int]:
    return one.candidates(user, "").scores, 10


def test_lists_are_the_same_after_items_are_dropped_and_long_after() -> None:
    one = recommender("never")
    one.learn_all(stream(2000))
    by_need(one, 0, 10)
    one.model.keep_items(np.arange(0, one.model.n_item, 2))
    for user in range(20):
        assert by_need(one, user, 10) == by_all(one, user, 10)
    # Units of recent popularity change every 1,000 positives.
    again = recommender("allow")
    again.learn_all(stream(500))
    by_need(again, 0, 10)
    again.learn_all(movielens_like(6000, users=80, items=300, seed=5))
    for user in range(20):
        assert by_need(again, user, 10) == by_all(again, user, 10)
