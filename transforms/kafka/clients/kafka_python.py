"""The clients made from kafka-python."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from functools import lru_cache
from typing import Any, Final

from kafka import KafkaProducer
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient
from kafka.errors import (
    KafkaError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
    TopicAlreadyExistsError,
    UnknownTopicOrPartitionError,
)
from kafka.partitioner import murmur2

from transforms.errors import DeliveryError, KafkaSetupError, MessageTooLargeError
from transforms.kafka.clients.kafka_python_connect import accepted, configuration, connected
from transforms.kafka.clients.kafka_python_consumer import KafkaPythonConsumer
from transforms.kafka.clients.protocols import Admin, Consumer, Message, Producer, Sender
from transforms.kafka.settings import (
    AWAY_SECONDS,
    BATCH_BYTES,
    MAX_MESSAGE_BYTES,
    KafkaSettings,
    refused,
    unreachable,
)

__all__ = ["accepted", "admin", "configuration", "consumer", "create_topics", "producer"]

_TOO_LARGE: Final = (MessageSizeTooLargeError, RecordListTooLargeError)


class KafkaPythonProducer:
    """A `protocols.Producer`."""

    def __init__(self, settings: KafkaSettings, linger_ms: int) -> None:
        defaults = {
            "batch_size": BATCH_BYTES,
            "linger_ms": linger_ms,
            "max_request_size": MAX_MESSAGE_BYTES,
            "delivery_timeout_ms": AWAY_SECONDS * 1000,
            "max_block_ms": AWAY_SECONDS * 1000,
        }
        self.client = connected(
            KafkaProducer,
            settings,
            defaults,
            enable_idempotence=True,
            acks="all",
            allow_auto_create_topics=False,
            metrics_enabled=False,
        )

    def sender(self, topic: str) -> Sender:
        return KafkaPythonSender(self.client, topic)

    def close(self) -> None:
        self.client.close(timeout=0)


# In pure Python, this takes as long as a quarter of the send. Users come again and again.
_hashed = lru_cache(1 << 16)(murmur2)


class KafkaPythonSender:
    """A `protocols.Sender`. `flush` waits for what others have sent until then, too."""

    def __init__(self, client: KafkaProducer, topic: str) -> None:
        self._client = client
        self._topic = topic
        self._sent: list[Any] = []

    def send(self, messages: Iterable[Message]) -> None:
        send, topic, sent = self._client.send, self._topic, self._sent
        try:
            partitions = sorted(self._client.partitions_for(topic))
            count = len(partitions)
            for message in messages:
                key = message.key
                partition = None
                if key is not None:
                    # What the client's own partitioner gives, and Java's.
                    partition = partitions[(_hashed(key) & 0x7FFFFFFF) % count if count > 1 else 0]
                headers, time_ms = message.all_headers(), message.timestamp_ms()
                try:
                    sent.append(send(topic, message.value, key, headers, partition, time_ms))
                except MessageSizeTooLargeError:
                    sent.append(None)
        except KafkaError as e:
            raise DeliveryError(refused(topic, e)) from e

    def flush(self) -> None:
        sent, self._sent = self._sent, []
        deadline = time.monotonic() + AWAY_SECONDS + 60
        # Sends at once what would linger for company. After a batch was split because of its
        # size it fails at once, although all goes on: only the futures know.
        with suppress(KafkaError):
            self._client.flush(timeout=AWAY_SECONDS + 60)
        too_large: list[int] = []
        try:
            for place, future in enumerate(sent):
                if future is None:
                    too_large.append(place)
                    continue
                try:
                    future.get(timeout=max(0.0, deadline - time.monotonic()))
                except _TOO_LARGE:
                    too_large.append(place)
        except KafkaError as e:
            raise DeliveryError(refused(self._topic, e)) from e
        if too_large:
            msg = refused(self._topic, "it is too large")
            raise MessageTooLargeError(msg, too_large)


class KafkaPythonAdmin:
    """A `protocols.Admin`."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._client = connected(KafkaAdminClient, settings)

    def topic_ids(self, topics: Collection[str]) -> dict[str, str]:
        try:
            described = self._client.describe_topics(list(topics))
        except (KafkaError, OSError) as e:
            raise unreachable(self._settings, e) from e
        return {
            one["name"]: _topic_id(one.get("topic_id"))
            for one in described
            if one["error_code"] != UnknownTopicOrPartitionError.errno
        }

    def partition_counts(self, topics: Collection[str] | None) -> dict[str, int]:
        try:
            described = self._client.describe_topics(None if topics is None else list(topics))
        except (KafkaError, OSError) as e:
            raise unreachable(self._settings, e) from e
        counts = {one["name"]: len(one["partitions"]) for one in described}
        return {name: count for name, count in counts.items() if count}

    def max_message_bytes(self, topic: str) -> int | None:
        asked = ConfigResource(ConfigResourceType.TOPIC, topic, configs=["max.message.bytes"])
        try:
            found = self._client.describe_configs([asked], config_filter="all")
            return int(found["topic"][topic]["max.message.bytes"]["value"])
        except (KafkaError, OSError, KeyError, ValueError):
            return None

    def close(self) -> None:
        self._client.close()


def _topic_id(found: object) -> str:
    """Returns an id; one that is all zeros is none."""
    text = str(found or "")
    return text if set(text) - set("0-") else ""


def consumer(settings: KafkaSettings, group: str | None) -> Consumer:
    """See `factory.consumer`."""
    return KafkaPythonConsumer(settings, group)


def producer(settings: KafkaSettings, linger_ms: int) -> Producer:
    """See `factory.producer`."""
    return KafkaPythonProducer(settings, linger_ms)


def admin(settings: KafkaSettings) -> Admin:
    """See `factory.admin`."""
    return KafkaPythonAdmin(settings)


def create_topics(settings: KafkaSettings, topics: Mapping[str, int]) -> None:
    """Creates topics with so many partitions; one that has come up meanwhile is no error.

    Raises:
        KafkaSetupError: The broker cannot be reached, or refuses.
    """
    client = connected(KafkaAdminClient, settings)
    try:
        client.create_topics(
            {topic: {"num_partitions": count} for topic, count in topics.items()},
            wait_for_metadata=True,
        )
    except TopicAlreadyExistsError:
        pass
    except KafkaError as e:
        msg = f"cannot create the topic(s) {', '.join(topics)}: {e}"
        raise KafkaSetupError(msg) from e
    finally:
        client.close()
