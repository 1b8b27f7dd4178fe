"""Clients by their settings, and what is asked of them when a pipeline is built."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any, Final

from kafka import TopicPartition

from transforms.errors import KafkaSetupError
from transforms.kafka.protocols import Admin, Consumer, Producer
from transforms.kafka.settings import (
    CLIENTS,
    KAFKA_PYTHON,
    LIBRDKAFKA,
    LINGER_MS,
    KafkaSettings,
    properties_of,
)

__all__ = [
    "CLIENTS",
    "KafkaSettings",
    "admin",
    "consumer",
    "partitions_of",
    "producer",
    "read_properties",
    "require_topics",
]

_MODULES: Final = {
    KAFKA_PYTHON: "transforms.kafka.kafka_python",
    LIBRDKAFKA: "transforms.kafka.librdkafka",
}


def _implementation(client: str) -> Any:
    try:
        return importlib.import_module(_MODULES[client])
    except ModuleNotFoundError as e:
        if e.name != "confluent_kafka":
            raise
        msg = "the client librdkafka is not installed: pip install 'flurs-beam[librdkafka]'"
        raise KafkaSetupError(msg) from e


def read_properties(text: str, client: str = KAFKA_PYTHON) -> tuple[tuple[str, Any], ...]:
    """Reads `name=value` lines, in the names of the Java client, librdkafka or kafka-python.

    Args:
        text: Lines; those that start with `#` or `!` are comments.
        client: The one that is to get them, one of `CLIENTS`.

    Returns:
        `KafkaSettings.properties` for this client.

    Raises:
        KafkaSetupError: A line is not `name=value`, or names no setting of the client.
    """
    return tuple(sorted(_implementation(client).accepted(properties_of(text)).items()))


def consumer(settings: KafkaSettings, group: str | None) -> Consumer:
    """Returns a consumer that reads committed records, and commits only when told.

    Raises:
        KafkaSetupError: The broker can not be reached, or refuses.
    """
    made: Consumer = _implementation(settings.client).consumer(settings, group)
    return made


def producer(settings: KafkaSettings, linger_ms: int = LINGER_MS) -> Producer:
    """Returns an idempotent producer that waits for all replicas.

    Args:
        settings: Of the brokers; a linger of theirs wins.
        linger_ms: How long a message that nobody flushes waits for company.

    Raises:
        KafkaSetupError: The broker can not be reached, or refuses.
    """
    made: Producer = _implementation(settings.client).producer(settings, linger_ms)
    return made


def admin(settings: KafkaSettings) -> Admin:
    """Returns a client that asks about topics.

    Raises:
        KafkaSetupError: The broker can not be reached, or refuses.
    """
    made: Admin = _implementation(settings.client).admin(settings)
    return made


def partitions_of(client: Consumer, topic: str, settings: KafkaSettings) -> list[TopicPartition]:
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
    return [TopicPartition(topic, number) for number in numbers]


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
    client = consumer(settings, None)
    try:
        missing = [topic for topic in topics if not client.partitions_for_topic(topic)]
        if create and missing:
            create_topics = _implementation(settings.client).create_topics
            create_topics(settings, {topic: topics[topic] for topic in missing})
        else:
            for topic in missing:
                partitions_of(client, topic, settings)
    finally:
        client.close()
