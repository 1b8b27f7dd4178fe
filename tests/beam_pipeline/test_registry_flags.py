from __future__ import annotations

from pathlib import Path

import pytest

from beam_pipeline.settings import parse
from tests.beam_pipeline.test_cli import fails_with
from tests.canary import PASSWORD
from transforms.schema_registry.settings import SchemaRegistrySettings

KAFKA = ("--kafka_bootstrap_servers=127.0.0.1:9", "--input_topic=ratings")
URL = "--schema_registry_url=http://127.0.0.1:9"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ((*KAFKA, "--input_format=confluent"), "confluent needs --schema_registry_url"),
        ((*KAFKA, "--schema_registry_config=x"), "_config needs --schema_registry_url"),
        (
            (*KAFKA, "--output_topic=lists", "--output_format=confluent-avro"),
            "confluent-avro needs --schema_registry_url",
        ),
        ((URL, "--output=x", "--output_format=confluent-avro"), "a file takes json or avro"),
        ((*KAFKA, URL, "--output_format=confluent-avro"), "a file takes json or avro"),
        ((URL, "--input=x"), "--schema_registry_url goes with --input_topic"),
        ((URL, "--input=x", "--input_format=confluent"), "needs --input_topic"),
        ((*KAFKA, URL, "--schema_registry_config=/nowhere"), "cannot read /nowhere"),
        ((*KAFKA, URL, "--schema_registry_retry_seconds=-1"), "expected 0 or more"),
        ((*KAFKA, "--schema_registry_url=registry:8081"), "expected http://HOST:PORT"),
        ((*KAFKA, f"--schema_registry_url=http://a:{PASSWORD}@b"), "basic.auth.user.info"),
        ((*KAFKA, URL, "--subject_name_strategy=Topic"), "invalid choice: 'Topic'"),
    ],
)
def test_flags_that_do_not_fit(
    arguments: tuple[str, ...], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    fails_with(capsys, 2, reason, *arguments)


def test_a_registry_that_does_not_answer_is_said_before_anything_else(
    capsys: pytest.CaptureFixture[str],
) -> None:
    fails_with(capsys, 1, "the schema registry at http://127.0.0.1:9 is away", *KAFKA, URL)


def test_what_the_pipeline_gets(tmp_path: Path) -> None:
    config = tmp_path / "registry.properties"
    config.write_text("timeout=5\n")
    settings = parse(
        [
            "--runner=DirectRunner",
            *KAFKA,
            URL,
            f"--schema_registry_config={config}",
            "--schema_registry_retry_seconds=2",
            "--subject_name_strategy=RecordNameStrategy",
        ]
    )
    expected = SchemaRegistrySettings("http://127.0.0.1:9", str(config), 2.0, "RecordNameStrategy")
    assert settings.registry == expected
    assert parse(["--runner=DirectRunner"]).registry is None
