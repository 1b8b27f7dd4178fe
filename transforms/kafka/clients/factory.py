"""Clients by their settings, and what is asked of them when a pipeline is built."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any, Final

from kafka import TopicPartition

from transforms.errors import KafkaSetupError
from transforms.kafka.clients.connection import checked
from transforms.kafka.clients.protocols import Admin, Consumer, Producer
from transforms.kafka.settings import (
    AUTO,
    CLIENTS,
    KAFKA_PYTHON,
    LIBRDKAFKA,
    LINGER_MS,
    KafkaSettings,
)

__all__ = [
    "CLIENTS",
    "KafkaSettings",
    "admin",
    "check_settings",
    "consumer",
    "partitions_of",
    "producer",
    "require_topics",
]

_MODULES: Final = {
    KAFKA_PYTHON: "transforms.kafka.clients.kafka_python",
    LIBRDKAFKA: "transforms.kafka.clients.librdkafka",
}


def _implementation(client: str) -> Any:
    if client == AUTO:
        client = LIBRDKAFKA if find_spec("confluent_kafka") else KAFKA_PYTHON
    try:
        return importlib.import_module(_MODULES[client])
    except ModuleNotFoundError as e:
        if e.name != "confluent_kafka":
            raise
        msg = "the client librdkafka is not installed: pip install 'flurs-beam[librdkafka]'"
        raise KafkaSetupError(msg) from e


def check_settings(settings: KafkaSettings) -> None:
    """Checks all that can be checked without the brokers: the file, its lines, files it names.

    Raises:
        KafkaSetupError: Something cannot be used; the text has no value of a setting.
    """
    _implementation(settings.client).accepted(checked(settings))


def consumer(settings: KafkaSettings, group: str | None) -> Consumer:
    """Returns a consumer that reads committed records, and commits only when told.

    Raises:
        KafkaSetupError: The broker cannot be reached, or refuses.
    """
    made: Consumer = _implementation(settings.client).consumer(settings, group)
    return made


def producer(settings: KafkaSettings, linger_ms: int = LINGER_MS) -> Producer:
    """Returns an idempotent producer that waits for all replicas.

    Args:
        settings: Of the brokers; a linger of theirs wins.
        linger_ms: How long a message that nobody flushes waits for company.

    Raises:
        KafkaSetupError: The broker cannot be reached, or refuses.
    """
    made: Producer = _implementation(settings.client).producer(settings, linger_ms)
    return made


def admin(settings: KafkaSettings) -> Admin:
    """Returns a client that asks about topics.

    Raises:
        KafkaSetupError: The broker cannot be reached, or refuses.
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
        raise _no_topic(topic, settings)
    return [TopicPartition(topic, number) for number in numbers]


def _no_topic(topic: str, settings: KafkaSettings, hint: str = "") -> KafkaSetupError:
    return KafkaSetupError(
        f"topic {topic!r} does not exist at {settings.bootstrap_servers};"
        f" check its name, or create it{hint}"
    )


def require_topics(
    settings: KafkaSettings, topics: Mapping[str, int], *, create: bool | None = None
) -> None:
    """Checks that topics exist, and creates those that do not if asked.

    Args:
        settings: Of the brokers.
        topics: How many partitions a new topic is to have, by name.
        create: Whether to create what is missing, with the brokers' default replication, as
            --create_topics says; None where there is no such flag.

    Raises:
        KafkaSetupError: The broker cannot be reached, a topic is missing, or creation fails.
    """
    client = consumer(settings, None)
    try:
        missing = [topic for topic in topics if not client.partitions_for_topic(topic)]
        if create and missing:
            create_topics = _implementation(settings.client).create_topics
            create_topics(settings, {topic: topics[topic] for topic in missing})
        elif missing:
            hint = " with --create_topics" if create is False else ""
            raise _no_topic(missing[0], settings, hint)
    finally:
        client.close()
