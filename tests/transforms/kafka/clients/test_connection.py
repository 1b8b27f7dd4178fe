"""Every way to secure a broker and every mistake, on a real one, with both clients."""

from __future__ import annotations

import dataclasses
import logging
import re
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from kafka import TopicPartition

from cluster.broker import Broker, free_port
from tests import tokens
from tests.canary import KEY_PASSWORD, PASSWORD, require_hidden, require_hidden_in_error
from tests.secured import MECHANISMS, USER, SecuredBroker
from tests.support import Topics, patience, wait_until
from transforms.errors import KafkaSetupError
from transforms.kafka.clients import kafka_python_connect
from transforms.kafka.clients.factory import (
    KafkaSettings,
    check_settings,
    consumer,
    producer,
    require_topics,
)
from transforms.kafka.clients.protocols import Message
from transforms.kafka.settings import CONNECT_SECONDS, KAFKA_PYTHON

Given = dict[str, object]


def send_and_read(settings: KafkaSettings) -> None:
    """Makes a client of each kind and uses it."""
    topic = f"topic-{time.monotonic_ns()}"
    require_topics(settings, {topic: 1}, create=True)
    made = producer(settings)
    sender = made.sender(topic)
    sender.send([Message(b"key", b"value")])
    sender.flush()
    made.close()
    reader = consumer(settings, None)
    reader.seek(TopicPartition(topic, 0), 0)
    wait_until(lambda: bool(reader.poll(0.5).records))
    reader.close()


@pytest.mark.parametrize("mechanism", MECHANISMS)
@pytest.mark.parametrize(
    ("listener", "protocol"), [("LOGIN", "SASL_PLAINTEXT"), ("BOTH", "SASL_SSL")]
)
def test_a_password_in_the_file(
    listener: str, protocol: str, mechanism: str, client: str, secured: SecuredBroker
) -> None:
    given = {"security_protocol": protocol, **secured.login(mechanism)}
    trusted = {"ssl_ca_location": secured.authority.path} if protocol == "SASL_SSL" else {}
    send_and_read(secured.settings(listener, client, **given, **trusted))


def test_tls_without_a_login(client: str, secured: SecuredBroker) -> None:
    given: Given = {"security_protocol": "SSL", "ssl_ca_location": secured.authority.path}
    send_and_read(secured.settings("TLS", client, **given))


@pytest.mark.parametrize("names", ["key named", "key in the certificate's file", "Java's"])
def test_tls_of_both_sides(names: str, client: str, secured: SecuredBroker) -> None:
    pem, trusted = secured.client_certificate, secured.authority.path
    given: Given = {"security_protocol": "SSL", "ssl_key_password": KEY_PASSWORD}
    if names == "Java's":
        given |= {"ssl_truststore_type": "PEM", "ssl_truststore_location": trusted}
        given |= {"ssl_keystore_type": "PEM", "ssl_keystore_location": pem}
    else:
        given |= {"ssl_ca_location": trusted, "ssl_certificate_location": pem}
        given |= {"ssl_key_location": pem} if names == "key named" else {}
    send_and_read(secured.settings("MUTUAL", client, **given))


def test_a_reference_in_code(
    client: str, secured: SecuredBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAFKA_PASSWORD", PASSWORD)
    properties = {
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": USER,
        "sasl.password": "${env:KAFKA_PASSWORD}",
        "ssl.ca.location": str(secured.authority.path),
    }
    send_and_read(KafkaSettings(secured.address("BOTH"), "", properties, client))


def test_javas_jaas_lines(client: str, secured: SecuredBroker) -> None:
    module = "org.apache.kafka.common.security.scram.ScramLoginModule required"
    jaas = f'{module} \\\n  username="{USER}" \\\n  password="{PASSWORD}";'
    given: Given = {"security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "SCRAM-SHA-256"}
    send_and_read(secured.settings("LOGIN", client, **given, sasl_jaas_config=jaas))


def with_tokens(secured: SecuredBroker, client: str, provider: str) -> KafkaSettings:
    trusted = {"ssl.ca.location": str(secured.authority.path)}
    address = secured.address("TOKENS")
    return KafkaSettings(address, "", trusted, client, f"tests.tokens:{provider}")


def test_a_token_of_a_function(client: str, secured: SecuredBroker) -> None:
    send_and_read(with_tokens(secured, client, "valid"))


def test_a_client_logs_in_again_with_a_new_token_before_the_old_one_expires(
    client: str, secured: SecuredBroker
) -> None:
    settings = with_tokens(secured, client, "counted")
    topic = f"topic-{time.monotonic_ns()}"
    require_topics(settings, {topic: 1}, create=True)
    made, reader = producer(settings), consumer(settings, None)
    reader.seek(TopicPartition(topic, 0), 0)
    start, sent, read = time.time(), 0, 0
    # Longer than a token lives, and than two logins hold.
    while time.time() - start < 6 or read < sent:
        if time.time() - start < 6:
            sender = made.sender(topic)
            sender.send([Message(b"key", b"value")])
            sender.flush()
            sent += 1
        read += sum(len(one.offsets) for one in reader.poll(0.1).records.values())
        assert time.time() - start < patience(30)
    made.close()
    reader.close()
    assert max(tokens.calls) > start + 2


def test_a_token_that_the_broker_does_not_take_is_one_line(
    client: str, secured: SecuredBroker
) -> None:
    with pytest.raises(KafkaSetupError) as raised:
        consumer(with_tokens(secured, client, "expired"), None)
    said = str(raised.value)
    assert "the broker refuses the login by OAUTHBEARER (" in said
    assert said.endswith("; check the token of --kafka_token_provider")
    assert len(said.splitlines()) == 1
    assert tokens.START not in said


TLS: Given = {"security_protocol": "SSL", "ssl_ca_location": "{ca}"}
LOGIN: Given = {
    "security_protocol": "SASL_PLAINTEXT",
    "sasl_mechanism": "PLAIN",
    "sasl_username": USER,
    "sasl_password": PASSWORD,
}
BOTH: Given = {**LOGIN, **TLS, "security_protocol": "SASL_SSL"}
WRONG = f"{PASSWORD}-wrong"

MISTAKES: dict[str, tuple[str, Given, str]] = {
    "wrong password, PLAIN": (
        "BOTH",
        {**BOTH, "sasl_password": WRONG},
        "the broker refuses the login by PLAIN (Authentication failed: Invalid username or"
        " password); check sasl.username and sasl.password",
    ),
    "wrong password, SCRAM-SHA-256": (
        "LOGIN",
        {**LOGIN, "sasl_mechanism": "SCRAM-SHA-256", "sasl_password": WRONG},
        "the broker refuses the login by SCRAM-SHA-256 (Authentication failed during"
        " authentication due to invalid credentials with SASL mechanism SCRAM-SHA-256); check"
        " sasl.username and sasl.password",
    ),
    "wrong password, SCRAM-SHA-512": (
        "BOTH",
        {**BOTH, "sasl_mechanism": "SCRAM-SHA-512", "sasl_password": WRONG},
        "the broker refuses the login by SCRAM-SHA-512 (Authentication failed during"
        " authentication due to invalid credentials with SASL mechanism SCRAM-SHA-512); check"
        " sasl.username and sasl.password",
    ),
    "wrong user": (
        "LOGIN",
        {**LOGIN, "sasl_username": "mallory"},
        "the broker refuses the login by PLAIN (Authentication failed: Invalid username or"
        " password); check sasl.username and sasl.password",
    ),
    "wrong CA": (
        "TLS",
        {**TLS, "ssl_ca_location": "{stranger}"},
        "the broker's certificate is not signed by a CA of {stranger}; name a PEM file with the"
        " broker's CA in ssl.ca.location",
    ),
    "no CA": (
        "BOTH",
        {name: value for name, value in BOTH.items() if name != "ssl_ca_location"},
        "the broker's certificate is not signed by a CA of this machine's trusted CAs; name a"
        " PEM file with the broker's CA in ssl.ca.location",
    ),
    "plaintext to TLS": (
        "TLS",
        {},
        "the broker speaks TLS at this port, and security.protocol is PLAINTEXT; set"
        " security.protocol to SSL or SASL_SSL",
    ),
    "plaintext login to TLS": (
        "BOTH",
        LOGIN,
        "the broker speaks TLS at this port, and security.protocol is SASL_PLAINTEXT; set"
        " security.protocol to SASL_SSL",
    ),
    "plaintext to mutual TLS": (
        "MUTUAL",
        {},
        "the broker speaks TLS at this port, and security.protocol is PLAINTEXT; set"
        " security.protocol to SSL or SASL_SSL",
    ),
    "TLS to plaintext": (
        "PLAINTEXT",
        TLS,
        "the broker speaks plaintext at this port, not TLS, and security.protocol is SSL; name"
        " its TLS port, or set security.protocol=PLAINTEXT",
    ),
    "TLS login to plaintext": (
        "LOGIN",
        BOTH,
        "the broker speaks plaintext at this port, not TLS, and security.protocol is SASL_SSL;"
        " name its TLS port, or set security.protocol=SASL_PLAINTEXT",
    ),
    "wrong mechanism": (
        "PLAINONLY",
        {**LOGIN, "sasl_mechanism": "SCRAM-SHA-256"},
        "the broker does not take sasl.mechanism=SCRAM-SHA-256 at this port; set it to what the"
        " broker takes: PLAIN",
    ),
    "no login": (
        "PLAINONLY",
        {},
        "the broker asks for a login (PLAIN) and security.protocol is PLAINTEXT; set"
        " security.protocol=SASL_PLAINTEXT, sasl.mechanism, sasl.username and sasl.password",
    ),
    "a login that nobody asks for": (
        "TLS",
        BOTH,
        "the broker asks for no login at this port; name the port for logins, or set"
        " security.protocol=SSL",
    ),
    "no client certificate": (
        "MUTUAL",
        TLS,
        "the broker requires a client certificate; set ssl.certificate.location and"
        " ssl.key.location",
    ),
    "a client certificate that the broker does not trust": (
        "MUTUAL",
        {**TLS, "ssl_certificate_location": "{strange}", "ssl_key_location": "{strange}"},
        "the broker does not accept the client certificate in {strange}; have it signed by a CA"
        " that the broker trusts, and check its expiry date",
    ),
    "an expired certificate": (
        "EXPIRED",
        TLS,
        "the broker's certificate has expired; renew it, or correct this machine's clock",
    ),
}


def fails_with(settings: KafkaSettings, message: str) -> None:
    """Both what reads and what writes says it, in time, in one line and without a secret."""
    for make in (lambda: consumer(settings, None), lambda: producer(settings)):
        start = time.monotonic()
        with pytest.raises(KafkaSetupError) as raised:
            make()
        # Measured 0.1 to 2.7 s. The bound is what a client that finds out by itself would take.
        assert time.monotonic() - start < CONNECT_SECONDS
        assert str(raised.value) == message
        require_hidden_in_error(raised.value)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_each_mistake_has_a_message_of_its_own(
    mistake: str, client: str, secured: SecuredBroker
) -> None:
    listener, given, message = MISTAKES[mistake]
    names = {
        "ca": secured.authority.path,
        "stranger": secured.stranger.path,
        "strange": secured.strange_certificate,
    }
    settings = secured.settings(
        listener, client, **{name: str(value).format(**names) for name, value in given.items()}
    )
    reason = message.format(**names)
    fails_with(settings, f"cannot reach Kafka at {secured.address(listener)}: {reason}")


def test_no_two_mistakes_have_one_message() -> None:
    messages = {message for _, _, message in MISTAKES.values()}
    # A wrong user is a wrong password to the broker, and plaintext is plaintext.
    assert len(messages) == len(MISTAKES) - 2


def test_a_host_name_that_is_not_in_the_certificate(client: str, secured: SecuredBroker) -> None:
    port = secured.address("TLS").rpartition(":")[2]
    given: Given = {"security_protocol": "SSL", "ssl_ca_location": secured.authority.path}
    settings = secured.settings("TLS", client, **given)
    elsewhere = dataclasses.replace(settings, bootstrap_servers=f"localhost:{port}")
    fails_with(
        elsewhere,
        f"cannot reach Kafka at localhost:{port}: the broker's certificate is not for the name"
        " localhost; connect by a name that is in its certificate, or set"
        " ssl.endpoint.identification.algorithm=none to accept any name",
    )
    accepting = {"ssl.endpoint.identification.algorithm": "none"}
    send_and_read(dataclasses.replace(elsewhere, properties=accepting))


def test_a_host_that_is_unknown(client: str) -> None:
    fails_with(
        KafkaSettings("no-such-host.invalid:9092", client=client),
        "cannot reach Kafka at no-such-host.invalid:9092: the name 'no-such-host.invalid' is"
        " unknown here; check --kafka_bootstrap_servers and this machine's name service",
    )


def test_a_port_that_is_closed(client: str) -> None:
    address = f"127.0.0.1:{free_port()}"
    fails_with(
        KafkaSettings(address, client=client),
        f"cannot reach Kafka at {address}: nothing listens at {address} (Connection refused);"
        " check --kafka_bootstrap_servers and that the broker runs",
    )


def test_a_port_of_something_else(client: str) -> None:
    with Answering(lambda connection: connection.sendall(b"HTTP/1.1 400 Bad Request\r\n")) as port:
        address = f"127.0.0.1:{port}"
        fails_with(
            KafkaSettings(address, client=client),
            f"cannot reach Kafka at {address}: what answers at this port does not speak Kafka's"
            " protocol; check the port in --kafka_bootstrap_servers",
        )


class Answering:
    """A server that does the same with each connection when it has heard something."""

    def __init__(self, answer: Callable[[socket.socket], None]) -> None:
        self._answer = answer
        self._server = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while True:
            connection, _ = self._server.accept()
            with connection:
                if not connection.recv(1 << 16):
                    return
                self._answer(connection)

    def __enter__(self) -> int:
        self._thread.start()
        port: int = self._server.getsockname()[1]
        return port

    def __exit__(self, *exception: object) -> None:
        # One that says nothing ends it.
        socket.create_connection(self._server.getsockname()).close()
        self._thread.join()
        self._server.close()


def test_a_broker_that_sends_its_clients_elsewhere(client: str, tmp_path: Path) -> None:
    elsewhere = f"127.0.0.1:{free_port()}"
    broker = Broker(
        tmp_path / "broker", properties=[f"advertised.listeners=PLAINTEXT://{elsewhere}"]
    )
    broker.start()
    try:
        fails_with(
            KafkaSettings(broker.address, client=client),
            f"cannot reach Kafka at {broker.address}: the broker sends its clients to another"
            f" address, and nothing listens at {elsewhere} (Connection refused); set the broker's"
            " advertised.listeners to what this machine can reach",
        )
    finally:
        broker.stop()


def test_a_broker_that_sends_its_clients_to_another_name_of_it(client: str, tmp_path: Path) -> None:
    port = free_port()
    advertised = f"advertised.listeners=PLAINTEXT://localhost:{port}"
    broker = Broker(tmp_path / "broker", port, properties=[advertised])
    broker.start()
    try:
        send_and_read(KafkaSettings(broker.address, client=client))
    finally:
        broker.stop()


def test_one_server_of_several_is_enough(client: str, secured: SecuredBroker) -> None:
    servers = f"no-such-host.invalid:1,127.0.0.1:{free_port()},{secured.address('PLAINTEXT')}"
    consumer(KafkaSettings(servers, client=client), None).close()


@pytest.mark.parametrize("listens", [False, True], ids=["dead", "silent"])
def test_the_one_server_that_kafka_python_never_draws(
    listens: bool, secured: SecuredBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_python_connect, "CONNECT_SECONDS", 1.0)
    # It shuffles its servers, and draws one at random for each attempt.
    monkeypatch.setattr("kafka.cluster.random.shuffle", lambda servers: None)
    monkeypatch.setattr("kafka.net.manager.random.choice", lambda servers: servers[0])
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1] if listens else free_port()
        servers = f"127.0.0.1:{port},{secured.address('PLAINTEXT')}"
        consumer(KafkaSettings(servers, client=KAFKA_PYTHON), None).close()


def test_of_several_servers_one_that_listens_says_why(client: str, secured: SecuredBroker) -> None:
    servers = f"127.0.0.1:{free_port()},{secured.address('TLS')}"
    with pytest.raises(KafkaSetupError, match="the broker speaks TLS at this port"):
        consumer(KafkaSettings(servers, client=client), None)


@pytest.mark.parametrize("mistake", ["missing CA", "missing key", "missing file", "no variable"])
def test_what_is_missing_here_is_said_before_anything_is_connected(
    mistake: str, client: str, secured: SecuredBroker
) -> None:
    pem = str(secured.strange_certificate)
    more: dict[str, str] = {
        "missing CA": {"ssl.ca.location": "/not/there.pem"},
        "missing key": {"ssl.certificate.location": pem, "ssl.key.location": "/not/there.pem"},
        "missing file": {"sasl.password": "${file:/not/there.pem}"},
        "no variable": {"sasl.password": "${env:NOT_SET_ANYWHERE}"},
    }[mistake]
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        address = f"127.0.0.1:{server.getsockname()[1]}"
        settings = KafkaSettings(address, "", more, client)
        for make in (lambda: consumer(settings, None), lambda: check_settings(settings)):
            with pytest.raises(KafkaSetupError, match=r"/not/there\.pem|NOT_SET_ANYWHERE"):
                make()
            with pytest.raises(BlockingIOError):
                server.accept()


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_clients_log_no_password_even_when_they_log_all(
    mechanism: str, client: str, secured: SecuredBroker, caplog: pytest.LogCaptureFixture
) -> None:
    given: Given = {"security_protocol": "SASL_PLAINTEXT", **secured.login(mechanism)}
    chatty = {"debug": "all"} if client == "librdkafka" else {}
    settings = secured.settings("LOGIN", client, **given, **chatty)
    # The program of another test may have turned these loggers down.
    with caplog.at_level(logging.DEBUG), caplog.at_level(logging.DEBUG, logger="kafka"):
        send_and_read(settings)
        with pytest.raises(KafkaSetupError):
            consumer(dataclasses.replace(settings, properties={"sasl.username": "m"}), None)
    # As text and as what is sent for PLAIN.
    require_hidden(caplog.text, "the log")
    assert re.search("kafka", caplog.text)


def test_the_producer_of_tests_takes_the_same_settings(secured: SecuredBroker) -> None:
    given: Given = {"security_protocol": "SASL_PLAINTEXT", **secured.login()}
    topics = Topics(secured.settings("LOGIN", "kafka-python", **given))
    topic = topics.create()
    topics.send(topic, [b"value"])
    assert topics.count(topic) == 1
