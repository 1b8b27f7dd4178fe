from __future__ import annotations

import json
import pickle
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from transforms.formats.records import Rating
from transforms.recommenders.models.mf_config import MFConfig
from transforms.recommenders.registry import MODEL_NAMES, RecommenderSpec, config_class


def test_every_model_has_a_config_that_works_as_it_is() -> None:
    assert "mf" in MODEL_NAMES
    for name in MODEL_NAMES:
        config = config_class(name)()
        assert RecommenderSpec(name).config == config


def test_the_default_is_the_one_that_the_docs_advise() -> None:
    assert RecommenderSpec().model == "itemknn"


def test_an_unknown_model_is_named_beside_those_that_there_are() -> None:
    with pytest.raises(ValueError, match="'als' is not a model, expected one of mf"):
        config_class("als")
    with pytest.raises(ValueError, match="'als' is not a model, expected one of mf"):
        RecommenderSpec("als")


def test_hyperparameters_replace_the_defaults() -> None:
    spec = RecommenderSpec("mf", {"k": 3, "l2_reg": 0.5})
    assert spec.config == MFConfig(k=3, l2_reg=0.5, learn_rate=MFConfig().learn_rate)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        (
            {"model": "mf", "hyperparameters": {"factors": 3}},
            r"factors is no hyperparameter of mf, expected k, l2_reg, learn_rate",
        ),
        ({"model": "mf", "hyperparameters": {"k": 0}}, "k is 0, expected at least 1"),
        ({"model": "fm", "hyperparameters": {"k": 10**10}}, "k is 10000000000, expected at most"),
        ({"hyperparameters": {"history": 10**9}}, "history is 1000000000, expected at most"),
        ({"model": "mf", "hyperparameters": {"l2_reg": -0.1}}, "l2_reg is -0.1"),
        ({"model": "mf", "hyperparameters": {"l2_reg": 1.0}}, "l2_reg is 1.0"),
        ({"model": "mf", "hyperparameters": {"learn_rate": 0.0}}, "learn_rate is 0.0"),
        ({"model": "mf", "hyperparameters": {"learn_rate": float("nan")}}, "learn_rate is nan"),
        ({"model": "mf", "hyperparameters": {"k": "3"}}, "k is '3' of type str, expected int"),
        ({"model": "mf", "hyperparameters": {"k": 2.5}}, "k is 2.5 of type float, expected int"),
        ({"hyperparameters": {"history": True}}, "history is True of type bool, expected int"),
        ({"seed": -1}, "seed is -1, expected 0 or more"),
        ({"seed": "7"}, "seed is '7' of type str, expected int"),
        ({"seed": 1 << 70}, "expected a number of at most 64 bits"),
        ({"repeats": True}, "repeats is True of type bool, expected str"),
        ({"repeats": "some"}, "repeats is 'some', expected one of auto, never, allow"),
        ({"user_ttl": -1.0}, "user_ttl is -1.0, expected at least 0"),
        ({"max_users": -1}, "max_users is -1, expected at least 1, or 0"),
        ({"max_items": -5}, "max_items is -5, expected at least 1, or 0"),
    ],
)
def test_what_can_not_work_is_refused_at_once(settings: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        RecommenderSpec(**settings)


def test_a_new_recommender_has_learned_nothing() -> None:
    recommender = RecommenderSpec("mf", {"k": 3}).build()
    assert len(recommender.users) == len(recommender.items) == 0
    assert recommender.recommend("196", 10) == []
    assert recommender.allow_repeats is False


def test_it_builds_a_new_recommender_each_time() -> None:
    spec = RecommenderSpec("mf", {"k": 3})
    first = spec.build()
    first.update(Rating("u", "i", 3.0, 1.0))
    assert len(spec.build().users) == 0


def test_repeats_are_allowed_only_when_asked() -> None:
    rating = Rating("u", "i", 3.0, 1.0)
    for repeats, allowed in (("never", False), ("allow", True), ("auto", False)):
        recommender = RecommenderSpec(repeats=repeats).build()
        recommender.update(rating)
        assert [one.item for one in recommender.recommend("u", 5)] == ["i"] * allowed


def test_the_seed_decides_the_initial_factors() -> None:
    def factors(seed: int) -> Any:
        recommender = RecommenderSpec("mf", seed=seed).build()
        recommender.update(Rating("u", "i", 3.0, 1.0))
        return recommender.state_dict()["model.p"]

    assert np.array_equal(factors(1), factors(1))
    assert not np.array_equal(factors(1), factors(2))


def test_a_spec_travels_to_the_workers() -> None:
    spec = RecommenderSpec("mf", {"k": 3}, seed=5, repeats="allow")
    assert pickle.loads(pickle.dumps(spec)) == spec


def test_a_spec_as_a_dict_names_every_hyperparameter() -> None:
    described = RecommenderSpec("mf", {"k": 3, "l2_reg": 0}).to_dict()
    assert described == {
        "model": "mf",
        "hyperparameters": {
            "k": 3,
            "l2_reg": 0.0,
            "learn_rate": 0.6,
            "item_learn_rate": 0.03,
            "init_scale": 0.06,
        },
        "seed": 0,
        "repeats": "auto",
        "max_users": 0,
        "max_items": 0,
        "user_ttl": 0.0,
    }
    assert json.dumps(described["hyperparameters"]["l2_reg"]) == "0.0"
    again = RecommenderSpec.from_dict(json.loads(json.dumps(described)))
    assert again.to_dict() == described


@pytest.mark.parametrize("saved", [None, [], {}, {"model": "mf"}, {"model": "mf", "k": 3}])
def test_what_is_no_spec_is_refused(saved: object) -> None:
    with pytest.raises(ValueError, match="expected model, hyperparameters, seed"):
        RecommenderSpec.from_dict(saved)


_IMPORTS = """
import sys
from transforms.recommenders.registry import RecommenderSpec
RecommenderSpec({model!r}).build()
print(*sorted({{"apache_beam", "kafka", "flurs", "sklearn", "scipy.sparse"}} & set(sys.modules)))
"""


def test_a_process_imports_flurs_only_for_the_model_that_is_made_of_it() -> None:
    def imported(model: str) -> str:
        program = _IMPORTS.format(model=model)
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    assert imported("itemknn") == ""
    assert "flurs" in imported("mf")


def test_the_flags_of_all_models_do_not_take_flurs() -> None:
    program = """
import sys
from transforms.recommenders.registry import MODEL_NAMES, config_class
assert [config_class(name)() for name in MODEL_NAMES]
print(*sorted({"flurs", "sklearn", "scipy.stats"} & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr
