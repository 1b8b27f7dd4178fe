"""How to reach the brokers, and what a file of client settings says about it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from transforms.errors import KafkaSetupError

KAFKA_PYTHON: Final = "kafka-python"
LIBRDKAFKA: Final = "librdkafka"
CLIENTS: Final = (KAFKA_PYTHON, LIBRDKAFKA)

CONNECT_SECONDS: Final = 8.0
"""How long a first connection may take before the broker counts as unreachable."""
MAX_MESSAGE_BYTES: Final = 64 << 20
AWAY_SECONDS: Final = 600
"""How long a broker may be away: a bundle waits so long rather than fail."""
BACKOFF_MS: Final = 2000
"""A broker that comes back is found within seconds, not half a minute."""
LINGER_MS: Final = 5
BATCH_BYTES: Final = 1 << 18

# librdkafka's names, which all files are read into, and kafka-python's where they differ.
KAFKA_PYTHON_NAMES: Final = {
    "fetch.wait.max.ms": "fetch_max_wait_ms",
    "message.max.bytes": "max_request_size",
    "sasl.password": "sasl_plain_password",
    "sasl.username": "sasl_plain_username",
    "socket.receive.buffer.bytes": "receive_buffer_bytes",
    "socket.send.buffer.bytes": "send_buffer_bytes",
    "ssl.ca.location": "ssl_cafile",
    "ssl.certificate.location": "ssl_certfile",
    "ssl.cipher.suites": "ssl_ciphers",
    "ssl.crl.location": "ssl_crlfile",
    "ssl.endpoint.identification.algorithm": "ssl_check_hostname",
    "ssl.key.location": "ssl_keyfile",
    "ssl.key.password": "ssl_password",
}
_SYNONYMS: Final = {
    **{theirs.replace("_", "."): name for name, theirs in KAFKA_PYTHON_NAMES.items()},
    "sasl.mechanisms": "sasl.mechanism",
}
_JAAS: Final = re.compile(r'(username|password)\s*=\s*"((?:[^"\\]|\\.)*)"')
_OURS: Final = {
    "acks",
    "auto.offset.reset",
    "bootstrap.servers",
    "delivery.report.only.error",
    "enable.auto.commit",
    "enable.idempotence",
    "enable.partition.eof",
    "group.id",
    "isolation.level",
    "partitioner",
    "transactional.id",
}
_HINTS: Final = {
    f"ssl.truststore.{part}": "; Java's trust stores are not read: export the certificates as"
    " PEM and name that file in ssl.ca.location"
    for part in ("location", "password", "type", "certificates")
}


@dataclass(frozen=True)
class KafkaSettings:
    """How to reach the brokers.

    Attributes:
        bootstrap_servers: `host:port`, several with commas between.
        properties: Further settings, as `read_properties` makes them for this client.
        client: `kafka-python`, or `librdkafka`, which the extra of that name installs.
    """

    bootstrap_servers: str
    properties: tuple[tuple[str, Any], ...] = field(default=(), repr=False)
    client: str = KAFKA_PYTHON

    def __post_init__(self) -> None:
        """Raises ValueError for a client that there is not."""
        if self.client not in CLIENTS:
            msg = f"{self.client!r} is not a Kafka client, expected {' or '.join(CLIENTS)}"
            raise ValueError(msg)


def properties_of(text: str) -> dict[str, str]:
    """Reads `name=value` lines into librdkafka's names.

    The names may be those of the Java client, of librdkafka or of kafka-python. Lines that
    start with `#` or `!` are comments. Of `sasl.jaas.config`, user name and password are taken.

    Raises:
        KafkaSetupError: A line is not `name=value`, or sets what is not the file's to set.
    """
    return dict(_named(text))


def _named(text: str) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(text.splitlines(), start=1):
        stripped = line.strip()
        if not stripped or stripped[0] in "#!":
            continue
        name, equals, value = (part.strip() for part in stripped.partition("="))
        if not equals:
            msg = f"line {number} of the Kafka settings is {stripped!r}, expected name=value"
            raise KafkaSetupError(msg)
        dotted = name.replace("_", ".")
        key = _SYNONYMS.get(dotted, dotted)
        if key == "sasl.jaas.config":
            found = dict(_JAAS.findall(value))
            yield "sasl.username", found.get("username", "")
            yield "sasl.password", found.get("password", "")
        elif key in _OURS:
            msg = f"{name!r} in the Kafka settings has a flag of its own, or may not be changed"
            raise KafkaSetupError(msg)
        elif key == "ssl.endpoint.identification.algorithm":
            yield key, "https" if _checks_names(name, value) else "none"
        else:
            yield key, value


def _checks_names(name: str, value: str) -> bool:
    lower = value.lower()
    if lower in {"", "none", "false"}:
        return False
    if lower in {"https", "true"}:
        return True
    expected = "true or false" if "check" in name else "https or none"
    msg = f"{name} is {value!r} in the Kafka settings, expected {expected}"
    raise KafkaSetupError(msg)


def unknown_property(name: str, client: str) -> KafkaSetupError:
    """Returns the error for a name that the client does not know."""
    msg = f"{name!r} in the Kafka settings is no setting of {client}{_HINTS.get(name, '')}"
    return KafkaSetupError(msg)


def unreachable(settings: KafkaSettings, reason: object) -> KafkaSetupError:
    """Returns the error for brokers that do not answer, or refuse."""
    msg = (
        f"can not reach Kafka at {settings.bootstrap_servers}: {reason};"
        " check --kafka_bootstrap_servers, --kafka_config and that the broker runs"
    )
    return KafkaSetupError(msg)


def refused(topic: str, reason: object) -> str:
    """Returns what a `DeliveryError` says."""
    return f"topic {topic!r} did not take a record: {reason}"
