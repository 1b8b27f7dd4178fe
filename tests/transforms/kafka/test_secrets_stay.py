"""Where a pipeline goes, its brokers' passwords do not: looked for in what is really sent."""

from __future__ import annotations

from pathlib import Path

import apache_beam as beam
import pytest

from beam_pipeline.pipeline import build
from beam_pipeline.settings import parse
from tests.canary import KEY_PASSWORD, MARK, PASSWORD, unpacked
from tests.secured import SecuredBroker
from tests.support import Topics
from transforms.kafka.clients.factory import KafkaSettings


def files(secured: SecuredBroker, client: str) -> KafkaSettings:
    return secured.settings(
        "BOTH",
        client,
        security_protocol="SASL_SSL",
        ssl_ca_location=secured.authority.path,
        ssl_certificate_location=secured.client_certificate,
        ssl_key_location=secured.client_certificate,
        ssl_key_password=KEY_PASSWORD,
        **secured.login(),
    )


def serialized(pipeline: beam.Pipeline) -> bytes:
    """The pipeline as runners get it, with what is inside of its pickles."""
    return unpacked(pipeline.to_runner_api().SerializeToString())


def test_a_pickled_password_would_be_found() -> None:
    pipeline = beam.Pipeline()
    _ = pipeline | beam.Create([1]) | beam.Map(lambda one, given: given, PASSWORD)
    assert MARK.encode() in serialized(pipeline)
    # Which it is not without looking into the pickles.
    assert MARK.encode() not in pipeline.to_runner_api().SerializeToString()


@pytest.mark.parametrize("stop", [True, False])
def test_no_password_is_in_the_pipeline_of_the_program(
    stop: bool, client: str, secured: SecuredBroker
) -> None:
    given = files(secured, client)
    topics = Topics(files(secured, "kafka-python"))
    rated, asked, lists, dead, tests = (topics.create() for _ in range(5))
    options = parse(
        [
            *("--runner=DirectRunner", f"--kafka_client={client}"),
            f"--kafka_bootstrap_servers={given.bootstrap_servers}",
            f"--kafka_config={given.config_file}",
            *(f"--input_topic={rated}", f"--request_topic={asked}", f"--output_topic={lists}"),
            *(f"--dead_letter_topic={dead}", f"--evaluation_topic={tests}"),
            *("--user_blocks=2", "--item_blocks=2"),
            *(["--stop_at_end"] if stop else []),
        ]
    )
    assert options.kafka == given
    pipeline = beam.Pipeline(options=options.beam)
    build(pipeline, options)
    found = serialized(pipeline)
    # The settings are in there: of the source and of three sinks at least.
    assert found.count(given.config_file.encode()) >= 4
    assert MARK.encode() not in found
    assert MARK not in repr(options)


def test_nor_what_a_reference_in_code_leads_to(
    client: str, secured: SecuredBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import transforms as tf

    (tmp_path / "password").write_text(PASSWORD, encoding="utf-8")
    monkeypatch.setenv("KAFKA_USER", MARK)
    properties = {
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "SCRAM-SHA-256",
        "sasl.username": "alice",
        "sasl.password": f"${{directory:{tmp_path}:password}}",
        "client.id": "${env:KAFKA_USER}",
    }
    settings = KafkaSettings(secured.address("LOGIN"), "", properties, client)
    topic = Topics(files(secured, "kafka-python")).create()
    pipeline = beam.Pipeline()
    raw = pipeline | tf.ReadRatingsFromKafka(settings, topic)
    parsed = raw | tf.ParseRatings()
    parsed.dead_letters | tf.WriteDeadLettersToKafka(settings, topic)
    found = serialized(pipeline)
    assert found.count(b"${directory:") >= 2
    assert MARK.encode() not in found
    assert MARK not in repr(settings)
