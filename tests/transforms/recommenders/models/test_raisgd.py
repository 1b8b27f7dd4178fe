from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support import movielens_like, same_arrays
from tests.transforms.recommenders.contract import RecommenderContract
from transforms.formats.records import Rating
from transforms.recommenders.models.raisgd import RAISGD
from transforms.recommenders.models.raisgd_config import RAISGDConfig
from transforms.recommenders.registry import RecommenderSpec

SAME = {"learn_rate": 0.05, "item_learn_rate": 0.04, "l2_reg": 0.01}

_RATING = Rating("", "", 5.0, 0.0)


class TestRAISGD(RecommenderContract):
    spec = RecommenderSpec("raisgd", {"k": 8}, seed=3, repeats="never")
    other_spec = RecommenderSpec("raisgd", {"k": 9}, seed=3, repeats="never")


def _seen(*items: int) -> NDArray[np.int32]:
    return np.array(items, dtype=np.int32)


def _model(users: int, items: int, negatives: int) -> RAISGD:
    model = RAISGD(RAISGDConfig(4, 0.01, 0.05, 0.05, negatives), seed=1)
    for _ in range(users):
        model.add_user()
    for _ in range(items):
        model.add_item()
    return model


def test_without_negatives_it_is_mf() -> None:
    raisgd = RecommenderSpec("raisgd", {"negatives": 0, **SAME}, seed=3, repeats="never").build()
    mf = RecommenderSpec("mf", {**SAME, "init_scale": 0.1}, seed=3, repeats="never").build()
    for rating in movielens_like(500):
        raisgd.update(rating)
        mf.update(rating)
    state = raisgd.state_dict()
    del state["model.queue"]
    assert same_arrays(state, mf.state_dict())


def test_zeros_are_those_that_played_no_part_for_longest() -> None:
    model = _model(5, 4, 2)
    for user, item in ((0, 0), (1, 1), (2, 2), (3, 3)):
        model.learn(user, item, _RATING, _seen(item))
    assert model.state_dict()["queue"].tolist() == [2, 0, 1, 3]
    p, q = model.state_dict()["p"][4].copy(), model.state_dict()["q"].copy()
    model.learn(4, 1, _RATING, _seen(1))
    assert model.state_dict()["queue"].tolist() == [3, 2, 0, 1]
    for item, target in ((2, 0.0), (0, 0.0)):
        p += 0.1 * ((target - p @ q[item]) * q[item] - 0.01 * p)
    error = 1.0 - p @ q[1]
    expected_p = p + 0.1 * (error * q[1] - 0.01 * p)
    q[1] += 0.1 * (error * p - 0.01 * q[1])
    assert np.allclose(model.state_dict()["p"][4], expected_p, rtol=0, atol=1e-15)
    assert np.allclose(model.state_dict()["q"], q, rtol=0, atol=1e-15)


def test_what_the_user_has_is_no_zero() -> None:
    model = _model(2, 3, 5)
    model.learn(0, 0, _RATING, _seen(0))
    model.learn(0, 1, _RATING, _seen(0, 1))
    before = model.state_dict()["p"][0].copy()
    q = model.state_dict()["q"][2].copy()
    model.learn(0, 2, _RATING, _seen(0, 1, 2))
    expected = before + 0.1 * ((1.0 - before @ q) * q - 0.01 * before)
    assert np.allclose(model.state_dict()["p"][0], expected, rtol=0, atol=1e-15)


def test_forgotten_items_leave_the_queue() -> None:
    model = _model(1, 4, 0)
    for item in (3, 0, 2, 1):
        model.learn(0, item, _RATING, _seen(item))
    model.keep_items(np.array([0, 1, 3]))
    assert model.state_dict()["queue"].tolist() == [2, 0, 1]


@pytest.mark.parametrize(
    ("values", "reason"),
    [({"negatives": -1}, "negatives is -1"), ({"learn_rate": 2.0}, "learn_rate is 2.0")],
)
def test_hyperparameters_are_checked(values: dict[str, float], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        RecommenderSpec("raisgd", values, repeats="never")
