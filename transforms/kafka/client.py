"""Kafka settings and the clients made from them; the one place that knows kafka-python's names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError, TopicAlreadyExistsError

from transforms.errors import KafkaSetupError

CONNECT_SECONDS: Final = 8.0
"""How long a first connection may take before the broker counts as unreachable."""

MAX_MESSAGE_BYTES: Final = 64 << 20

# Names of the Java client and of librdkafka that are not kafka-python's with dots for underscores.
_SYNONYMS: Final = {
    "sasl.mechanisms": "sasl_mechanism",
    "sasl.username": "sasl_plain_username",
    "sasl.password": "sasl_plain_password",
    "ssl.ca.location": "ssl_cafile",
    "ssl.certificate.location": "ssl_certfile",
    "ssl.key.location": "ssl_keyfile",
    "ssl.key.password": "ssl_password",
    "ssl.crl.location": "ssl_crlfile",
}
_JAAS: Final = re.compile(r'(username|password)\s*=\s*"((?:[^"\\]|\\.)*)"')
_OURS: Final = {"bootstrap_servers", "group_id", "enable_auto_commit", "isolation_level"}
# Settings whose values are objects, which text can not name.
_OBJECTS: Final = {
    "default_offset_commit_callback",
    "kafka_client",
    "key_deserializer",
    "key_serializer",
    "metric_reporters",
    "partition_assignment_strategy",
    "partitioner",
    "sasl_oauth_token_provider",
    "selector",
    "socket_options",
    "ssl_context",
    "value_deserializer",
    "value_serializer",
}
_CLIENTS: Final = (KafkaConsumer, KafkaProducer, KafkaAdminClient)


@dataclass(frozen=True)
class KafkaSettings:
    """How to reach the brokers.

    Attributes:
        bootstrap_servers: `host:port`, several with commas between.
        properties: Further settings of the clients, as (kafka-python's name, value) pairs.
    """

    bootstrap_servers: str
    properties: tuple[tuple[str, Any], ...] = field(default=(), repr=False)

    def of_client(self, client: type[Any], **settings: Any) -> dict[str, Any]:
        """Returns what `client` takes: the properties that it knows, then `settings`."""
        known = {k: v for k, v in self.properties if k in client.DEFAULT_CONFIG}
        return {
            "bootstrap_servers": self.bootstrap_servers.split(","),
            "bootstrap_timeout_ms": int(CONNECT_SECONDS * 1000),
            # A broker that comes back is found within seconds, not half a minute.
            "reconnect_backoff_max_ms": 2000,
            **known,
            **settings,
        }


def read_properties(text: str) -> tuple[tuple[str, Any], ...]:
    """Reads `name=value` lines, in the names of the Java client, librdkafka or kafka-python.

    Lines that start with `#` or `!` are comments. Of `sasl.jaas.config`, user name and password
    are taken.

    Raises:
        KafkaSetupError: A line is not `name=value`, or names no setting of the clients.
    """
    properties: dict[str, Any] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        stripped = line.strip()
        if not stripped or stripped[0] in "#!":
            continue
        name, equals, value = (part.strip() for part in stripped.partition("="))
        if not equals:
            msg = f"line {number} of the Kafka settings is {stripped!r}, expected name=value"
            raise KafkaSetupError(msg)
        if name == "sasl.jaas.config":
            found = dict(_JAAS.findall(value))
            properties["sasl_plain_username"] = found.get("username", "")
            properties["sasl_plain_password"] = found.get("password", "")
            continue
        if name == "ssl.endpoint.identification.algorithm":
            properties["ssl_check_hostname"] = bool(value)
            continue
        key = _SYNONYMS.get(name, name.replace(".", "_"))
        properties[key] = _converted(name, key, value)
    return tuple(sorted(properties.items()))


def _converted(name: str, key: str, value: str) -> Any:
    defaults = [client.DEFAULT_CONFIG[key] for client in _CLIENTS if key in client.DEFAULT_CONFIG]
    if not defaults or key in _OURS or key in _OBJECTS:
        why = "has a flag of its own" if key in _OURS else "is no setting of the Kafka clients here"
        msg = f"{name!r} in the Kafka settings {why}"
        raise KafkaSetupError(msg)
    if key == "compression_type" and value == "none":
        return None
    default = defaults[0]
    if isinstance(default, bool):
        if value.lower() not in {"true", "false"}:
            msg = f"{name} is {value!r} in the Kafka settings, expected true or false"
            raise KafkaSetupError(msg)
        return value.lower() == "true"
    if isinstance(default, int):
        try:
            return int(value)
        except ValueError as e:
            msg = f"{name} is {value!r} in the Kafka settings, expected a whole number"
            raise KafkaSetupError(msg) from e
    return value


def consumer(settings: KafkaSettings, group: str | None, max_poll_records: int) -> Any:
    """Returns a consumer that reads committed records, and commits only when told.

    Raises:
        KafkaSetupError: The broker can not be reached, or refuses.
    """
    return _connected(
        KafkaConsumer,
        settings,
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="none",
        isolation_level="read_committed",
        allow_auto_create_topics=False,
        max_poll_records=max_poll_records,
        metrics_enabled=False,
    )


def producer(settings: KafkaSettings) -> Any:
    """Returns an idempotent producer that waits for all replicas.

    Raises:
        KafkaSetupError: The broker can not be reached, or refuses.
    """
    defaults = {
        "batch_size": 1 << 18,
        "linger_ms": 5,
        "max_request_size": MAX_MESSAGE_BYTES,
        # A broker may be away for minutes; the bundle waits rather than fails.
        "delivery_timeout_ms": 600_000,
        "max_block_ms": 600_000,
    }
    chosen = {
        name: value for name, value in defaults.items() if name not in dict(settings.properties)
    }
    return _connected(
        KafkaProducer,
        settings,
        **chosen,
        enable_idempotence=True,
        acks="all",
        allow_auto_create_topics=False,
        metrics_enabled=False,
    )


def _connected(client: type[Any], settings: KafkaSettings, **more: Any) -> Any:
    try:
        return client(**settings.of_client(client, **more))
    # kafka-python raises ValueError, AssertionError and OSError for settings that can not work.
    except (KafkaError, ValueError, AssertionError, OSError) as e:
        msg = (
            f"can not reach Kafka at {settings.bootstrap_servers}: {e};"
            " check --kafka_bootstrap_servers, --kafka_config and that the broker runs"
        )
        raise KafkaSetupError(msg) from e


def partitions_of(client: Any, topic: str, settings: KafkaSettings) -> list[TopicPartition]:
    """Returns a topic's partitions in order.

    Raises:
        KafkaSetupError: There is no such topic.
    """
    numbers = client.partitions_for_topic(topic)
    if not numbers:
        msg = (
            f"topic {topic!r} does not exist at {settings.bootstrap_servers};"
            " create it, or pass --create_topics"
        )
        raise KafkaSetupError(msg)
    return [TopicPartition(topic, number) for number in sorted(numbers)]


def require_topics(
    settings: KafkaSettings, topics: Mapping[str, int], *, create: bool = False
) -> None:
    """Checks that topics exist, and creates those that do not if asked.

    Args:
        settings: Of the brokers.
        topics: How many partitions a new topic is to have, by name.
        create: Whether to create what is missing, with the brokers' default replication.

    Raises:
        KafkaSetupError: The broker can not be reached, a topic is missing, or creation fails.
    """
    client = consumer(settings, None, 1)
    try:
        missing = [topic for topic in topics if not client.partitions_for_topic(topic)]
        if create and missing:
            _create(settings, {topic: topics[topic] for topic in missing})
        else:
            for topic in missing:
                partitions_of(client, topic, settings)
    finally:
        client.close()


def _create(settings: KafkaSettings, topics: Mapping[str, int]) -> None:
    admin = _connected(KafkaAdminClient, settings)
    try:
        admin.create_topics(
            {topic: {"num_partitions": count} for topic, count in topics.items()},
            wait_for_metadata=True,
        )
    except TopicAlreadyExistsError:
        pass
    except KafkaError as e:
        msg = f"can not create the topic(s) {', '.join(topics)}: {e}"
        raise KafkaSetupError(msg) from e
    finally:
        admin.close()
