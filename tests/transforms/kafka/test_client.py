from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest
from kafka import KafkaConsumer, KafkaProducer

from cluster.broker import Broker, free_port
from tests.support import Topics
from transforms.errors import KafkaSetupError
from transforms.kafka.client import (
    KafkaSettings,
    consumer,
    producer,
    read_properties,
    require_topics,
)


def test_properties_may_have_the_names_of_java_librdkafka_and_kafka_python() -> None:
    text = """
    # a comment
    ! another
    security.protocol = SASL_SSL
    sasl.mechanisms=PLAIN
    sasl.username=me
    sasl.password=a=b c
    ssl.ca.location=/ca.pem
    ssl_check_hostname=false
    request.timeout.ms=1234
    """
    assert dict(read_properties(text)) == {
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "PLAIN",
        "sasl_plain_username": "me",
        "sasl_plain_password": "a=b c",
        "ssl_cafile": "/ca.pem",
        "ssl_check_hostname": False,
        "request_timeout_ms": 1234,
    }


def test_user_and_password_are_found_in_javas_jaas_line() -> None:
    line = (
        "sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required"
        ' username="alice" password="s3cret;";'
    )
    assert dict(read_properties(line)) == {
        "sasl_plain_username": "alice",
        "sasl_plain_password": "s3cret;",
    }


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("security.protocol", "line 1 .* expected name=value"),
        ("no.such.thing=1", "'no.such.thing' .* no setting"),
        ("ssl.check.hostname=maybe", "expected true or false"),
        ("request.timeout.ms=soon", "expected a whole number"),
        ("bootstrap.servers=x:1", "flag of its own"),
        ("key.serializer=org.apache.kafka.StringSerializer", "no setting"),
        ("enable.auto.commit=true", "flag of its own"),
    ],
)
def test_properties_that_can_not_work_are_refused(line: str, reason: str) -> None:
    with pytest.raises(KafkaSetupError, match=reason):
        read_properties(line)


def test_each_client_gets_the_properties_that_it_knows() -> None:
    settings = KafkaSettings("a:1,b:2", read_properties("linger.ms=9\nfetch.min.bytes=7"))
    assert settings.of_client(KafkaProducer)["linger_ms"] == 9
    assert "fetch_min_bytes" not in settings.of_client(KafkaProducer)
    assert settings.of_client(KafkaConsumer)["fetch_min_bytes"] == 7
    assert settings.of_client(KafkaConsumer)["bootstrap_servers"] == ["a:1", "b:2"]


def test_javas_ways_to_say_no_are_understood() -> None:
    text = "compression.type=none\nssl.endpoint.identification.algorithm="
    assert dict(read_properties(text)) == {
        "compression_type": None,
        "ssl_check_hostname": False,
    }


def test_secrets_do_not_show() -> None:
    settings = KafkaSettings("a:1", read_properties("sasl.password=s3cret"))
    assert "s3cret" not in repr(settings)


def test_an_unreachable_broker_is_said_within_seconds() -> None:
    start = time.monotonic()
    with pytest.raises(KafkaSetupError, match=r"can not reach Kafka at 127\.0\.0\.1:"):
        consumer(KafkaSettings(f"127.0.0.1:{free_port()}"), None, 1)
    assert time.monotonic() - start < 30


def test_missing_topics_are_created_only_when_asked(topics: Topics) -> None:
    name = f"{topics.create()}-missing"
    with pytest.raises(KafkaSetupError, match=f"topic '{name}' does not exist"):
        require_topics(topics.settings, {name: 3})
    require_topics(topics.settings, {name: 3}, create=True)
    client = consumer(topics.settings, None, 1)
    assert client.partitions_for_topic(name) == {0, 1, 2}
    client.close()
    require_topics(topics.settings, {name: 3}, create=True)


def test_a_name_that_no_topic_can_have_is_an_error(topics: Topics) -> None:
    with pytest.raises(KafkaSetupError):
        require_topics(topics.settings, {"no spaces, please": 1}, create=True)


@pytest.fixture
def secured(tmp_path: Path) -> tuple[Broker, Path]:
    """A broker that wants TLS and a password, and the certificate to trust."""
    store, certificate = tmp_path / "store.p12", tmp_path / "ca.pem"
    keytool = ["keytool", "-storepass", "change-me", "-keystore", str(store), "-alias", "broker"]
    subject = ["-dname", "CN=127.0.0.1", "-ext", "SAN=IP:127.0.0.1", "-validity", "2"]
    subprocess.run(
        [*keytool, "-genkeypair", "-keyalg", "RSA", "-storetype", "PKCS12", *subject],
        check=True,
        capture_output=True,
    )
    with certificate.open("wb") as file:
        subprocess.run([*keytool, "-exportcert", "-rfc"], check=True, stdout=file)
    login = "org.apache.kafka.common.security.plain.PlainLoginModule required"
    broker = Broker(
        tmp_path / "broker",
        listener=f"SASL_SSL://127.0.0.1:{free_port()}",
        properties=[
            f"ssl.keystore.location={store}",
            "ssl.keystore.password=change-me",
            "ssl.keystore.type=PKCS12",
            "sasl.enabled.mechanisms=PLAIN",
            f'listener.name.sasl_ssl.plain.sasl.jaas.config={login} user_alice="s3cret";',
        ],
    )
    return broker, certificate


def test_tls_and_a_password(secured: tuple[Broker, Path]) -> None:
    broker, certificate = secured
    broker.start()
    address = broker.listener.removeprefix("SASL_SSL://")
    text = "\n".join(
        [
            "security.protocol=SASL_SSL",
            "sasl.mechanism=PLAIN",
            "sasl.username=alice",
            "sasl.password={}",
            f"ssl.ca.location={certificate}",
        ]
    )
    try:
        settings = KafkaSettings(address, read_properties(text.format("s3cret")))
        require_topics(settings, {"secured": 1}, create=True)
        client = producer(settings)
        client.send("secured", b"value").get(timeout=30)
        client.close()
        assert len(Topics(settings).read("secured")) == 1
        with pytest.raises(KafkaSetupError, match="can not reach Kafka"):
            consumer(KafkaSettings(address, read_properties(text.format("wrong"))), None, 1)
    finally:
        broker.stop()
