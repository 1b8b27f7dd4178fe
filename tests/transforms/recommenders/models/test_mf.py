from __future__ import annotations

import numpy as np
import pytest
from flurs.data.entity import Event, Item, User
from flurs.recommender import MFRecommender

from tests.support import movielens_like
from tests.transforms.recommenders.contract import RecommenderContract
from transforms.recommenders.models.mf import MF, MFConfig
from transforms.recommenders.registry import RecommenderSpec


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


@pytest.mark.parametrize("learn_rate", [0.003, 0.05])
def test_lists_are_those_of_a_plain_flurs_loop_item_for_item(learn_rate: float) -> None:
    config = MFConfig(k=40, learn_rate=learn_rate)
    ours = RecommenderSpec("mf", {"learn_rate": learn_rate}, seed=11, repeats="never").build()
    theirs = Announced(config, 11)
    for rating in movielens_like(6000, users=200, items=400):
        ours.update(rating)
        expected = theirs.learn_and_list(rating.user, rating.item, 10)
        assert [item for item, _ in ours.recommend(rating.user, 10)] == expected


def test_flurs_own_calls_work_and_agree() -> None:
    model = MF(MFConfig(k=5), seed=1)
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
    ],
)
def test_hyperparameters_are_checked(values: dict[str, float], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        RecommenderSpec("mf", values, repeats="never")
