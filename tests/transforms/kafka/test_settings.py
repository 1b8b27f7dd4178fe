from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.canary import PASSWORD, require_hidden_in_error
from transforms.errors import KafkaSetupError
from transforms.kafka.settings import KafkaSettings


def test_a_client_that_there_is_not() -> None:
    with pytest.raises(ValueError, match="'aiokafka' is not a Kafka client, expected auto"):
        KafkaSettings("a:1", client="aiokafka")


def test_a_secret_in_code_is_refused_at_once() -> None:
    with pytest.raises(KafkaSetupError, match=r"sasl\.password would travel") as raised:
        KafkaSettings("a:1", properties={"sasl_plain_password": PASSWORD})
    require_hidden_in_error(raised.value)


def test_settings_are_equal_however_they_are_written() -> None:
    # Clients are shared between transforms whose settings are equal.
    mapping = KafkaSettings("a:1", properties={"sasl_plain_username": "me", "client.id": "x"})
    pairs = KafkaSettings("a:1", properties=(("client.id", "x"), ("sasl.username", "me")))
    assert mapping == pairs
    assert hash(mapping) == hash(pairs)


def test_properties_win_over_the_file_which_is_read_anew_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "kafka.properties"
    path.write_text("client.id=file\nsasl.password=first\n", encoding="utf-8")
    monkeypatch.setenv("CLIENT", "code")
    settings = KafkaSettings("a:1", str(path), {"client.id": "${env:CLIENT}"})
    assert settings.resolve() == {"client.id": "code", "sasl.password": "first"}
    path.write_text("sasl.password=second\n", encoding="utf-8")
    assert settings.resolve() == {"client.id": "code", "sasl.password": "second"}


def test_a_path_is_the_same_in_every_working_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = KafkaSettings("a:1", "kafka.properties")
    assert settings.config_file == os.path.abspath("kafka.properties")
