from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from kafka import TopicPartition

from cluster.broker import Broker, free_port
from tests.support import ROOT, Topics, wait_until
from transforms.errors import KafkaSetupError
from transforms.kafka.client import (
    CLIENTS,
    KafkaSettings,
    consumer,
    producer,
    read_properties,
    require_topics,
)
from transforms.kafka.protocols import Message

NAMES = """
# a comment
! another
security.protocol = SASL_SSL
sasl.mechanisms=PLAIN
sasl.username=me
sasl.password=a=b c
ssl_keyfile=/key.pem
ssl_check_hostname=false
reconnect.backoff.ms=1234
fetch.max.wait.ms=99
"""


def test_properties_may_have_the_names_of_java_librdkafka_and_kafka_python() -> None:
    assert dict(read_properties(NAMES)) == {
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "PLAIN",
        "sasl_plain_username": "me",
        "sasl_plain_password": "a=b c",
        "ssl_keyfile": "/key.pem",
        "ssl_check_hostname": False,
        "reconnect_backoff_ms": 1234,
        "fetch_max_wait_ms": 99,
    }
    without_key = NAMES.replace("ssl_keyfile=/key.pem", "")
    assert dict(read_properties(without_key, "librdkafka")) == {
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "PLAIN",
        "sasl.username": "me",
        "sasl.password": "a=b c",
        "ssl.endpoint.identification.algorithm": "none",
        "reconnect.backoff.ms": "1234",
        "fetch.wait.max.ms": "99",
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
        ("no.such.thing=1", "'no.such.thing' .* no setting of "),
        ("ssl.check.hostname=maybe", "expected true or false"),
        ("ssl.endpoint.identification.algorithm=maybe", "expected https or none"),
        ("bootstrap.servers=x:1", "flag of its own"),
        ("key.serializer=org.apache.kafka.StringSerializer", "no setting"),
        ("ssl.truststore.location=/jks", "ssl.ca.location"),
        ("enable.auto.commit=true", "flag of its own"),
        ("acks=0", "may not be changed"),
    ],
)
def test_properties_that_can_not_work_are_refused(line: str, reason: str, client: str) -> None:
    with pytest.raises(KafkaSetupError, match=reason):
        read_properties(line, client)


@pytest.mark.parametrize(
    ("client", "reason"),
    [
        ("kafka-python", "expected a whole number"),
        ("librdkafka", 'do not work with librdkafka: .*"reconnect.backoff.ms"'),
    ],
)
def test_a_value_that_can_not_be_is_refused(client: str, reason: str) -> None:
    with pytest.raises(KafkaSetupError, match=reason):
        read_properties("reconnect.backoff.ms=soon", client)


def test_each_client_gets_the_properties_that_it_knows(topics: Topics) -> None:
    text = "linger.ms=9\nfetch.min.bytes=7\nclient.id=me"
    properties = read_properties(text, topics.settings.client)
    settings = replace(topics.settings, properties=properties)
    topic = topics.create()
    made = producer(settings)
    sender = made.sender(topic)
    sender.send([Message(b"key", b"value")])
    sender.flush()
    made.close()
    reader = consumer(settings, None)
    reader.seek(TopicPartition(topic, 0), 0)
    wait_until(lambda: bool(reader.poll(0.5).records))
    reader.close()


def test_a_client_that_there_is_not() -> None:
    with pytest.raises(ValueError, match="'aiokafka' is not a Kafka client, expected kafka-python"):
        KafkaSettings("a:1", client="aiokafka")


def test_a_client_that_is_not_installed_is_said_with_what_to_do(tmp_path: Path) -> None:
    # A folder that hides it, as if the extra had not been installed.
    hidden = tmp_path / "confluent_kafka.py"
    hidden.write_text("raise ModuleNotFoundError(name='confluent_kafka')\n", encoding="utf-8")
    code = (
        "from transforms.kafka.client import KafkaSettings, consumer\n"
        "consumer(KafkaSettings('a:1', client='librdkafka'), None)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr.splitlines()[-1] == (
        "transforms.errors.KafkaSetupError: the client librdkafka is not installed:"
        " pip install 'flurs-beam[librdkafka]'"
    )


def test_javas_ways_to_say_no_are_understood() -> None:
    text = "compression.type=none\nssl.endpoint.identification.algorithm="
    assert dict(read_properties(text)) == {
        "compression_type": None,
        "ssl_check_hostname": False,
    }


def test_secrets_do_not_show() -> None:
    settings = KafkaSettings("a:1", read_properties("sasl.password=s3cret"))
    assert "s3cret" not in repr(settings)


def test_an_unreachable_broker_is_said_within_seconds(client: str) -> None:
    start = time.monotonic()
    with pytest.raises(KafkaSetupError, match=r"can not reach Kafka at 127\.0\.0\.1:"):
        consumer(KafkaSettings(f"127.0.0.1:{free_port()}", client=client), None)
    assert time.monotonic() - start < 30


def test_missing_topics_are_created_only_when_asked(topics: Topics) -> None:
    name = f"{topics.create()}-missing"
    with pytest.raises(KafkaSetupError, match=f"topic '{name}' does not exist"):
        require_topics(topics.settings, {name: 3})
    require_topics(topics.settings, {name: 3}, create=True)
    client = consumer(topics.settings, None)
    assert client.partitions_for_topic(name) == [0, 1, 2]
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
        for client in CLIENTS:
            good = read_properties(text.format("s3cret"), client)
            settings = KafkaSettings(address, good, client)
            require_topics(settings, {client: 1}, create=True)
            made = producer(settings)
            sender = made.sender(client)
            sender.send([Message(b"key", b"value")])
            sender.flush()
            made.close()
            bad = KafkaSettings(address, read_properties(text.format("wrong"), client), client)
            with pytest.raises(KafkaSetupError, match="can not reach Kafka"):
                consumer(bad, None)
        kafka_python = KafkaSettings(address, read_properties(text.format("s3cret")))
        assert [Topics(kafka_python).count(client) for client in CLIENTS] == [1, 1]
    finally:
        broker.stop()
