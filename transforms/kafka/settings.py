"""How to reach the brokers: what travels with a pipeline, and what never does."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from transforms.errors import KafkaSetupError
from transforms.kafka.properties import (
    KEY_STORE_HINT,
    canonical,
    read_file,
    require_references,
    resolved,
)
from transforms.kafka.token_provider import require_name

KAFKA_PYTHON: Final = "kafka-python"
LIBRDKAFKA: Final = "librdkafka"
CLIENTS: Final = (KAFKA_PYTHON, LIBRDKAFKA)
AUTO: Final = "auto"
CLIENT_CHOICES: Final = (AUTO, *CLIENTS)

CONNECT_SECONDS: Final = 8.0
"""How long a first connection may take before the broker counts as unreachable."""
MAX_MESSAGE_BYTES: Final = 64 << 20
AWAY_SECONDS: Final = 600
"""How long a broker may be away: a bundle waits so long rather than fail."""
BACKOFF_MS: Final = 2000
"""A broker that comes back is found within seconds, not half a minute."""
LINGER_MS: Final = 5
BATCH_BYTES: Final = 1 << 18


@dataclass(frozen=True)
class KafkaSettings:
    """How to reach the brokers.

    It is pickled into the pipeline, so it holds no secret: `config_file` is a path, which is
    read where a client is made, and `properties` must refer to their secrets. A value, there and
    in the file, may be or have `${env:NAME}`, `${file:PATH}`, `${file:PATH:KEY}` or
    `${directory:PATH:NAME}`. The machine that starts the pipeline needs the file and what it
    refers to as well as every worker.

    Attributes:
        bootstrap_servers: `host:port`, several with commas between.
        config_file: Path of a file with client settings in Java's properties format, under the
            names of the Java client, of librdkafka or of kafka-python.
        properties: Further settings under the same names, as a mapping or as pairs; they win
            over those of the file.
        client: `kafka-python`; `librdkafka`, which the extra of that name installs; or `auto`
            for librdkafka where it is installed, which each process decides for itself.
        token_provider: `module:function` of a function that gives tokens for the login by
            OAUTHBEARER, see `token_provider.fetch`; imported where a client is made. With it
            `sasl.mechanism` is OAUTHBEARER, and `security.protocol` SASL_SSL if it is not set.
    """

    bootstrap_servers: str
    config_file: str = ""
    properties: Mapping[str, str] | tuple[tuple[str, str], ...] = field(default=(), repr=False)
    client: str = AUTO
    token_provider: str = ""

    def __post_init__(self) -> None:
        """Checks what can be checked without the brokers.

        Raises:
            ValueError: There is no such client.
            KafkaSetupError: A property is a secret that would travel with the pipeline, or
                may not be set; or the token provider is no `module:function`.
        """
        if self.client not in CLIENT_CHOICES:
            msg = f"{self.client!r} is not a Kafka client, expected {', '.join(CLIENT_CHOICES)}"
            raise ValueError(msg)
        if self.token_provider:
            require_name(self.token_provider)
        properties = canonical((name, str(value)) for name, value in dict(self.properties).items())
        require_references(properties)
        object.__setattr__(self, "properties", tuple(sorted(properties.items())))
        if self.config_file:
            object.__setattr__(self, "config_file", os.path.abspath(self.config_file))

    def resolve(self) -> dict[str, str]:
        """Returns all settings under librdkafka's names, with secrets: not to be kept.

        Raises:
            KafkaSetupError: The file cannot be read, or a setting cannot be.
        """
        in_file = read_file(self.config_file) if self.config_file else {}
        return resolved({**in_file, **dict(self.properties)}, has_tokens=bool(self.token_provider))


def unknown_property(name: str, client: str) -> KafkaSetupError:
    """Returns the error for a name that the client does not know."""
    hint = f". {KEY_STORE_HINT}" if name.startswith("ssl.keystore.") else ""
    return KafkaSetupError(f"{name!r} in the Kafka settings is no setting of {client}{hint}")


_ADVICE: Final = "check --kafka_bootstrap_servers, --kafka_config and that the broker runs"


def unreachable(settings: KafkaSettings, reason: object, advice: str = _ADVICE) -> KafkaSetupError:
    """Returns the error for brokers that do not answer, or refuse."""
    return KafkaSetupError(
        f"cannot reach Kafka at {settings.bootstrap_servers}: {reason}; {advice}"
    )


def refused(topic: str, reason: object) -> str:
    """Returns what a `DeliveryError` says."""
    return f"topic {topic!r} did not take a record: {reason}"
