"""The clients made from kafka-python."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from functools import lru_cache
from typing import Any, Final

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient
from kafka.errors import (
    KafkaError,
    LogTruncationError,
    MessageSizeTooLargeError,
    OffsetOutOfRangeError,
    RecordListTooLargeError,
    TopicAlreadyExistsError,
    UnknownTopicOrPartitionError,
)
from kafka.partitioner import murmur2
from kafka.structs import OffsetAndMetadata

from transforms.errors import DeliveryError, KafkaSetupError, MessageTooLargeError
from transforms.kafka.clients.connection import prepared
from transforms.kafka.clients.protocols import (
    Admin,
    Consumer,
    Message,
    Polled,
    Producer,
    Records,
    Sender,
    record_headers,
)
from transforms.kafka.properties import KAFKA_PYTHON_NAMES
from transforms.kafka.secrets import redacted
from transforms.kafka.settings import (
    AWAY_SECONDS,
    BACKOFF_MS,
    BATCH_BYTES,
    CONNECT_SECONDS,
    KAFKA_PYTHON,
    MAX_MESSAGE_BYTES,
    KafkaSettings,
    refused,
    unknown_property,
    unreachable,
)

_POLL_RECORDS: Final = 10_000
_TOO_LARGE: Final = (MessageSizeTooLargeError, RecordListTooLargeError)
_LOGGER: Final = logging.getLogger(__name__)
_CLIENTS: Final = (KafkaConsumer, KafkaProducer, KafkaAdminClient)
# Settings whose values are objects, which text can not name.
_OBJECTS: Final = {
    "default_offset_commit_callback",
    "kafka_client",
    "key_deserializer",
    "key_serializer",
    "metric_reporters",
    "partition_assignment_strategy",
    "sasl_oauth_token_provider",
    "selector",
    "socket_options",
    "ssl_context",
    "value_deserializer",
    "value_serializer",
}


def accepted(properties: Mapping[str, str]) -> dict[str, Any]:
    """Returns the properties in kafka-python's names and types.

    Raises:
        KafkaSetupError: It has no such setting, or not with such a value.
    """
    return dict(_converted(name, value) for name, value in properties.items())


def _converted(name: str, value: str) -> tuple[str, Any]:
    key = KAFKA_PYTHON_NAMES.get(name, name.replace(".", "_"))
    defaults = [client.DEFAULT_CONFIG[key] for client in _CLIENTS if key in client.DEFAULT_CONFIG]
    if not defaults or key in _OBJECTS:
        raise unknown_property(name, KAFKA_PYTHON)
    if key == "ssl_check_hostname":
        return key, value == "https"
    if key == "compression_type" and value == "none":
        return key, None
    default = defaults[0]
    if isinstance(default, bool):
        if value.lower() not in {"true", "false"}:
            msg = f"{name} in the Kafka settings is neither true nor false"
            raise KafkaSetupError(msg)
        return key, value.lower() == "true"
    if isinstance(default, int):
        if not re.fullmatch(r"[+-]?\d+", value):
            # Not shown, as no value is: it may be a password that stands in the wrong line.
            msg = f"{name} in the Kafka settings is no whole number"
            raise KafkaSetupError(msg)
        return key, int(value)
    return key, value


def configuration(client: type[Any], properties: Mapping[str, str]) -> dict[str, Any]:
    """Returns what a class of kafka-python takes of the properties, in its names and types."""
    known = accepted(properties)
    return {name: value for name, value in known.items() if name in client.DEFAULT_CONFIG}


def _connected(
    client: type[Any],
    settings: KafkaSettings,
    defaults: Mapping[str, Any] | None = None,
    **fixed: Any,
) -> Any:
    properties = prepared(settings)
    arguments = {
        "bootstrap_servers": settings.bootstrap_servers.split(","),
        "bootstrap_timeout_ms": int(CONNECT_SECONDS * 1000),
        "reconnect_backoff_max_ms": BACKOFF_MS,
        **(defaults or {}),
        **configuration(client, properties),
        **fixed,
    }
    try:
        return client(**arguments)
    # kafka-python raises ValueError, AssertionError and OSError for settings that can not work.
    except (KafkaError, ValueError, AssertionError, OSError) as e:
        reason = redacted(str(e), properties)
    # Raised here, so that the error has no context: that one's text may show a value.
    raise unreachable(settings, reason)


class KafkaPythonConsumer:
    """A `protocols.Consumer`; errors of the brokers come as kafka-python's."""

    def __init__(self, settings: KafkaSettings, group: str | None) -> None:
        self._client = _connected(
            KafkaConsumer,
            settings,
            group_id=group,
            enable_auto_commit=False,
            auto_offset_reset="none",
            isolation_level="read_committed",
            allow_auto_create_topics=False,
            max_poll_records=_POLL_RECORDS,
            metrics_enabled=False,
        )
        self._assigned: dict[TopicPartition, None] = {}
        self._paused: set[TopicPartition] = set()

    def partitions_for_topic(self, topic: str) -> list[int]:
        return sorted(self._client.partitions_for_topic(topic) or ())

    def beginning_offsets(
        self, partitions: Collection[TopicPartition]
    ) -> dict[TopicPartition, int]:
        found: dict[TopicPartition, int] = self._client.beginning_offsets(partitions)
        return found

    def end_offsets(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        found: dict[TopicPartition, int] = self._client.end_offsets(partitions)
        return found

    def committed(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int | None]:
        return {partition: self._client.committed(partition) for partition in partitions}

    def seek(self, partition: TopicPartition, offset: int) -> None:
        if partition not in self._assigned:
            # Partitions that are assigned already keep what was fetched for them.
            self._assigned[partition] = None
            self._client.assign(list(self._assigned))
        self._client.seek(partition, offset)

    def unassign(self, partition: TopicPartition) -> None:
        del self._assigned[partition]
        self._paused.discard(partition)
        self._client.assign(list(self._assigned))

    def pause(self, partitions: Collection[TopicPartition]) -> None:
        wanted = set(partitions)
        if wanted != self._paused:
            self._client.pause(*(wanted - self._paused))
            self._client.resume(*(self._paused - wanted))
            self._paused = wanted

    def poll(self, seconds: float) -> Polled:
        try:
            polled = self._client.poll(int(seconds * 1000), _POLL_RECORDS)
        except OffsetOutOfRangeError as e:
            return Polled({}, set(e.args[0]))
        except LogTruncationError as e:
            # Also where the topic was created anew.
            return Polled({}, set(e.divergent_offsets), set(e.divergent_offsets))
        return Polled({partition: _columns(polled[partition]) for partition in polled})

    def progress(self, partition: TopicPartition) -> tuple[int, bool]:
        offset = self._client.position(partition, timeout_ms=1000) or 0
        end = self._client.highwater(partition)
        return offset, end is not None and offset >= end

    def commit(self, partition: TopicPartition, offset: int, *, wait: bool) -> bool:
        try:
            self._client.commit({partition: OffsetAndMetadata(offset, "", -1)}, 10_000)
        except KafkaError as e:
            _LOGGER.warning("Can not commit offset %d of %s: %s", offset, partition, e)
            return False
        return True

    def close(self) -> None:
        self._client.close()


def _columns(records: list[Any]) -> Records:
    return Records(
        [record.offset for record in records],
        [record.value for record in records],
        [record.timestamp for record in records],
        [record.key for record in records],
        [record_headers(record.headers) if record.headers else () for record in records],
    )


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
        self.client = _connected(
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
        self._client = _connected(KafkaAdminClient, settings)

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
    """See `client.consumer`."""
    return KafkaPythonConsumer(settings, group)


def producer(settings: KafkaSettings, linger_ms: int) -> Producer:
    """See `client.producer`."""
    return KafkaPythonProducer(settings, linger_ms)


def admin(settings: KafkaSettings) -> Admin:
    """See `client.admin`."""
    return KafkaPythonAdmin(settings)


def create_topics(settings: KafkaSettings, topics: Mapping[str, int]) -> None:
    """Creates topics with so many partitions; one that has come up meanwhile is no error.

    Raises:
        KafkaSetupError: The broker can not be reached, or refuses.
    """
    client = _connected(KafkaAdminClient, settings)
    try:
        client.create_topics(
            {topic: {"num_partitions": count} for topic, count in topics.items()},
            wait_for_metadata=True,
        )
    except TopicAlreadyExistsError:
        pass
    except KafkaError as e:
        msg = f"can not create the topic(s) {', '.join(topics)}: {e}"
        raise KafkaSetupError(msg) from e
    finally:
        client.close()
