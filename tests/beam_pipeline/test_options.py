from __future__ import annotations

import dataclasses
import logging
from pathlib import Path

import pytest

from beam_pipeline import settings
from beam_pipeline.options import hyperparameter_flags
from beam_pipeline.usage import UsageError
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
            assert type(flags[one.name].type("7")) is type(one.default)
            assert flags[one.name].choices == one.metadata.get("choices")


def test_the_help_names_each_models_default() -> None:
    flags = {flag.name: flag.help for flag in hyperparameter_flags()}
    for text in ("mf, bprmf", "number of nearest neighbors (default for userknn: 5)"):
        assert text in flags["k"]
    for text in ("mf: 0.6", "bprmf: 0.3", "fm: 0.002"):
        assert text in flags["learn_rate"]


@pytest.mark.parametrize("model", MODEL_NAMES)
def test_without_flags_a_model_has_its_own_defaults(model: str) -> None:
    spec = settings.parse(["--runner=DirectRunner", f"--model={model}"]).spec
    assert spec.config == config_class(model)()


def test_a_shared_flag_goes_to_the_model_that_is_chosen() -> None:
    for model in ("mf", "bprmf", "userknn"):
        spec = settings.parse(["--runner=DirectRunner", f"--model={model}", "--k=7"]).spec
        assert spec.config == config_class(model)(k=7)


ON_FLINK = [
    "--runner=FlinkRunner",
    "--kafka_bootstrap_servers=broker:9092",
    "--input_topic=ratings",
    "--output_topic=lists",
]


def test_on_flink_no_checkpoint_keeps_a_partition_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FLINK_CONF_DIR", raising=False)
    found = settings.parse(ON_FLINK)
    assert found.on_flink
    assert "--finish_bundle_before_checkpointing" in found.flink_defaults
    given = settings.parse([*ON_FLINK, "--finish_bundle_before_checkpointing"])
    assert "--finish_bundle_before_checkpointing" not in given.flink_defaults


def test_on_flink_buffers_do_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FLINK_CONF_DIR", raising=False)
    (flag,) = [one for one in settings.parse(ON_FLINK).flink_defaults if "conf_dir" in one]
    folder = Path(flag.split("=")[1])
    for name in ("config.yaml", "flink-conf.yaml"):
        assert "execution.buffer-timeout" in (folder / name).read_text()


@pytest.mark.parametrize(
    "flag", ["--flink_conf_dir=/conf", "--flink_submit_uber_jar", "--job_endpoint=host:8099"]
)
def test_a_configuration_elsewhere_is_left_alone(
    flag: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FLINK_CONF_DIR", raising=False)
    assert not any("conf_dir" in one for one in settings.parse([*ON_FLINK, flag]).flink_defaults)


def test_the_users_flink_configuration_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLINK_CONF_DIR", "/conf")
    assert not any("conf_dir" in one for one in settings.parse(ON_FLINK).flink_defaults)


def test_beam_does_not_say_that_it_discards_what_the_job_server_gets(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FLINK_CONF_DIR", raising=False)
    flags = ("--stop_at_end", "--savepoint_path=/s", "--object_reuse=false", "--max_bundle_size=7")
    with caplog.at_level(logging.WARNING):
        found = settings.parse([*ON_FLINK, *flags]).beam.get_all_options()
    assert caplog.messages == []
    assert found["finish_bundle_before_checkpointing"] is True
    assert found["object_reuse"] is False
    assert (found["savepoint_path"], found["max_bundle_size"]) == ("/s", 7)
    assert found["shutdown_sources_after_idle_ms"] == 0
    assert found["allow_non_restored_state"] is None


def test_a_job_servers_flag_takes_true_or_false() -> None:
    with pytest.raises(UsageError, match="--object_reuse: 'yes' is neither true nor false"):
        settings.parse([*ON_FLINK, "--object_reuse=yes"])


def test_durations_have_units_and_allow_repeats_is_an_alias() -> None:
    flags = ["--input", "u.data", "--output", "o", "--session_gap", "30m", "--user_ttl=1.5h"]
    spec = settings.parse([*flags, "--allow_repeats"]).spec
    assert spec.config.session_gap == 1800.0
    assert spec.user_ttl == 5400.0
    assert spec.repeats == "allow"
    assert settings.parse(flags).spec.repeats == "auto"
    with pytest.raises(UsageError, match="'soon' is no duration, expected one such as 90, 30m"):
        settings.parse(["--user_ttl", "soon"])
