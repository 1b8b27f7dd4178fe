from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from kafka import TopicPartition

from tests.canary import PASSWORD, require_hidden_in_error
from tests.secured import SecuredBroker
from tests.support import ROOT, Topics, wait_until
from transforms.errors import KafkaSetupError
from transforms.kafka.clients.factory import (
    CLIENTS,
    KafkaSettings,
    check_settings,
    consumer,
    producer,
    require_topics,
)
from transforms.kafka.clients.protocols import Message


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (f"no.such.thing={PASSWORD}", "'no.such.thing' in the Kafka settings is no setting of "),
        (f"key.serializer={PASSWORD}", "'key.serializer' in the Kafka settings is no setting of "),
        ("ssl.check.hostname=maybe", "is neither https nor none, true nor false"),
        ("acks=0", "may not be changed"),
        ("ssl.ca.location=/not/there", "cannot read /not/there, the ssl.ca.location of"),
    ],
)
def test_a_file_that_can_not_work_is_refused(
    line: str, reason: str, client: str, tmp_path: Path
) -> None:
    with pytest.raises(KafkaSetupError, match=reason) as raised:
        check_settings(in_file(tmp_path, line, client))
    require_hidden_in_error(raised.value)


def in_file(folder: Path, text: str, client: str) -> KafkaSettings:
    path = folder / "kafka.properties"
    path.write_text(text, encoding="utf-8")
    return KafkaSettings("a:1", str(path), client=client)


def test_javas_key_stores_are_refused_with_what_to_do(tmp_path: Path) -> None:
    settings = in_file(tmp_path, "ssl.keystore.location=/key.jks", "kafka-python")
    with pytest.raises(KafkaSetupError, match=r"No such file"):
        check_settings(settings)
    (tmp_path / "key.p12").write_bytes(b"0")
    settings = in_file(tmp_path, f"ssl.keystore.location={tmp_path}/key.p12", "kafka-python")
    with pytest.raises(KafkaSetupError, match=r"no setting of kafka-python.*keytool .*openssl "):
        check_settings(settings)


@pytest.mark.parametrize(
    ("client", "reason"),
    [
        ("kafka-python", "reconnect.backoff.ms in the Kafka settings is no whole number"),
        ("librdkafka", "'reconnect.backoff.ms' .* has a value that librdkafka does not take"),
    ],
)
def test_a_value_that_can_not_be_is_refused_and_not_shown(
    client: str, reason: str, tmp_path: Path
) -> None:
    with pytest.raises(KafkaSetupError, match=reason) as raised:
        check_settings(in_file(tmp_path, f"reconnect.backoff.ms={PASSWORD}", client))
    require_hidden_in_error(raised.value)


def test_a_flag_that_is_neither_is_refused_and_not_shown(tmp_path: Path) -> None:
    line = f"check.crcs={PASSWORD}"
    for client in CLIENTS:
        with pytest.raises(KafkaSetupError, match=r"check\.crcs'? in the Kafka") as raised:
            check_settings(in_file(tmp_path, line, client))
        require_hidden_in_error(raised.value)


def test_what_librdkafka_says_of_no_setting_by_name_is_not_shown(tmp_path: Path) -> None:
    reason = "do not work with librdkafka: .*plugin"
    with pytest.raises(KafkaSetupError, match=reason) as raised:
        check_settings(in_file(tmp_path, f"plugin.library.paths={PASSWORD}", "librdkafka"))
    require_hidden_in_error(raised.value)


def test_a_value_out_of_range_is_said_with_the_range(tmp_path: Path) -> None:
    with pytest.raises(KafkaSetupError, match=r"allowed range 0\.\.3600000"):
        check_settings(in_file(tmp_path, "reconnect.backoff.ms=-3", "librdkafka"))


@pytest.mark.parametrize(
    ("client", "name", "reason"),
    [
        ("kafka-python", "client_dns_lookup", "client_dns_lookup must be .* got"),
        ("librdkafka", "ssl_curves_list", "ssl.curves.list"),
    ],
)
def test_what_only_making_a_client_finds_out_is_not_shown(
    client: str, name: str, reason: str, secured: SecuredBroker
) -> None:
    given: dict[str, object] = {name: PASSWORD, "security_protocol": "SSL"}
    trusted = secured.authority.path
    settings = secured.settings("TLS", client, ssl_ca_location=trusted, **given)
    with pytest.raises(KafkaSetupError, match=reason) as raised:
        consumer(settings, None)
    require_hidden_in_error(raised.value)


def test_each_client_gets_the_properties_that_it_knows(topics: Topics) -> None:
    properties = {"linger.ms": "9", "fetch.min.bytes": "7", "client.id": "me"}
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


def test_a_client_that_is_not_installed_is_said_with_what_to_do(tmp_path: Path) -> None:
    # A folder that hides it, as if the extra had not been installed.
    hidden = tmp_path / "confluent_kafka.py"
    hidden.write_text("raise ModuleNotFoundError(name='confluent_kafka')\n", encoding="utf-8")
    code = (
        "from transforms.kafka.clients.factory import KafkaSettings, consumer\n"
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


def test_auto_takes_kafka_python_where_librdkafka_is_not_installed() -> None:
    code = (
        "import sys\n{hide}"
        "from transforms.kafka.clients.factory import KafkaSettings, check_settings\n"
        "check_settings(KafkaSettings('a:1'))\n"
        "print('transforms.kafka.clients.librdkafka' in sys.modules,"
        " 'transforms.kafka.clients.kafka_python' in sys.modules)"
    )
    # As if the extra had not been installed.
    hide = (
        "import importlib.util as util; find = util.find_spec\n"
        "util.find_spec = lambda name: find(name) if name != 'confluent_kafka' else None\n"
    )
    for text, expected in (("", "True False"), (hide, "False True")):
        done = subprocess.run(
            [sys.executable, "-c", code.format(hide=text)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stdout.strip() == expected, done.stderr


def test_javas_way_to_say_no_compression_is_understood(topics: Topics) -> None:
    topic = topics.create()
    settings = replace(topics.settings, properties={"compression.type": "none"})
    made = producer(settings)
    sender = made.sender(topic)
    sender.send([Message(b"key", b"value")])
    sender.flush()
    made.close()
    assert topics.count(topic) == 1


def test_missing_topics_are_created_only_when_asked(topics: Topics) -> None:
    name = f"{topics.create()}-missing"
    with pytest.raises(KafkaSetupError, match=f"topic '{name}' does not exist"):
        require_topics(topics.settings, {name: 3})
    with pytest.raises(KafkaSetupError, match=r"or create it with --create_topics$"):
        require_topics(topics.settings, {name: 3}, create=False)
    require_topics(topics.settings, {name: 3}, create=True)
    client = consumer(topics.settings, None)
    assert client.partitions_for_topic(name) == [0, 1, 2]
    client.close()
    require_topics(topics.settings, {name: 3}, create=True)


def test_a_name_that_no_topic_can_have_is_an_error(topics: Topics) -> None:
    with pytest.raises(KafkaSetupError):
        require_topics(topics.settings, {"no spaces, please": 1}, create=True)
