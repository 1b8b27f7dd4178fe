from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from beam_pipeline.kafka_flags import kafka_settings
from beam_pipeline.usage import UsageError
from tests.canary import PASSWORD, require_hidden_in_error
from transforms.kafka.clients.factory import CLIENTS, KafkaSettings


def test_without_a_file_there_are_no_properties() -> None:
    assert kafka_settings("h:1", None) == KafkaSettings("h:1")
    assert kafka_settings("h:1,h:2", "", "librdkafka") == KafkaSettings(
        "h:1,h:2", client="librdkafka"
    )


@pytest.mark.parametrize("client", CLIENTS)
def test_of_a_file_only_its_path_is_kept(client: str, tmp_path: Path) -> None:
    path = tmp_path / "kafka.properties"
    lines = f"# é\nfetch.wait.max.ms=7\nsecurity.protocol=SSL\nsasl.password:{PASSWORD}\n"
    path.write_text(lines, encoding="utf-8")
    settings = kafka_settings("h:1", str(path), client)
    assert settings == KafkaSettings("h:1", str(path), client=client)
    assert PASSWORD.encode() not in pickle.dumps(settings)
    assert settings.resolve() == {
        "fetch.wait.max.ms": "7",
        "security.protocol": "SSL",
        "sasl.password": PASSWORD,
    }


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, r"cannot read --kafka_config /.*: No such file"),
        (b"sasl.username=\xff", "cannot read the Kafka settings: .* is not UTF-8"),
        (b'{"sasl.username": "me"}', "line 1 of the Kafka settings is .*expected name=value"),
        (b"[]", "line 1 of the Kafka settings is .*expected name=value"),
        (b"\x00\x01\x02", "line 1 of the Kafka settings is .*expected name=value"),
        (
            f"sasl.username=me\nsasl.mechanism=PLAIN\nsasl.password={PASSWORD}".encode(),
            "sasl.password is set and security.protocol is not, so the client would connect in"
            " plaintext without a login: set security.protocol=SASL_SSL",
        ),
        (
            b"security.protocol=SSL\nssl.truststore.location=/etc/kafka/trust.jks",
            r"'ssl.truststore.location' .* \(JKS, PKCS12\) are not read: make a PEM file .*keytool",
        ),
        (
            b"security.protocol=SASL_SSL\nsasl.mechanism=OAUTHBEARER",
            "sasl.mechanism is OAUTHBEARER: add --kafka_token_provider",
        ),
        (f"client.id=1\n{PASSWORD}".encode(), "line 2 of the Kafka settings is no setting"),
        (f"no.such.setting:{PASSWORD}".encode(), "'no.such.setting' in the Kafka settings"),
        (b"ssl.ca.location=/not/there", "cannot read /not/there, the ssl.ca.location"),
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
    assert str(path) in str(raised.value)
    require_hidden_in_error(raised.value)


@pytest.mark.parametrize("client", CLIENTS)
def test_a_token_provider_is_tried_before_the_job_starts(client: str) -> None:
    settings = kafka_settings("h:1", None, client, "tests.tokens:valid")
    assert settings == KafkaSettings("h:1", client=client, token_provider="tests.tokens:valid")
    for provider, reason in {
        "tests.tokens": "is 'tests.tokens', expected module:function",
        "tests.tokens:failing": "'tests.tokens:failing' failed: LookupError: Unable to locate",
    }.items():
        with pytest.raises(UsageError, match=reason) as raised:
            kafka_settings("h:1", None, client, provider)
        assert len(str(raised.value).splitlines()) == 1
