from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
import pytest

from tests.support import movielens_like, same_arrays
from tests.transforms.recommenders.contract import RecommenderContract
from transforms.formats.records import Rating
from transforms.recommenders.memory.cooccurrence import DenseCounts, SparseCounts
from transforms.recommenders.models.itemknn import ItemKNN, ItemKNNConfig
from transforms.recommenders.recommender import Recommender
from transforms.recommenders.registry import RecommenderSpec


class TestItemKNN(RecommenderContract):
    spec = RecommenderSpec("itemknn", {"history": 8})
    other_spec = RecommenderSpec("itemknn", {"history": 9})


class TestItemKNNWithFewNeighbors(RecommenderContract):
    spec = RecommenderSpec("itemknn", {"neighbors": 10})
    other_spec = RecommenderSpec("itemknn", {"neighbors": 11})


def _learned(ratings: list[Rating], **hyperparameters: float) -> Recommender:
    recommender = RecommenderSpec("itemknn", hyperparameters, allow_repeats=True).build()
    for rating in ratings:
        recommender.update(rating)
    return recommender


def _clicks(*pairs: str) -> list[Rating]:
    return [Rating(pair[0], item, 1.0, 0.0) for pair in pairs for item in pair[1:]]


def _scores(ratings: list[Rating], user: str, config: ItemKNNConfig) -> dict[str, float]:
    """The docstring's equations in plain Python."""
    counts: dict[tuple[str, str], float] = defaultdict(float)
    chosen: dict[str, int] = defaultdict(int)
    histories: dict[str, list[str]] = defaultdict(list)
    for rating in ratings:
        history = [item for item in histories[rating.user] if item != rating.item]
        for gap, other in enumerate(reversed(history)):
            counts[other, rating.item] += (1 + gap) ** -config.gap_power
            counts[rating.item, other] += (1 + gap) ** -config.gap_power
        chosen[rating.item] += 1
        histories[rating.user] = [*history, rating.item][-config.history :]
    scores = {item: 0.01 * n / len(ratings) for item, n in chosen.items()}
    for age, other in enumerate(reversed(histories[user])):
        factor = 0.5 ** (age / config.half_life)
        for item, n in chosen.items():
            norm = (n + config.shrinkage) * (chosen[other] + config.shrinkage)
            scores[item] += (factor >= 0.01) * factor * counts[other, item] / norm**0.5
    return scores


@pytest.mark.parametrize(
    "hyperparameters",
    [{}, {"history": 3}, {"gap_power": 0.0, "half_life": 0.4}, {"shrinkage": 0.5}],
)
@pytest.mark.parametrize("neighbors", [2000, 60])
def test_scores_are_those_of_the_equations(hyperparameters: dict[str, Any], neighbors: int) -> None:
    ratings = movielens_like(1500)
    recommender = _learned(ratings, neighbors=neighbors, **hyperparameters)
    config = ItemKNNConfig(**hyperparameters)
    for user in recommender.users.ids[:10]:
        expected = _scores(ratings, user, config)
        listed = dict(recommender.recommend(user, 10_000))
        assert listed == pytest.approx(expected, rel=1e-5)


def test_what_is_chosen_soon_after_goes_together_more() -> None:
    recommender = _learned(_clicks("1abcd", "2abcd", "3a"))
    assert [item for item, _ in recommender.recommend("3", 4)] == ["b", "c", "d", "a"]


def test_the_last_items_count_most() -> None:
    pairs = ["1ax", "2by", "3ax", "4by"]
    for history, first in (("5ab", "y"), ("5ba", "x")):
        recommender = _learned(_clicks(*pairs, history))
        listed = [item for item, _ in recommender.recommend("5", 9) if item in "xy"]
        assert listed[0] == first


def test_an_item_that_is_chosen_again_becomes_the_newest() -> None:
    pairs = ["1ax", "2by", "3ax", "4by"]
    recommender = _learned(_clicks(*pairs, "5aba"))
    listed = [item for item, _ in recommender.recommend("5", 9) if item in "xy"]
    assert listed == ["x", "y"]


def test_what_has_no_similarity_comes_by_popularity() -> None:
    recommender = _learned(_clicks("1x", "2y", "3y", "4z", "5z", "6z", "7w"))
    assert [item for item, _ in recommender.recommend("7", 9)] == ["z", "y", "x", "w"]


def test_beyond_the_bound_rows_keep_their_heaviest_entries() -> None:
    counts = SparseCounts(3, DenseCounts().rows())
    for _ in range(20):
        counts.add_item()
    for item in range(1, 20):
        if counts.entries.sizes[0] == counts.entries.room[0]:
            counts.make_room(0)
        counts.entries.append(0, item, 9.0 if item < 3 else 1.0 + item / 100)
    rows = counts.rows()
    kept = rows.ids[: rows.ends[0]].tolist()
    assert len(kept) <= 6
    assert kept[:2] == [1, 2]
    assert kept[-1] == 19


def test_memory_is_bounded_by_neighbors() -> None:
    recommender = _learned(movielens_like(5000, users=50, items=1000), neighbors=15)
    ends = recommender.state_dict()["model.counts.ends"]
    assert np.diff(ends, prepend=0).max() <= 30


def test_a_square_matrix_and_rows_that_have_room_hold_the_same() -> None:
    ratings = movielens_like(2000)
    dense = _learned(ratings).state_dict()
    sparse = _learned(ratings, neighbors=100).state_dict()
    whole = np.zeros((2, 120, 120), dtype=np.float32)
    for which, arrays in enumerate((dense, sparse)):
        sizes = np.diff(arrays["model.counts.ends"], prepend=0)
        row = np.repeat(np.arange(len(sizes)), sizes)
        whole[which, row, arrays["model.counts.ids"]] = arrays["model.counts.weights"]
    assert whole[0].any()
    assert np.array_equal(whole[0], whole[1])


@pytest.mark.parametrize("neighbors", [2000, 100, 15])
def test_forgetting_is_a_selection(neighbors: int) -> None:
    recommender = _learned(movielens_like(2000), neighbors=neighbors)
    model = recommender.model
    assert isinstance(model, ItemKNN)
    everything = model.state_dict()
    model.keep_users(np.arange(model.n_user))
    model.keep_items(np.arange(model.n_item))
    assert same_arrays(everything, model.state_dict())
    items, users = np.arange(0, model.n_item, 2), np.arange(1, model.n_user, 3)
    model.keep_items(items)
    model.keep_users(users)
    assert model.n_item == len(items)
    assert model.n_user == len(users)
    assert np.array_equal(model.state_dict()["chosen"], everything["chosen"][items])
    ends = everything["histories.ends"]
    first = everything["histories.ids"][ends[users[0] - 1] : ends[users[0]]]
    kept = model.state_dict()["histories.ids"][: model.state_dict()["histories.ends"][0]]
    assert (kept * 2).tolist() == [item for item in first.tolist() if item % 2 == 0]


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"history": 0}, "history is 0"),
        ({"half_life": 0.0}, "half_life is 0.0"),
        ({"gap_power": -1.0}, "gap_power is -1.0"),
        ({"shrinkage": float("nan")}, "shrinkage is nan"),
        ({"neighbors": 0}, "neighbors is 0"),
    ],
)
def test_hyperparameters_are_checked(values: dict[str, float], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        RecommenderSpec("itemknn", values)
