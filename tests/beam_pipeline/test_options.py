from __future__ import annotations

import dataclasses

import pytest

from beam_pipeline import settings
from beam_pipeline.options import hyperparameter_flags
from transforms.recommenders.registry import MODEL_NAMES, config_class


def test_every_hyperparameter_has_one_flag() -> None:
    names = [flag.name for flag in hyperparameter_flags()]
    assert len(set(names)) == len(names)
    assert set(names) == {
        one.name for model in MODEL_NAMES for one in dataclasses.fields(config_class(model))
    }


def test_models_that_share_a_flag_agree_on_what_it_takes() -> None:
    flags = {flag.name: flag for flag in hyperparameter_flags()}
    for model in MODEL_NAMES:
        for one in dataclasses.fields(config_class(model)):
            assert flags[one.name].type is type(one.default)
            assert flags[one.name].choices == one.metadata.get("choices")


def test_the_help_names_each_models_default() -> None:
    flags = {flag.name: flag.help for flag in hyperparameter_flags()}
    for text in ("mf, bprmf", "number of nearest neighbours (default for userknn: 5)"):
        assert text in flags["k"]
    for text in ("mf: 0.05", "bprmf: 0.003", "fm: 0.004"):
        assert text in flags["learn_rate"]


@pytest.mark.parametrize("model", MODEL_NAMES)
def test_without_flags_a_model_has_its_own_defaults(model: str) -> None:
    spec = settings.parse(["--runner=DirectRunner", f"--model={model}"]).spec
    assert spec.config == config_class(model)()


def test_a_shared_flag_goes_to_the_model_that_is_chosen() -> None:
    for model in ("mf", "bprmf", "userknn"):
        spec = settings.parse(["--runner=DirectRunner", f"--model={model}", "--k=7"]).spec
        assert spec.config == config_class(model)(k=7)
