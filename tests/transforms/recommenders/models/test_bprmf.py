from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from flurs.data.entity import Event, Item, User
from flurs.recommender import BPRMFRecommender

from tests.support import movielens_like
from tests.transforms.recommenders.contract import RecommenderContract
from transforms.formats.records import Rating
from transforms.recommenders.arrays import SavedArrays
from transforms.recommenders.models import bprmf
from transforms.recommenders.models.bprmf import BPRMF, BPRMFConfig, nth_missing
from transforms.recommenders.registry import RecommenderSpec


class TestBPRMF(RecommenderContract):
    spec = RecommenderSpec("bprmf", {"k": 8}, seed=3, repeats="never")
    other_spec = RecommenderSpec("bprmf", {"k": 9}, seed=3, repeats="never")


class Announced:
    """FluRS's own recommender in a plain loop, with the initial factors and negatives of ours."""

    def __init__(self, config: BPRMFConfig, seed: int) -> None:
        self.model = BPRMFRecommender(config.k, config.l2_reg, config.learn_rate)
        self.model.initialize()
        self._initial = BPRMF(config, seed)

    def user(self, index: int) -> User:
        if self.model.is_new_user(index):
            self._initial.add_user()
            self.model.register(User(index))
            self.model.users[index]["vec"] = self._initial.state_dict()["p"][index].copy()
        return User(index)

    def item(self, index: int) -> Item:
        if self.model.is_new_item(index):
            self._initial.add_item()
            self.model.register(Item(index))
            self.model.Q[index] = self._initial.state_dict()["q"][index]
        return Item(index)


@pytest.mark.parametrize("learn_rate", [0.003, 0.1, 0.3])
def test_lists_are_those_of_a_plain_flurs_loop_item_for_item(
    learn_rate: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = BPRMFConfig(learn_rate=learn_rate)
    ours = RecommenderSpec("bprmf", {"learn_rate": learn_rate}, seed=11, repeats="never").build()
    theirs = Announced(config, 11)
    drawn: list[int] = []

    def noted(seen: np.ndarray, number: int) -> int:
        drawn.append(nth_missing(seen, number))
        return drawn[-1]

    def choice(unobserved: list[int]) -> int:
        assert drawn[-1] in unobserved
        return drawn[-1]

    monkeypatch.setattr(bprmf, "nth_missing", noted)
    monkeypatch.setattr(np.random, "choice", choice)
    for rating in movielens_like(3000, users=200, items=400):
        ours.update(rating)
        user_index, item_index = ours.users.get(rating.user), ours.items.get(rating.item)
        assert user_index is not None
        assert item_index is not None
        user, item = theirs.user(user_index), theirs.item(item_index)
        known = theirs.model.users[user.index]["known_items"]
        known.add(item.index)
        free = np.array([i for i in range(len(ours.items)) if i not in known], dtype=int)
        if len(free):
            theirs.model.update(Event(user, item))
            best, scores = theirs.model.recommend(user, free)
            listed = ours.recommend(rating.user, 10)
            assert [one.item for one in listed] == [ours.items.ids[i] for i in best[:10]]
            assert [one.score for one in listed] == pytest.approx(scores[:10].tolist(), abs=1e-12)
    assert len(drawn) > 2900


def test_an_item_is_drawn_from_all_that_the_user_does_not_have_equally_often(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn: Counter[int] = Counter()

    def noted(seen: np.ndarray, number: int) -> int:
        drawn[nth_missing(seen, number)] += 1
        return nth_missing(seen, number)

    monkeypatch.setattr(bprmf, "nth_missing", noted)
    model = BPRMF(BPRMFConfig(k=2), seed=0)
    model.add_user()
    for _ in range(10):
        model.add_item()
    seen = np.array([0, 3, 4], dtype=np.int32)
    for _ in range(5_000):
        model.learn(0, 3, Rating("u", "i", 5.0, 0.0), seen)
    # 714 +- 25 each.
    assert set(drawn) == {1, 2, 5, 6, 7, 8, 9}
    assert all(abs(count - 714) < 130 for count in drawn.values())


def test_missing_numbers_are_found() -> None:
    random = np.random.default_rng(0)
    for _ in range(200):
        n = int(random.integers(1, 30))
        known = np.flatnonzero(random.integers(2, size=n)).tolist()
        missing = [number for number in range(n) if number not in known]
        seen = np.array(known, dtype=np.int32)
        assert [nth_missing(seen, number) for number in range(len(missing))] == missing


def test_who_has_everything_teaches_nothing() -> None:
    recommender = RecommenderSpec("bprmf", {"k": 3}, repeats="never").build()
    recommender.update(Rating("u", "i", 5.0, 0.0))
    before = recommender.state_dict()["model.p"].copy()
    recommender.update(Rating("u", "i", 5.0, 0.0))
    assert np.array_equal(recommender.state_dict()["model.p"], before)
    assert recommender.state_dict()["model.learned"].tolist() == [2]


def test_no_score_is_too_far_for_the_sigmoid() -> None:
    model = BPRMF(BPRMFConfig(k=2, l2_reg=0.0, learn_rate=0.003), seed=0)
    model.add_user()
    for _ in range(2):
        model.add_item()
    arrays = {name: value.copy() for name, value in model.state_dict().items()}
    for sign in (1.0, -1.0):
        arrays["p"] = np.full((1, 2), 100.0)
        arrays["q"] = np.array([[100.0, 100.0], [-100.0, -100.0]]) * sign
        model.load_state_dict(SavedArrays(arrays), 1, 2)
        with np.errstate(all="raise", under="ignore"):
            model.learn(0, 0, Rating("u", "i", 5.0, 0.0), np.zeros(1, dtype=np.int32))
        moved = abs(model.state_dict()["q"] - arrays["q"]).max()
        assert moved == pytest.approx(0.3 if sign < 0 else 0.0, abs=1e-9)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"k": 0}, "k is 0, expected at least 1"),
        ({"l2_reg": 1.0}, r"l2_reg is 1.0, expected at least 0 and below 1"),
        ({"learn_rate": 0.0}, r"learn_rate is 0.0, expected above 0 and below 1"),
        ({"learn_rate": float("nan")}, "learn_rate is nan"),
    ],
)
def test_hyperparameters_are_checked(values: dict[str, float], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        RecommenderSpec("bprmf", values, repeats="never")
