from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np
import pytest

from tests.support import movielens_like, same_arrays
from tests.transforms.recommenders.contract import RecommenderContract
from transforms.errors import IncompatibleModelError
from transforms.formats.records import Rating
from transforms.recommenders.models.vmisknn import VMISKNN, VMISKNNConfig
from transforms.recommenders.recommender import Recommender
from transforms.recommenders.registry import RecommenderSpec


class TestVMISKNN(RecommenderContract):
    spec = RecommenderSpec("vmisknn", {"m": 9, "k": 4, "session_length": 6}, repeats="never")
    other_spec = RecommenderSpec("vmisknn", {"m": 9, "k": 4, "session_length": 7}, repeats="never")


def _learned(clicks: list[Rating], **hyperparameters: int) -> Recommender:
    recommender = RecommenderSpec("vmisknn", hyperparameters, repeats="allow").build()
    for click in clicks:
        recommender.update(click)
    return recommender


def _clicks(*sessions: str) -> list[Rating]:
    return [Rating(session[0], item, 1.0, 0.0) for session in sessions for item in session[1:]]


def _session(clicks: list[Rating], user: str, length: int) -> list[str]:
    """The last `length` different items of a user, the newest last."""
    items: list[str] = []
    for click in clicks:
        if click.user == user:
            items = [*(item for item in items if item != click.item), click.item]
    return items[-length:]


def _scores(clicks: list[Rating], user: str, config: VMISKNNConfig) -> dict[str, float]:
    """The paper's two algorithms without their index: every session is looked at."""
    sessions = {
        one: _session(clicks, one, config.session_length) for one in {c.user for c in clicks}
    }
    time = {click.user: number for number, click in enumerate(clicks)}
    evolving = sessions[user]
    sharing = [s for s in sessions if s != user and set(sessions[s]) & set(evolving)]
    recent = sorted(sharing, key=lambda s: -time[s])[: config.m]
    position = {item: number for number, item in enumerate(evolving, start=1)}
    total = {s: sum(position.get(item, 0) for item in sessions[s]) for s in recent}
    similarity = {s: total[s] / len(evolving) for s in recent}
    neighbors = sorted(recent, key=lambda s: (-similarity[s], -time[s]))[: config.k]
    having = Counter(item for session in sessions.values() for item in session)
    scores = {c.item: 1e-9 * having[c.item] / len(sessions) for c in clicks}
    for neighbor in neighbors:
        newest_first = list(reversed(evolving))
        match = 1 + min(newest_first.index(i) for i in sessions[neighbor] if i in newest_first)
        for item in sessions[neighbor]:
            idf = math.log(len(sessions) / having[item])
            scores[item] += max(0.0, 1 - 0.1 * match) * similarity[neighbor] * idf
    return scores


@pytest.mark.parametrize(
    "hyperparameters",
    [
        {},
        {"m": 7, "k": 3},
        {"m": 15, "k": 40},
        # An item's older sessions are not brought back, so all of them have to be kept here.
        {"session_length": 3},
        {"session_length": 1, "k": 5},
    ],
)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_scores_are_those_of_a_plain_reading_of_the_paper(
    hyperparameters: dict[str, Any], seed: int
) -> None:
    clicks = movielens_like(700, users=90, items=60, seed=seed)
    config = VMISKNNConfig(**hyperparameters)
    recommender = _learned([], **hyperparameters)
    for number, click in enumerate(clicks, start=1):
        recommender.update(click)
        if number % 35:
            continue
        listed = dict(recommender.recommend(click.user, 10_000))
        expected = _scores(clicks[:number], click.user, config)
        assert listed == pytest.approx(expected, rel=1e-9, abs=1e-15)


def test_the_papers_numbers_by_hand() -> None:
    # Sessions 1 and 2 share b with session 3, session 2 its newest item, too.
    recommender = _learned(_clicks("1bx", "2bcy", "3bc"))
    scores = dict(recommender.recommend("3", 9))
    one, both = 0.8 * 0.5, 0.9 * 1.5
    assert scores["x"] == pytest.approx(one * math.log(3))
    assert scores["y"] == pytest.approx(both * math.log(3))
    assert scores["c"] == pytest.approx(both * math.log(3 / 2))
    # All sessions have b, so it says nothing.
    assert scores["b"] == pytest.approx(0, abs=1e-8)


def test_items_of_the_session_itself_are_recommended_where_repeats_are_allowed() -> None:
    recommender = _learned(_clicks("1ab", "2ab", "3cd", "4ab"))
    assert {item for item, _ in recommender.recommend("4", 2)} == {"a", "b"}


def test_a_session_is_no_neighbor_of_itself() -> None:
    recommender = _learned(_clicks("1a", "2b", "3c"))
    assert all(score < 1e-8 for _, score in recommender.recommend("1", 9))


def test_what_no_neighbor_has_comes_by_popularity() -> None:
    recommender = _learned(_clicks("1x", "2y", "3y", "4z", "5z", "6z", "7w"))
    assert [item for item, _ in recommender.recommend("7", 9)] == ["z", "y", "x", "w"]


def test_memory_is_bounded() -> None:
    state = _learned(movielens_like(5000), m=10, session_length=7).state_dict()
    assert np.diff(state["model.index.ends"], prepend=0).max() == 11
    assert np.diff(state["model.sessions.ends"], prepend=0).max() == 7


def test_forgetting_everything_but_some_is_a_selection() -> None:
    recommender = _learned(movielens_like(2000), m=20)
    model = recommender.model
    assert isinstance(model, VMISKNN)
    everything = model.state_dict()
    model.keep_users(np.arange(model.n_user))
    model.keep_items(np.arange(model.n_item))
    assert same_arrays(everything, model.state_dict())
    items, users = np.arange(0, model.n_item, 2), np.arange(1, model.n_user, 3)
    model.keep_items(items)
    model.keep_users(users)
    state = model.state_dict()
    assert (model.n_user, model.n_item) == (len(users), len(items))
    assert np.array_equal(state["latest"], everything["latest"][users])
    for new, old in enumerate(users.tolist()):
        kept = (_row(state, "sessions", new) * 2).tolist()
        before = _row(everything, "sessions", old).tolist()
        assert kept == [item for item in before if item % 2 == 0]


def _row(arrays: dict[str, Any], name: str, row: int) -> Any:
    ends = [0, *arrays[f"{name}.ends"].tolist()]
    return arrays[f"{name}.ids"][ends[row] : ends[row + 1]]


@pytest.mark.parametrize(
    ("array", "change", "reason"),
    [
        ("index.ids", lambda a: np.r_[a[1], a[0], a[2:]], "is not in the order of the last clicks"),
        ("latest", lambda a: a + 1000, "has a click after the last one"),
        ("sessions.ids", lambda a: a + 100, r"sessions\.ids has an index out of range"),
    ],
)
def test_a_damaged_model_is_refused(array: str, change: Any, reason: str) -> None:
    recommender = _learned(movielens_like(300))
    arrays = recommender.state_dict()
    arrays[f"model.{array}"] = change(arrays[f"model.{array}"])
    with pytest.raises(IncompatibleModelError, match=reason):
        RecommenderSpec("vmisknn").build().load_state_dict(arrays)


@pytest.mark.parametrize("name", ["sessions", "index"])
def test_a_row_that_is_too_long_is_refused(name: str) -> None:
    arrays = _learned(movielens_like(3000)).state_dict()
    small = RecommenderSpec("vmisknn", {"m": 30, "session_length": 5})
    other = {"sessions": {"m": 500}, "index": {"session_length": 50}}[name]
    spec = RecommenderSpec("vmisknn", {**small.hyperparameters, **other})
    with pytest.raises(IncompatibleModelError, match=rf"{name}\.ends has a row of more than"):
        spec.build().load_state_dict(arrays)


@pytest.mark.parametrize("name", ["m", "k", "session_length"])
def test_hyperparameters_are_checked(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} is 0, expected at least 1"):
        RecommenderSpec("vmisknn", {name: 0})
