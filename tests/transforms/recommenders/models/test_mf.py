from __future__ import annotations

import numpy as np
import pytest
from flurs.data.entity import Event, Item, User
from flurs.recommender import MFRecommender

from tests.support import movielens_like
from tests.transforms.recommenders.contract import RecommenderContract
from transforms.formats.records import Rating
from transforms.recommenders.models.mf import MF
from transforms.recommenders.models.mf_config import MFConfig
from transforms.recommenders.registry import RecommenderSpec

FLURS = {"l2_reg": 0.01, "learn_rate": 0.05, "item_learn_rate": 0.05, "init_scale": 0.1}
"""FluRS's defaults."""

SLOW = {**FLURS, "learn_rate": 0.003, "item_learn_rate": 0.003}


class TestMF(RecommenderContract):
    spec = RecommenderSpec("mf", {"k": 8}, seed=3, repeats="never")
    other_spec = RecommenderSpec("mf", {"k": 9}, seed=3, repeats="never")


class Announced:
    """FluRS's own recommender in a plain loop, from the initial factors that ours draws."""

    def __init__(self, config: MFConfig, seed: int) -> None:
        self.model = MFRecommender(config.k, config.l2_reg, config.learn_rate)
        self.model.initialize()
        self._initial = MF(config, seed)
        self._users: dict[str, int] = {}
        self._items: dict[str, int] = {}

    def user(self, name: str) -> User:
        if name not in self._users:
            self._users[name] = index = len(self._users)
            self._initial.add_user()
            self.model.register(User(index))
            self.model.users[index]["vec"] = self._initial.state_dict()["p"][index].copy()
        return User(self._users[name])

    def item(self, name: str) -> Item:
        if name not in self._items:
            self._items[name] = index = len(self._items)
            self._initial.add_item()
            self.model.register(Item(index))
            self.model.Q[index] = self._initial.state_dict()["q"][index]
        return Item(self._items[name])

    def names(self, indices: np.ndarray) -> list[str]:
        ids = list(self._items)
        return [ids[index] for index in indices]

    def learn_and_list(self, user_name: str, item_name: str, n: int) -> list[str]:
        user, item = self.user(user_name), self.item(item_name)
        self.model.update(Event(user, item))
        known = self.model.users[user.index]["known_items"]
        known.add(item.index)
        candidates = np.array([i for i in range(len(self._items)) if i not in known], dtype=int)
        best, _ = self.model.recommend(user, candidates)
        return self.names(best[:n])


@pytest.mark.parametrize("hyperparameters", [FLURS, SLOW])
def test_lists_are_those_of_a_plain_flurs_loop_item_for_item(
    hyperparameters: dict[str, float],
) -> None:
    spec = RecommenderSpec("mf", hyperparameters, seed=11, repeats="never")
    ours, config = spec.build(), spec.config
    assert isinstance(config, MFConfig)
    theirs = Announced(config, 11)
    for rating in movielens_like(6000, users=200, items=400):
        ours.update(rating)
        expected = theirs.learn_and_list(rating.user, rating.item, 10)
        assert [item for item, _ in ours.recommend(rating.user, 10)] == expected


@pytest.mark.parametrize("scale", [0.1, 0.06])
def test_new_factors_are_as_flurs_draws_them_if_asked(scale: float) -> None:
    model = MF(MFConfig(k=50, init_scale=scale), seed=4)
    for _ in range(2000):
        model.add_user()
    factors = model.state_dict()["p"]
    assert factors.mean() == pytest.approx(0.0, abs=0.001)
    assert factors.std() == pytest.approx(scale, rel=0.02)


def test_users_and_items_have_steps_of_their_own() -> None:
    config = MFConfig(k=5)
    model = MF(config, seed=4)
    model.add_user()
    model.add_item()
    p, q = (model.state_dict()[name][0].copy() for name in ("p", "q"))
    model.update_model(0, 0, 1.0)
    error = 1.0 - p @ q
    expected_p = p + 2 * config.learn_rate * (error * q - config.l2_reg * p)
    expected_q = q + 2 * config.item_learn_rate * (error * p - config.l2_reg * q)
    assert np.allclose(model.state_dict()["p"][0], expected_p, rtol=0, atol=1e-15)
    assert np.allclose(model.state_dict()["q"][0], expected_q, rtol=0, atol=1e-15)


@pytest.mark.parametrize(("users", "items"), [(1, 1), (1, 500), (500, 1), (5, 5), (200, 30)])
def test_factors_stay_bounded_whatever_comes(users: int, items: int) -> None:
    model = MF(MFConfig(k=40), seed=6)
    for _ in range(users):
        model.add_user()
    for _ in range(items):
        model.add_item()
    random = np.random.default_rng(1)
    for _ in range(9000):
        model.update_model(int(random.integers(users)), int(random.integers(items)), 1.0)
    for factors in model.state_dict()["p"], model.state_dict()["q"]:
        assert np.square(factors).sum(axis=-1).max() < 3.0


def test_lists_follow_the_last_items_of_a_user() -> None:
    random = np.random.default_rng(2)
    recommender = RecommenderSpec("mf", seed=4, repeats="never").build()
    for number in range(6000):
        user = number % 900
        item = user % 10 * 20 + int(random.integers(20))
        recommender.update(Rating(f"u{user}", f"{item}", 5.0, 0.0))
    for group in (3, 7):
        for place in range(3):
            recommender.update(Rating("new", f"{group * 20 + place}", 5.0, 0.0))
        listed = [int(item) // 20 for item, _ in recommender.recommend("new", 10)]
        assert listed.count(group) >= 9


def test_flurs_own_calls_work_and_agree() -> None:
    spec = RecommenderSpec("mf", {"k": 5, **FLURS}, seed=1)
    model = spec.build().model
    assert isinstance(model, MF)
    theirs = MFRecommender(k=5, l2_reg=0.01, learn_rate=0.05)
    theirs.initialize()
    for index in range(6):
        model.register(User(index))
        model.register(Item(index))
        theirs.register(User(index))
        theirs.register(Item(index))
        theirs.users[index]["vec"] = model.state_dict()["p"][index].copy()
        theirs.Q[index] = model.state_dict()["q"][index]
    for user, item in [(0, 1), (2, 3), (0, 3), (5, 5), (0, 1)]:
        event = Event(User(user), Item(item))
        model.update(event)
        theirs.update(event)
    candidates = np.array([5, 0, 2])
    assert np.allclose(model.Q[:6], theirs.Q, rtol=0, atol=1e-15)
    assert np.allclose(
        model.score(User(0), candidates), theirs.score(User(0), candidates), rtol=0, atol=1e-15
    )
    assert model.recommend(User(0), candidates)[0].tolist() == (
        theirs.recommend(User(0), candidates)[0].tolist()
    )
    assert not model.is_new_user(5)
    assert model.is_new_user(6)


def test_flurs_registration_has_to_be_in_order() -> None:
    model = MF(MFConfig(), seed=0)
    with pytest.raises(ValueError, match="user index is 3, expected 0"):
        model.register(User(3))


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"k": 0}, "k is 0"),
        ({"l2_reg": -0.1}, "l2_reg is -0.1"),
        ({"learn_rate": 0.0}, "learn_rate is 0.0"),
        ({"learn_rate": float("nan")}, "learn_rate is nan"),
        ({"item_learn_rate": 1.0}, "item_learn_rate is 1.0"),
        ({"init_scale": -0.1}, "init_scale is -0.1"),
    ],
)
def test_hyperparameters_are_checked(values: dict[str, float], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        RecommenderSpec("mf", values, repeats="never")
