from __future__ import annotations

from pathlib import Path

import pytest

from beam_pipeline.kafka_flags import kafka_settings
from beam_pipeline.usage import UsageError
from transforms.kafka.client import CLIENTS, KafkaSettings, read_properties


def test_without_a_file_there_are_no_properties() -> None:
    assert kafka_settings("h:1", None) == KafkaSettings("h:1")
    assert kafka_settings("h:1,h:2", "", "librdkafka") == KafkaSettings(
        "h:1,h:2", client="librdkafka"
    )


@pytest.mark.parametrize("client", CLIENTS)
def test_a_files_properties_are_those_of_the_client(client: str, tmp_path: Path) -> None:
    path = tmp_path / "kafka.properties"
    path.write_text("# é\nfetch.wait.max.ms=7\n", encoding="utf-8")
    properties = read_properties("fetch.wait.max.ms=7", client)
    assert properties
    assert kafka_settings("h:1", str(path), client) == KafkaSettings("h:1", properties, client)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, r"can not read --kafka_config: \[Errno 2\] No such file"),
        (b"sasl.username=\xff", "can not read --kafka_config: 'utf-8' codec"),
        (b'{"sasl.username": "me"}', "line 1 of the Kafka settings is .*expected name=value"),
        (b"no.such.setting=1", "'no.such.setting' in the Kafka settings is no setting"),
        (b"acks=0", "'acks' in the Kafka settings has a flag of its own"),
    ],
)
def test_a_file_that_can_not_be_used_is_a_usage_error_of_one_line(
    content: bytes | None, reason: str, tmp_path: Path
) -> None:
    path = tmp_path / "kafka.properties"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError, match=reason) as raised:
        kafka_settings("h:1", str(path))
    assert len(str(raised.value).splitlines()) == 1
