"""The consumer made from librdkafka."""

from __future__ import annotations

import threading
from collections.abc import Collection
from operator import itemgetter
from typing import Any, Final

import confluent_kafka as rd
from kafka import TopicPartition

from transforms.errors import KafkaSetupError
from transforms.kafka.clients.librdkafka_connect import (
    ANSWER_SECONDS,
    LOGGER,
    NO_GROUP,
    connected,
    text_of,
)
from transforms.kafka.clients.protocols import Polled, Records, record_headers
from transforms.kafka.settings import KafkaSettings, unreachable

_POLL_RECORDS: Final = 10_000
# Of one partition, as `consume` gives them; more objects at once cost the garbage collector time.
_CONSUME_RECORDS: Final = 1000
_CLOSE_SECONDS: Final = 5.0
_BACKOFF_MS: Final = 10
# Mapped over messages, which costs half of a comprehension that calls them.
_TOPIC, _PARTITION, _ERROR = rd.Message.topic, rd.Message.partition, rd.Message.error
_OFFSET, _TIMESTAMP, _HEADERS = rd.Message.offset, rd.Message.timestamp, rd.Message.headers
_KEY, _VALUE = rd.Message.key, rd.Message.value
# Of what kind the timestamp is comes first.
_MILLISECONDS: Final = itemgetter(1)


class LibrdkafkaConsumer:
    """A `protocols.Consumer`."""

    def __init__(self, settings: KafkaSettings, group: str | None) -> None:
        self._settings = settings
        self._client = connected(
            rd.Consumer,
            settings,
            # With its own 1000 the queue runs dry before it fetches again.
            {"fetch.queue.backoff.ms": _BACKOFF_MS},
            {
                # It must have one, and joins none unless it subscribes.
                "group.id": group or NO_GROUP,
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
        self._paused: set[TopicPartition] = set()
        self._failure: KafkaSetupError | None = None

    def partitions_for_topic(self, topic: str) -> list[int]:
        try:
            found = self._client.list_topics(topic, timeout=ANSWER_SECONDS).topics[topic]
        except rd.KafkaException as e:
            raise unreachable(self._settings, text_of(e)) from e
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
                rd.TopicPartition(*partition), timeout=ANSWER_SECONDS
            )
        except rd.KafkaException as e:
            raise unreachable(self._settings, text_of(e)) from e
        return int(first), int(end)

    def offsets_at(
        self, partitions: Collection[TopicPartition], seconds: float
    ) -> dict[TopicPartition, int | None]:
        asked = [rd.TopicPartition(*one, round(seconds * 1000)) for one in partitions]
        try:
            found = self._client.offsets_for_times(asked, timeout=ANSWER_SECONDS)
        except rd.KafkaException as e:
            raise unreachable(self._settings, text_of(e)) from e
        return {
            TopicPartition(one.topic, one.partition): None if one.offset < 0 else one.offset
            for one in found
        }

    def committed(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int | None]:
        asked = [rd.TopicPartition(*partition) for partition in partitions]
        try:
            found = self._client.committed(asked, timeout=ANSWER_SECONDS)
        except rd.KafkaException as e:
            raise unreachable(self._settings, text_of(e)) from e
        return {
            TopicPartition(one.topic, one.partition): None if one.offset < 0 else one.offset
            for one in found
        }

    def seek(self, partition: TopicPartition, offset: int) -> None:
        # Neither `assign`, which would throw away what was fetched for the others, nor `seek`,
        # which fails until the first fetch has begun.
        if partition in self._progress:
            self.unassign(partition)
        self._client.incremental_assign([rd.TopicPartition(*partition, offset)])
        self._progress[partition] = (offset, False)

    def unassign(self, partition: TopicPartition) -> None:
        del self._progress[partition]
        self._paused.discard(partition)
        self._client.incremental_unassign([rd.TopicPartition(*partition)])

    def pause(self, partitions: Collection[TopicPartition]) -> None:
        wanted = set(partitions)
        if wanted != self._paused:
            self._client.pause([rd.TopicPartition(*one) for one in wanted - self._paused])
            self._client.resume([rd.TopicPartition(*one) for one in self._paused - wanted])
            self._paused = wanted

    def poll(self, seconds: float) -> Polled:
        if self._failure:
            failure, self._failure = self._failure, None
            raise failure
        columns: dict[TopicPartition, Records] = {}
        out_of_range: set[TopicPartition] = set()
        # `consume` with a timeout would wait until it has as many as it may return.
        messages = self._client.consume(_CONSUME_RECORDS, 0)
        if not messages and seconds > 0:
            first = self._client.poll(seconds)
            messages = [] if first is None else [first]
        left = _POLL_RECORDS
        while messages:
            self._take(messages, columns, out_of_range)
            left -= len(messages)
            messages = self._client.consume(_CONSUME_RECORDS, 0) if left > 0 else []
        return Polled(columns, out_of_range)

    def _take(
        self,
        messages: list[Any],
        columns: dict[TopicPartition, Records],
        out_of_range: set[TopicPartition],
    ) -> None:
        partitions = list(zip(map(_TOPIC, messages), map(_PARTITION, messages), strict=True))
        errors = list(map(_ERROR, messages))
        if len(set(partitions)) == 1 and not [error for error in errors if error is not None]:
            self._keep(partitions[0], messages, columns)
            return
        found: dict[tuple[str, int], list[Any]] = {}
        ends: dict[tuple[str, int], int] = {}
        for partition, error, message in zip(partitions, errors, messages, strict=True):
            if error is None:
                found.setdefault(partition, []).append(message)
            elif error.code() == rd.KafkaError._PARTITION_EOF:
                ends[partition] = message.offset()
            elif error.code() == rd.KafkaError._AUTO_OFFSET_RESET:
                out_of_range.add(TopicPartition(*partition))
            else:
                self._complain(error)
        for partition, of_one in found.items():
            self._keep(partition, of_one, columns)
        for partition, end in ends.items():
            if partition in self._progress:
                # Behind it there may be a record that came meanwhile.
                offset = self._progress[partition][0]
                self._progress[partition] = (max(offset, end), offset <= end)

    def _keep(
        self,
        partition: tuple[str, int],
        messages: list[Any],
        columns: dict[TopicPartition, Records],
    ) -> None:
        """Adds records of one partition, if it is still assigned."""
        if partition not in self._progress:
            return
        offsets = list(map(_OFFSET, messages))
        self._progress[partition] = (offsets[-1] + 1, False)
        sent = list(map(_HEADERS, messages))
        records = Records(
            offsets,
            list(map(_VALUE, messages)),
            list(map(_MILLISECONDS, map(_TIMESTAMP, messages))),
            list(map(_KEY, messages)),
            [record_headers(one) if one else () for one in sent] if any(sent) else [()] * len(sent),
        )
        which = TopicPartition(*partition)
        if which in columns:
            columns[which].extend(records)
        else:
            columns[which] = records

    def _complain(self, error: rd.KafkaError) -> None:
        denied = error.code() == rd.KafkaError.TOPIC_AUTHORIZATION_FAILED
        if denied or error.fatal():
            # Raised by the next poll, as this one may have records.
            self._failure = unreachable(self._settings, error.str())
        else:
            LOGGER.warning("%s", error.str())

    def known_end(self, partition: TopicPartition) -> int | None:
        asked = rd.TopicPartition(*partition)
        _, end = self._client.get_watermark_offsets(asked, cached=True)
        return int(end) if end >= 0 else None

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
        # While the brokers are away it waits for its last commit to be answered, for minutes.
        closing = threading.Thread(target=self._client.close, name="kafka-close", daemon=True)
        closing.start()
        closing.join(_CLOSE_SECONDS)


def _log_commit(error: rd.KafkaError | None, offsets: list[Any]) -> None:
    if error:
        LOGGER.warning("Cannot commit %s: %s", offsets, error.str())
