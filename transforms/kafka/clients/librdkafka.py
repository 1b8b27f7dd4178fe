"""The clients made from librdkafka, by confluent-kafka, which the extra `librdkafka` installs.

It takes 1 us of CPU to read a record where kafka-python takes 4, and 4 to send one where it takes
10 (benchmarks/README.md).
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

import confluent_kafka as rd
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType

from transforms.errors import DeliveryError, KafkaSetupError, MessageTooLargeError
from transforms.kafka.clients.librdkafka_connect import ANSWER_SECONDS, accepted, connected, text_of
from transforms.kafka.clients.librdkafka_consumer import LibrdkafkaConsumer
from transforms.kafka.clients.protocols import Admin, Consumer, Message, Producer, Sender
from transforms.kafka.settings import (
    AWAY_SECONDS,
    BATCH_BYTES,
    MAX_MESSAGE_BYTES,
    KafkaSettings,
    refused,
    unreachable,
)

__all__ = ["accepted", "admin", "consumer", "create_topics", "producer"]


_ASK_SECONDS: Final = 5.0
_TOO_LARGE: Final = (rd.KafkaError.MSG_SIZE_TOO_LARGE, rd.KafkaError.RECORD_LIST_TOO_LARGE)


class LibrdkafkaProducer:
    """A `protocols.Producer`."""

    def __init__(self, settings: KafkaSettings, linger_ms: int) -> None:
        self.client = connected(
            rd.Producer,
            settings,
            {
                "batch.size": BATCH_BYTES,
                "linger.ms": linger_ms,
                "message.max.bytes": MAX_MESSAGE_BYTES,
                "message.timeout.ms": AWAY_SECONDS * 1000,
            },
            {
                "acks": "all",
                "enable.idempotence": True,
                # Callbacks are made of C where all went well.
                "delivery.report.only.error": True,
                # As Java's and kafka-python's, so that a user's partition is the same.
                "partitioner": "murmur2_random",
            },
        )

    def sender(self, topic: str) -> Sender:
        return LibrdkafkaSender(self.client, topic)

    def close(self) -> None:
        self.client.purge()
        self.client.flush(0)


class LibrdkafkaSender:
    """A `protocols.Sender`. `flush` waits for what others have sent until then, too."""

    def __init__(self, client: rd.Producer, topic: str) -> None:
        self._client = client
        self._topic = topic
        self._sent: list[Message] = []
        self._refused: list[int] = []
        self._too_large: set[tuple[bytes, bytes]] = set()
        self._failures: list[rd.KafkaError] = []

    def send(self, messages: Iterable[Message]) -> None:
        produce, topic, failed = self._client.produce, self._topic, self._failed
        messages = list(messages)
        start = len(self._sent)
        self._sent.extend(messages)
        try:
            for place, message in enumerate(messages, start):
                headers, time_ms = message.all_headers(), message.timestamp_ms() or 0
                while True:
                    try:
                        produce(
                            topic, message.value, message.key, -1, failed, None, time_ms, headers
                        )
                        break
                    except BufferError:
                        # Room comes with acknowledgements, or with what is given up.
                        self._client.poll(0.1)
                    except rd.KafkaException as e:
                        if e.args[0].code() not in _TOO_LARGE:
                            raise
                        self._refused.append(place)
                        break
            self._client.poll(0)
        except rd.KafkaException as e:
            raise DeliveryError(refused(topic, text_of(e))) from e

    def flush(self) -> None:
        left = self._client.flush(AWAY_SECONDS + 60)
        failures, self._failures = self._failures, []
        places = self._places()
        if failures:
            raise DeliveryError(refused(self._topic, failures[0].str()))
        if left:
            raise DeliveryError(refused(self._topic, f"{left} are still not acknowledged"))

        if places:
            msg = refused(self._topic, "it is too large")
            raise MessageTooLargeError(msg, places)

    def _places(self) -> list[int]:
        """Returns which messages were refused for their size; forgets what was sent."""
        sent, refused_at, too_large = self._sent, self._refused, self._too_large
        self._sent, self._refused, self._too_large = [], [], set()
        if too_large:
            # Equal ones count as refused, too, and are sent again.
            refused_at += [
                at for at, one in enumerate(sent) if (one.key or b"", one.value) in too_large
            ]
        return sorted(refused_at)

    def _failed(self, error: rd.KafkaError, message: Any) -> None:
        if error.code() in _TOO_LARGE:
            self._too_large.add((message.key() or b"", message.value() or b""))
        else:
            self._failures.append(error)


class LibrdkafkaAdmin:
    """A `protocols.Admin`."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._client = connected(AdminClient, settings, {}, {})

    def topic_ids(self, topics: Collection[str]) -> dict[str, str]:
        asked = rd.TopicCollection(list(topics))
        found = {}
        for topic, described in self._client.describe_topics(
            asked, request_timeout=_ASK_SECONDS
        ).items():
            try:
                found[topic] = _hexadecimal(described.result().topic_id)
            except rd.KafkaException as e:
                if e.args[0].code() != rd.KafkaError.UNKNOWN_TOPIC_OR_PART:
                    raise unreachable(self._settings, text_of(e)) from e
        return found

    def partition_counts(self, topics: Collection[str] | None) -> dict[str, int]:
        try:
            known = self._client.list_topics(timeout=_ASK_SECONDS).topics
        except rd.KafkaException as e:
            raise unreachable(self._settings, text_of(e)) from e
        wanted = known if topics is None else topics
        counts = {name: len(known[name].partitions) for name in wanted if name in known}
        return {name: count for name, count in counts.items() if count}

    def max_message_bytes(self, topic: str) -> int | None:
        asked = ConfigResource(ResourceType.TOPIC, topic)
        try:
            (described,) = self._client.describe_configs(
                [asked], request_timeout=_ASK_SECONDS
            ).values()
            return int(described.result()["max.message.bytes"].value)
        except (rd.KafkaException, KeyError, ValueError):
            return None

    def close(self) -> None:
        # It disconnects when nothing refers to it any more.
        del self._client


def _hexadecimal(topic_id: Any) -> str:
    """Returns an id as kafka-python writes it; one that is all zeros is none."""
    high, low = topic_id.get_most_significant_bits(), topic_id.get_least_significant_bits()
    number = (high % (1 << 64)) << 64 | low % (1 << 64)
    return str(uuid.UUID(int=number)) if number else ""


def consumer(settings: KafkaSettings, group: str | None) -> Consumer:
    """See `factory.consumer`."""
    return LibrdkafkaConsumer(settings, group)


def producer(settings: KafkaSettings, linger_ms: int) -> Producer:
    """See `factory.producer`."""
    return LibrdkafkaProducer(settings, linger_ms)


def admin(settings: KafkaSettings) -> Admin:
    """See `factory.admin`."""
    return LibrdkafkaAdmin(settings)


def create_topics(settings: KafkaSettings, topics: Mapping[str, int]) -> None:
    """Creates topics with so many partitions; one that has come up meanwhile is no error.

    Raises:
        KafkaSetupError: The broker cannot be reached, or refuses.
    """
    client = connected(AdminClient, settings, {}, {})
    try:
        wanted = [NewTopic(topic, num_partitions=count) for topic, count in topics.items()]
        for made in client.create_topics(wanted, operation_timeout=ANSWER_SECONDS).values():
            _created(made)
        _wait_for(client, topics)
    except rd.KafkaException as e:
        msg = f"cannot create the topic(s) {', '.join(topics)}: {text_of(e)}"
        raise KafkaSetupError(msg) from e


def _created(made: Any) -> None:
    try:
        made.result()
    except rd.KafkaException as e:
        if e.args[0].code() != rd.KafkaError.TOPIC_ALREADY_EXISTS:
            raise


def _wait_for(client: AdminClient, topics: Mapping[str, int]) -> None:
    """Returns when the brokers tell of the topics: they may do so a little after the creation."""
    deadline = time.monotonic() + ANSWER_SECONDS
    while time.monotonic() < deadline:
        known = client.list_topics(timeout=ANSWER_SECONDS).topics
        if all(known.get(topic) and known[topic].partitions for topic in topics):
            return
        time.sleep(0.05)
