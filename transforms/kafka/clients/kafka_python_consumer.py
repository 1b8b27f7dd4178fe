"""The consumer made from kafka-python."""

from __future__ import annotations

import logging
from collections.abc import Collection
from typing import Any, Final

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError, LogTruncationError, OffsetOutOfRangeError
from kafka.structs import OffsetAndMetadata

from transforms.kafka.clients.kafka_python_connect import connected
from transforms.kafka.clients.protocols import Polled, Records, record_headers
from transforms.kafka.settings import KafkaSettings

_POLL_RECORDS: Final = 10_000
_ANSWER_MS: Final = 30_000
_LOGGER: Final = logging.getLogger(__name__)


class KafkaPythonConsumer:
    """A `protocols.Consumer`; errors of the brokers come as kafka-python's."""

    def __init__(self, settings: KafkaSettings, group: str | None) -> None:
        self._client = connected(
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

    def offsets_at(
        self, partitions: Collection[TopicPartition], seconds: float
    ) -> dict[TopicPartition, int | None]:
        asked = dict.fromkeys(partitions, round(seconds * 1000))
        found = self._client.offsets_for_times(asked)
        return {one: None if at is None else at.offset for one, at in found.items()}

    def committed(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int | None]:
        return {
            partition: self._client.committed(partition, timeout_ms=_ANSWER_MS)
            for partition in partitions
        }

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

    def known_end(self, partition: TopicPartition) -> int | None:
        end: int | None = self._client.highwater(partition)
        return end

    def progress(self, partition: TopicPartition) -> tuple[int, bool]:
        offset = self._client.position(partition, timeout_ms=1000) or 0
        end = self._client.highwater(partition)
        return offset, end is not None and offset >= end

    def commit(self, partition: TopicPartition, offset: int, *, wait: bool) -> bool:
        try:
            self._client.commit({partition: OffsetAndMetadata(offset, "", -1)}, 10_000)
        except KafkaError as e:
            _LOGGER.warning("Cannot commit offset %d of %s: %s", offset, partition, e)
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
