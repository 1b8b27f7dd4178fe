from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support import movielens_like
from transforms.formats.records import Rating
from transforms.recommenders.hashing import Block
from transforms.recommenders.memory.cooccurrence import DenseCounts
from transforms.recommenders.minibatch import empty_lists
from transforms.recommenders.models.itemknn import ItemKNN
from transforms.recommenders.numerics import cooccurrence_dense_lists as kernels
from transforms.recommenders.numerics.cooccurrence_arrays import Listing
from transforms.recommenders.numerics.top_n import top_n
from transforms.recommenders.recommender import Recommender
from transforms.recommenders.registry import RecommenderSpec


def recommender(repeats: str, half_life: float = 3.0) -> Recommender:
    hyperparameters = {"half_life": half_life}
    return RecommenderSpec("itemknn", hyperparameters, repeats=repeats).build()


def stream(count: int, seed: int = 1) -> list[Rating]:
    """Few users, so that histories are long, and many items."""
    return movielens_like(count, users=60, items=400, seed=seed)


def lists_of(one: Recommender, ratings: list[Rating], n: int) -> list[list[tuple[str, float]]]:
    return [
        [(item.item, item.score) for item in made]
        for part in one.learn_batches(ratings, n)
        for made in one.top_n_after_each(part, n)
    ]


@pytest.mark.parametrize("repeats", ["never", "allow"])
@pytest.mark.parametrize("half_life", [1.0, 3.0, 100.0])
@pytest.mark.parametrize("n", [1, 10])
def test_lists_are_those_of_all_rows(repeats: str, half_life: float, n: int) -> None:
    ratings = stream(1500)
    together, alone = recommender(repeats, half_life), recommender(repeats, half_life)
    size = together.minibatch_size(n)
    for start in range(0, len(ratings), size):
        part = ratings[start : start + size]
        for rating, listed in zip(part, lists_of(together, part, n), strict=True):
            alone.update(rating)
            # One list alone is made from the scores of all items.
            scores = alone.candidates(rating.user, "").scores
            assert listed == [(item.item, item.score) for item in alone.best(scores, n)]


@pytest.mark.parametrize("shard", [0, 1])
def test_lists_of_an_item_shard_are_those_of_all_rows(shard: int) -> None:
    spec = RecommenderSpec("itemknn", {"tune": "off"}, repeats="allow")
    together, alone = spec.build(Block(shard, 2)), spec.build(Block(shard, 2))
    ratings = movielens_like(1500, users=40, items=900, seed=3)
    size = together.minibatch_size(6)
    for start in range(0, len(ratings), size):
        part = ratings[start : start + size]
        for rating, listed in zip(part, lists_of(together, part, 6), strict=True):
            alone.update(rating)
            scores = alone.candidates(rating.user, "").scores
            assert listed == [(item.item, item.score) for item in alone.best(scores, 6)]


def test_lists_are_the_same_after_a_restart() -> None:
    learned, restored = recommender("never"), recommender("never")
    learned.learn_all(stream(1500))
    restored.load_state_dict(learned.state_dict())
    later = stream(300, seed=2)
    assert lists_of(learned, later, 10) == lists_of(restored, later, 10)


@pytest.mark.parametrize("repeats", ["never", "allow"])
def test_many_lists_do_not_read_all_rows(repeats: str, monkeypatch: pytest.MonkeyPatch) -> None:
    one = recommender(repeats)
    one.learn_all(stream(3000))
    model = one.model
    assert isinstance(model, ItemKNN)
    read: list[int] = []

    def noted(*arguments: Any) -> int:
        *_, candidates, scores, _, _ = arguments
        read.append(len(candidates))
        assert len(candidates) < len(scores) / 10
        return list_candidates(*arguments)

    list_candidates = kernels._list_candidates
    # Compiled code is bound to the kernel that it calls; the function that it is made of is not.
    list_dense = getattr(kernels.list_dense, "py_func", kernels.list_dense)
    monkeypatch.setattr(kernels, "_list_candidates", noted)
    for user in range(model.n_user):
        best, scores = _listed(model, user, list_dense)
        assert best == top_n(scores, 10).tolist()
    assert len(read) > model.n_user / 3


def _listed(
    model: ItemKNN, user: int, list_dense: Callable[..., None]
) -> tuple[list[int], NDArray[np.floating]]:
    """Returns a user's list by the kernel, and the scores of all items."""
    scores = model.item_scores(user)
    state, n = model._state, model.n_item
    assert isinstance(state.counts, DenseCounts)
    listing = Listing(
        np.array([n]),
        np.zeros(0, dtype=np.int32),
        np.zeros(2, dtype=np.int64),
        np.empty(n),
        np.empty(n),
        np.empty(n, dtype=np.int32),
        *empty_lists(np.ones(1, dtype=np.bool), 10),
    )
    transitions, columns = state.habits.transitions.arrays, state.items.column_arrays
    list_dense(state.counts.arrays, transitions, columns, model._one, 0, listing, 0)
    return listing.best[0, : listing.counts[0]].tolist(), scores


def test_rows_are_skipped_from_the_end_as_long_as_they_add_little() -> None:
    largest = np.array([10.0, 20.0, 5.0, 8.0], dtype=np.float32)
    rows = np.array([0, 1, 2, 3], dtype=np.int32)
    skipped, most = kernels._rows_to_skip(largest, rows, np.array([10.0, 1.0, 0.2, 0.25]))
    # 100 + 20 + 1 + 2: the last two are 2.4 % of it, the last three 18.7 %.
    assert (skipped, most) == (2, 3.0)


def test_no_row_is_skipped_where_all_add_alike() -> None:
    largest = np.ones(4, dtype=np.float32)
    rows = np.arange(4, dtype=np.int32)
    assert kernels._rows_to_skip(largest, rows, np.ones(4)) == (0, 0.0)
