"""Finds out why brokers cannot be used, with a connection of its own.

The clients keep trying, for good reasons, and then say only that it did not work. Here each step
is made once, and the first one that fails has a name. No password goes where no TLS is although
it was asked for, nor before the broker has said that it takes such a login.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from kafka.errors import KafkaError
from kafka.net.sasl import get_sasl_mechanism
from kafka.protocol.metadata import ApiVersionsRequest, MetadataRequest
from kafka.protocol.sasl import SaslAuthenticateRequest, SaslHandshakeRequest

from transforms.kafka.clients.findings import Finding, tls_failure, untrusted
from transforms.kafka.clients.oauth import Tokens
from transforms.kafka.clients.tls import client_context, loads_all
from transforms.kafka.clients.wire import Wire
from transforms.kafka.secrets import redacted
from transforms.kafka.token_provider import fetch

PROBE_SECONDS: Final = 4.0
"""How long all servers together may take; the error is to come within five seconds."""
_COME_UP_SECONDS: Final = 2.5
"""How long a broker that is being started is waited for."""
_SHORTEST_SECONDS: Final = 0.5
_RETRY_SECONDS: Final = 0.25
_DEFAULT_PORT: Final = 9092
_UNSUPPORTED_MECHANISM: Final = 33
_ILLEGAL_SASL_STATE: Final = 34
_SCRAM: Final = ("SCRAM-SHA-256", "SCRAM-SHA-512")


class _FoundError(Exception):
    """Ends the probe of one server; has a `Finding`."""


class Probed(NamedTuple):
    """What a probe of several servers found.

    Attributes:
        problem: Why none can be used; None if one can, or if that cannot be told.
        answered: The first that answered and can be used, as it was given; empty if none did.
    """

    problem: Finding | None = None
    answered: str = ""


def probe(servers: str, properties: Mapping[str, str], token_provider: str = "") -> Probed:
    """Tries servers one after the other until one may be used.

    Args:
        servers: `host:port`, several with commas between.
        properties: All settings under librdkafka's names, secrets included.
        token_provider: `module:function` that gives tokens for OAUTHBEARER; empty for none.

    Raises:
        KafkaSetupError: A file that they name, or the token provider, cannot be used.
    """
    context = client_context(properties)
    if "proxy.url" in properties or "socks5.proxy" in properties:
        return Probed()
    token = fetch(token_provider).value if token_provider else ""
    given = [one.strip() for one in servers.split(",") if one.strip()]
    start = time.monotonic()
    while True:
        findings = []
        silent = False
        for left, server in zip(range(len(given), 0, -1), given, strict=True):
            seconds = _share(start + PROBE_SECONDS, left)
            try:
                if _Probe(*_address(server), properties, context, seconds, token).answers():
                    return Probed(answered=server)
                silent = True
            except _FoundError as e:
                findings.append(e.args[0])
        if silent:
            return Probed()
        told = [finding for finding in findings if finding.listens]
        if told or time.monotonic() - start > _COME_UP_SECONDS:
            return Probed(next(iter(told or findings), None))
        time.sleep(_RETRY_SECONDS)


def _share(deadline: float, left: int) -> float:
    """Returns the seconds for one of those that are left."""
    return max(_SHORTEST_SECONDS, (deadline - time.monotonic()) / left)


def _address(server: str) -> tuple[str, int]:
    host, _, port = server.rpartition(":")
    if not host or not port.isdecimal():
        host, port = server, str(_DEFAULT_PORT)
    return host.rpartition("://")[2].strip("[]"), int(port)


class _Probe:
    """One attempt at one server."""

    def __init__(
        self,
        host: str,
        port: int,
        properties: Mapping[str, str],
        context: ssl.SSLContext,
        seconds: float,
        token: str = "",
    ) -> None:
        self._host, self._port = host, port
        self._properties = properties
        self._context = context
        self._token = token
        self._seconds = seconds
        self._deadline = time.monotonic() + seconds
        self._protocol = properties.get("security.protocol", "PLAINTEXT")
        self._tls = self._protocol in {"SSL", "SASL_SSL"}

    def answers(self) -> bool:
        """Returns whether the server answers, and can be used as far as is known.

        Raises:
            _FoundError: It cannot be used.
        """
        # One that is slow tells nothing: the client has more time.
        with (
            contextlib.suppress(TimeoutError),
            self._connect() as raw,
            self._secured(raw) if self._tls else raw as connection,
        ):
            wire = Wire(connection, self._deadline)
            try:
                wire.ask(ApiVersionsRequest(version=0))
            except TimeoutError:
                raise
            except (OSError, KafkaError) as e:
                self._explain_silence(e)
                return False
            with contextlib.suppress(OSError, KafkaError, ValueError, KeyError):
                self._log_in(wire)
                self._reach_advertised(wire)
            return True
        return False

    def _connect(self) -> socket.socket:
        where = f"{self._host}:{self._port}"
        reason = advice = ""
        for family, kind, number, _, address in self._addresses():
            connection = socket.socket(family, kind, number)
            connection.settimeout(max(0.1, self._deadline - time.monotonic()))
            try:
                connection.connect(address)
            except TimeoutError:
                reason = f"{where} does not answer in {self._seconds:.0f} s"
                advice = "check the address, and that no firewall is between"
            except OSError as e:
                reason = f"nothing listens at {where} ({e.strerror})"
                advice = "check --kafka_bootstrap_servers and that the broker runs"
            else:
                return connection
            connection.close()
        raise _FoundError(Finding(reason, advice, listens=False))

    def _addresses(self) -> list[Any]:
        found: list[Any] = []

        def look_up() -> None:
            with contextlib.suppress(OSError, UnicodeError):
                kind = socket.SOCK_STREAM
                found.extend(socket.getaddrinfo(self._host, self._port, type=kind))

        # A resolver that does not answer takes longer than we have.
        thread = threading.Thread(target=look_up, daemon=True)
        thread.start()
        thread.join(self._deadline - time.monotonic())
        if not found:
            reason = f"the name {self._host!r} is unknown here"
            advice = "check --kafka_bootstrap_servers and this machine's name service"
            raise _FoundError(Finding(reason, advice, listens=False))
        return found

    def _secured(self, raw: socket.socket) -> ssl.SSLSocket:
        try:
            return self._context.wrap_socket(raw, server_hostname=self._host)
        except ssl.SSLCertVerificationError as e:
            raise _FoundError(untrusted(e, self._host, self._properties)) from e
        except TimeoutError:
            raise
        except OSError as e:
            if self._answers_in_plaintext():
                plain = "SASL_PLAINTEXT" if self._protocol == "SASL_SSL" else "PLAINTEXT"
                found = Finding(
                    f"the broker speaks plaintext at this port, not TLS, and security.protocol"
                    f" is {self._protocol}",
                    f"name its TLS port, or set security.protocol={plain}",
                )
                raise _FoundError(found) from e
            raise _FoundError(tls_failure(e, self._properties)) from e

    def _explain_silence(self, error: OSError | KafkaError) -> None:
        """Raises what it means that a question came to nothing, if that can be told."""
        if self._tls:
            if isinstance(error, OSError) and loads_all(self._properties):
                raise _FoundError(tls_failure(error, self._properties))
            return
        if self._shakes_hands():
            secure = "SASL_SSL" if self._protocol == "SASL_PLAINTEXT" else "SSL or SASL_SSL"
            found = Finding(
                f"the broker speaks TLS at this port, and security.protocol is {self._protocol}",
                f"set security.protocol to {secure}",
            )
            raise _FoundError(found)
        if isinstance(error, KafkaError):
            reason = "what answers at this port does not speak Kafka's protocol"
            raise _FoundError(Finding(reason, "check the port in --kafka_bootstrap_servers"))

    def _answers_in_plaintext(self) -> bool:
        try:
            with self._connect() as connection:
                Wire(connection, self._deadline).ask(ApiVersionsRequest(version=0))
        except (OSError, KafkaError, _FoundError):
            return False
        return True

    def _shakes_hands(self) -> bool:
        """Whether TLS is spoken there, whoever it is."""
        anybody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        anybody.check_hostname = False
        anybody.verify_mode = ssl.CERT_NONE
        try:
            with (
                self._connect() as connection,
                anybody.wrap_socket(connection, server_hostname=self._host),
            ):
                return True
        except OSError as e:
            return "ALERT" in (getattr(e, "reason", None) or "")
        except _FoundError:
            return False

    def _log_in(self, wire: Wire) -> None:
        wanted = self._protocol.startswith("SASL_")
        mechanism = self._properties["sasl.mechanism"] if wanted else "PLAIN"
        shaken = wire.ask(SaslHandshakeRequest(version=1, mechanism=mechanism))
        takes = ", ".join(shaken.mechanisms)
        if not wanted:
            if takes:
                advice = f"set security.protocol=SASL_{'SSL' if self._tls else 'PLAINTEXT'}"
                found = Finding(
                    f"the broker asks for a login ({takes}) and security.protocol is"
                    f" {self._protocol}",
                    f"{advice}, sasl.mechanism, sasl.username and sasl.password",
                )
                raise _FoundError(found)
            return
        if shaken.error_code == _UNSUPPORTED_MECHANISM:
            reason = f"the broker does not take sasl.mechanism={mechanism} at this port"
            raise _FoundError(Finding(reason, f"set it to what the broker takes: {takes}"))
        if shaken.error_code == _ILLEGAL_SASL_STATE:
            reason = "the broker asks for no login at this port"
            protocol = "SSL" if self._tls else "PLAINTEXT"
            advice = f"name the port for logins, or set security.protocol={protocol}"
            raise _FoundError(Finding(reason, advice))
        # kafka-python's SCRAM does not escape these two as librdkafka's does.
        plain_name = not {",", "="} & set(self._properties.get("sasl.username", ""))
        if mechanism == "PLAIN" or (mechanism in _SCRAM and plain_name):
            name, password = (self._properties[f"sasl.{name}"] for name in ("username", "password"))
            login = get_sasl_mechanism(mechanism)(
                sasl_mechanism=mechanism, sasl_plain_username=name, sasl_plain_password=password
            )
            self._authenticate(wire, mechanism, login, "sasl.username and sasl.password")
        elif self._token:
            login = get_sasl_mechanism(mechanism)(
                sasl_oauth_token_provider=Tokens(lambda: self._token)
            )
            self._authenticate(wire, mechanism, login, "the token of --kafka_token_provider")

    def _authenticate(self, wire: Wire, mechanism: str, login: Any, secret: str) -> None:
        """Raises _FoundError with the advice to check the secret if the broker refuses it."""
        while not login.is_done():
            answer = wire.ask(SaslAuthenticateRequest(version=0, auth_bytes=login.auth_bytes()))
            if answer.error_code:
                hidden = {**self._properties, "token": self._token}
                said = redacted(answer.error_message or "no reason given", hidden)
                reason = f"the broker refuses the login by {mechanism} ({said})"
                raise _FoundError(Finding(reason, f"check {secret}"))
            login.receive(answer.auth_bytes)

    def _reach_advertised(self, wire: Wire) -> None:
        """Clients leave the server that they started with for the addresses that it gives."""
        brokers = wire.ask(MetadataRequest(version=1, topics=[])).brokers
        if any((broker.host, broker.port) == (self._host, self._port) for broker in brokers):
            return
        found = None
        for left, broker in zip(range(len(brokers), 0, -1), brokers, strict=True):
            seconds = _share(self._deadline, left)
            advertised = _Probe(broker.host, broker.port, self._properties, self._context, seconds)
            try:
                advertised._connect().close()
            except _FoundError as e:
                found = e.args[0]
            else:
                return
        if found:
            reason = f"the broker sends its clients to another address, and {found.reason}"
            advice = "set the broker's advertised.listeners to what this machine can reach"
            raise _FoundError(Finding(reason, advice))
