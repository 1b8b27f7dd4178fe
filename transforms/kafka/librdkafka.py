"""The clients made from librdkafka, by confluent-kafka, which the extra `librdkafka` installs.

Measured against kafka-python on one core: a record is read in 1 us rather than 8, and sent in
4 to 6 rather than 12.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

import confluent_kafka as rd
from confluent_kafka.admin import AdminClient, NewTopic
from kafka import TopicPartition

from transforms.errors import DeliveryError, KafkaSetupError
from transforms.kafka.protocols import Consumer, Message, Polled, Producer, Records, Sender
from transforms.kafka.settings import (
    AWAY_SECONDS,
    BACKOFF_MS,
    BATCH_BYTES,
    CONNECT_SECONDS,
    LIBRDKAFKA,
    LINGER_MS,
    MAX_MESSAGE_BYTES,
    KafkaSettings,
    refused,
    unknown_property,
    unreachable,
)

_POLL_RECORDS: Final = 1000
_ANSWER_SECONDS: Final = 30.0
_NO_GROUP: Final = "flurs-beam-commits-nothing"
_UNKNOWN: Final = "No such configuration property"
# Below the logger that the program turns down for kafka-python.
_LOGGER: Final = logging.getLogger("kafka.librdkafka")


def accepted(properties: Mapping[str, str]) -> dict[str, Any]:
    """Returns the properties as they are, tried on a client.

    Raises:
        KafkaSetupError: librdkafka has no such setting, or not with such a value.
    """
    try:
        rd.Consumer({"group.id": _NO_GROUP, **_common(properties)}).close()
    except rd.KafkaException as e:
        text = _text(e)
        if text.startswith(_UNKNOWN):
            name = text.split('"')[1] if '"' in text else text
            raise unknown_property(name, LIBRDKAFKA) from e
        msg = f"the Kafka settings do not work with librdkafka: {text}"
        raise KafkaSetupError(msg) from e
    return dict(properties)


def _common(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "reconnect.backoff.max.ms": BACKOFF_MS,
        "logger": _LOGGER,
        **properties,
    }


def _text(error: rd.KafkaException) -> str:
    cause = error.args[0]
    return str(cause.str() if isinstance(cause, rd.KafkaError) else cause)


class _Troubles:
    """The latest error that a client has told of; a connection has no other way to say why."""

    def __init__(self) -> None:
        self.last = ""

    def note(self, error: rd.KafkaError) -> None:
        if error.code() != rd.KafkaError._ALL_BROKERS_DOWN or not self.last:
            self.last = error.str()
        _LOGGER.warning("%s", error.str())


def _connected(
    kind: Any, settings: KafkaSettings, defaults: Mapping[str, Any], fixed: Mapping[str, Any]
) -> Any:
    troubles = _Troubles()
    config = {
        **_common({**defaults, **dict(settings.properties)}),
        "bootstrap.servers": settings.bootstrap_servers,
        "error_cb": troubles.note,
        **fixed,
    }
    try:
        client = kind(config)
        client.list_topics(timeout=CONNECT_SECONDS)
    except rd.KafkaException as e:
        raise unreachable(settings, troubles.last or _text(e)) from e
    return client


class LibrdkafkaConsumer:
    """A `protocols.Consumer`."""

    def __init__(self, settings: KafkaSettings, group: str | None) -> None:
        self._settings = settings
        self._client = _connected(
            rd.Consumer,
            settings,
            {},
            {
                # It must have one, and joins none unless it subscribes.
                "group.id": group or _NO_GROUP,
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "auto.offset.reset": "error",
                "isolation.level": "read_committed",
                "allow.auto.create.topics": False,
                "enable.partition.eof": True,
                "on_commit": _log_commit,
            },
        )
        # Where the next record can be, and whether the broker has said that it has none.
        self._progress: dict[tuple[str, int], tuple[int, bool]] = {}
        self._held: set[TopicPartition] = set()
        self._failure: KafkaSetupError | None = None

    def partitions_for_topic(self, topic: str) -> list[int]:
        try:
            found = self._client.list_topics(topic, timeout=_ANSWER_SECONDS).topics[topic]
        except rd.KafkaException as e:
            raise unreachable(self._settings, _text(e)) from e
        return sorted(found.partitions)

    def beginning_offsets(
        self, partitions: Collection[TopicPartition]
    ) -> dict[TopicPartition, int]:
        return {partition: self._ends(partition)[0] for partition in partitions}

    def end_offsets(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        return {partition: self._ends(partition)[1] for partition in partitions}

    def _ends(self, partition: TopicPartition) -> tuple[int, int]:
        try:
            first, end = self._client.get_watermark_offsets(
                rd.TopicPartition(*partition), timeout=_ANSWER_SECONDS
            )
        except rd.KafkaException as e:
            raise unreachable(self._settings, _text(e)) from e
        return int(first), int(end)

    def committed(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int | None]:
        asked = [rd.TopicPartition(*partition) for partition in partitions]
        try:
            found = self._client.committed(asked, timeout=_ANSWER_SECONDS)
        except rd.KafkaException as e:
            raise unreachable(self._settings, _text(e)) from e
        return {
            TopicPartition(one.topic, one.partition): None if one.offset < 0 else one.offset
            for one in found
        }

    def stand_at(self, partition: TopicPartition, offset: int) -> None:
        # Neither `assign`, which would throw away what was fetched for the others, nor `seek`,
        # which fails until the first fetch has begun.
        if partition in self._progress:
            self.leave(partition)
        self._client.incremental_assign([rd.TopicPartition(*partition, offset)])
        self._progress[partition] = (offset, False)

    def leave(self, partition: TopicPartition) -> None:
        del self._progress[partition]
        self._held.discard(partition)
        self._client.incremental_unassign([rd.TopicPartition(*partition)])

    def hold(self, partitions: Collection[TopicPartition]) -> None:
        wanted = set(partitions)
        if wanted != self._held:
            self._client.pause([rd.TopicPartition(*one) for one in wanted - self._held])
            self._client.resume([rd.TopicPartition(*one) for one in self._held - wanted])
            self._held = wanted

    def poll(self, seconds: float) -> Polled:
        if self._failure:
            failure, self._failure = self._failure, None
            raise failure
        # `consume` with a timeout would wait until it has as many as it may return.
        messages = self._client.consume(_POLL_RECORDS, 0)
        if not messages and seconds > 0:
            first = self._client.poll(seconds)
            if first is not None:
                messages = [first, *self._client.consume(_POLL_RECORDS, 0)]
        found: dict[tuple[str, int], list[Any]] = {}
        ends: dict[tuple[str, int], int] = {}
        out_of_range = []
        for message in messages:
            partition = (message.topic(), message.partition())
            error = message.error()
            if error is None:
                found.setdefault(partition, []).append(message)
            elif error.code() == rd.KafkaError._PARTITION_EOF:
                ends[partition] = message.offset()
            elif error.code() == rd.KafkaError._AUTO_OFFSET_RESET:
                out_of_range.append(TopicPartition(*partition))
            else:
                self._complain(error)
        records = {
            TopicPartition(*partition): self._records(partition, of_one)
            for partition, of_one in found.items()
            if partition in self._progress
        }
        for partition, end in ends.items():
            if partition in self._progress:
                # Behind it there may be a record that came meanwhile.
                offset = self._progress[partition][0]
                self._progress[partition] = (max(offset, end), offset <= end)
        return Polled(records, out_of_range)

    def _records(self, partition: tuple[str, int], messages: list[Any]) -> Records:
        offsets = [message.offset() for message in messages]
        self._progress[partition] = (offsets[-1] + 1, False)
        return Records(
            offsets,
            [message.value() for message in messages],
            [message.timestamp()[1] for message in messages],
        )

    def _complain(self, error: rd.KafkaError) -> None:
        denied = error.code() == rd.KafkaError.TOPIC_AUTHORIZATION_FAILED
        if denied or error.fatal():
            # Raised by the next poll, as this one may have records.
            self._failure = unreachable(self._settings, error.str())
        else:
            _LOGGER.warning("%s", error.str())

    def progress(self, partition: TopicPartition) -> tuple[int, bool]:
        return self._progress[partition]

    def commit(self, partition: TopicPartition, offset: int, *, wait: bool) -> bool:
        # While the brokers are away, one that is waited for takes a minute.
        offsets = [rd.TopicPartition(*partition, offset)]
        try:
            self._client.commit(offsets=offsets, asynchronous=not wait)
        except rd.KafkaException as e:
            _log_commit(e.args[0], offsets)
            return False
        return True

    def close(self) -> None:
        self._client.close()


def _log_commit(error: rd.KafkaError | None, offsets: list[Any]) -> None:
    if error:
        _LOGGER.warning("Can not commit %s: %s", offsets, error.str())


class LibrdkafkaProducer:
    """A `protocols.Producer`."""

    def __init__(self, settings: KafkaSettings) -> None:
        self.client = _connected(
            rd.Producer,
            settings,
            {
                "batch.size": BATCH_BYTES,
                "linger.ms": LINGER_MS,
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
        self._failures: list[rd.KafkaError] = []

    def send(self, messages: Iterable[Message]) -> None:
        produce, topic, failed = self._client.produce, self._topic, self._failed
        try:
            for key, value, origin in messages:
                headers = [("origin", origin.encode())] if origin else None
                while True:
                    try:
                        produce(topic, value, key, -1, failed, None, 0, headers)
                        break
                    except BufferError:
                        # Room comes with acknowledgements, or with what is given up.
                        self._client.poll(0.1)
            self._client.poll(0)
        except rd.KafkaException as e:
            raise DeliveryError(refused(topic, _text(e))) from e

    def flush(self) -> None:
        left = self._client.flush(AWAY_SECONDS + 60)
        failures, self._failures = self._failures, []
        if failures:
            raise DeliveryError(refused(self._topic, failures[0].str()))
        if left:
            raise DeliveryError(refused(self._topic, f"{left} are still not acknowledged"))

    def _failed(self, error: rd.KafkaError, message: Any) -> None:
        self._failures.append(error)


def consumer(settings: KafkaSettings, group: str | None) -> Consumer:
    """See `client.consumer`."""
    return LibrdkafkaConsumer(settings, group)


def producer(settings: KafkaSettings) -> Producer:
    """See `client.producer`."""
    return LibrdkafkaProducer(settings)


def create_topics(settings: KafkaSettings, topics: Mapping[str, int]) -> None:
    """Creates topics with so many partitions; one that has come up meanwhile is no error.

    Raises:
        KafkaSetupError: The broker can not be reached, or refuses.
    """
    admin = _connected(AdminClient, settings, {}, {})
    try:
        wanted = [NewTopic(topic, num_partitions=count) for topic, count in topics.items()]
        for made in admin.create_topics(wanted, operation_timeout=_ANSWER_SECONDS).values():
            _created(made)
        _wait_for(admin, topics)
    except rd.KafkaException as e:
        msg = f"can not create the topic(s) {', '.join(topics)}: {_text(e)}"
        raise KafkaSetupError(msg) from e


def _created(made: Any) -> None:
    try:
        made.result()
    except rd.KafkaException as e:
        if e.args[0].code() != rd.KafkaError.TOPIC_ALREADY_EXISTS:
            raise


def _wait_for(admin: AdminClient, topics: Mapping[str, int]) -> None:
    """Returns when the brokers tell of the topics: they may do so a little after the creation."""
    deadline = time.monotonic() + _ANSWER_SECONDS
    while time.monotonic() < deadline:
        known = admin.list_topics(timeout=_ANSWER_SECONDS).topics
        if all(known.get(topic) and known[topic].partitions for topic in topics):
            return
        time.sleep(0.05)
