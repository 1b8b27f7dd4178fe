"""Readers of the Kafka source: one partition, or all that were added while the job runs."""

from __future__ import annotations

import contextlib
import logging
import time
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from apache_beam.utils.timestamp import Timestamp
from kafka import TopicPartition

from transforms.batches import RawBatch
from transforms.formats.detection import REQUEST_FORMAT, RecordFormat
from transforms.kafka.added_partitions import AddedPartition
from transforms.kafka.consumer_pool import ConsumerPool, SourceKey
from transforms.kafka.lag import Lags
from transforms.kafka.partition_consumer import PartitionConsumer
from transforms.kafka.partition_lease import Fetched
from transforms.kafka.partitions import KafkaPartition
from transforms.kafka.topics import TopicSelection
from transforms.runtime.worker_context import WORKER
from transforms.splittable_read import (
    END,
    Chunk,
    PositionRange,
    ReadBudget,
    emitted,
    is_stopping,
)

BATCH_RECORDS: Final = 1000
_IDLE_LAG_SECONDS: Final = 1.0
_LOGGER: Final = logging.getLogger(__name__)


class ReadPlan(NamedTuple):
    """What readers need to know of their source.

    Attributes:
        key: Of the consumer that this source's readers share.
        selection: The topics.
        record_format: Of the records.
        request_topic: The topic whose records are requests; empty for none.
        idle_timeout: After so many seconds without a record a partition counts as read to its
            end; 0 for never.
    """

    key: SourceKey
    selection: TopicSelection
    record_format: RecordFormat
    request_topic: str = ""
    idle_timeout: float = 0.0

    def is_over(self, consumer: PartitionConsumer) -> bool:
        """Whether nothing has come for so long that reading ends."""
        return 0 < self.idle_timeout < consumer.idle_seconds


class PartitionReader:
    """Reads one partition under a lease, as chunks of undecoded records.

    Args:
        plan: Of the source.
        element: The partition.
        start: The first offset to read.
    """

    def __init__(self, plan: ReadPlan, element: KafkaPartition, start: int) -> None:
        self._element = element
        asks = element.topic == plan.request_topic
        self._record_format = REQUEST_FORMAT if asks else plan.record_format
        self._plan = plan
        self._partition = TopicPartition(element.topic, element.partition)
        self._consumer = WORKER.get(ConsumerPool).consumer(plan.key)
        self._consumer.require_topic(element.topic, element.topic_id)
        self._lease = self._consumer.lease(self._partition, start)
        self._read_to = start

    def __enter__(self) -> PartitionReader:
        return self

    def __exit__(self, *exception: object) -> None:
        self._lease.close()

    @property
    def sources(self) -> int:
        """Number of partitions that this source reads in this process."""
        return self._consumer.partitions

    def read(self, position: int, stop: int, wait_seconds: float) -> Chunk:
        """Returns the next records, or none after a wait; `position` is that of the lease."""
        limit = min(BATCH_RECORDS, stop - position)
        fetched = self._lease.read(limit, wait_seconds)
        source = self._element.origin
        next_position = self._read_to = min(fetched.next_offset, stop)
        if fetched.lost:
            failure = (
                f"{fetched.lost} offset(s) from here on were deleted from the topic before"
                " they were read"
            )
            lost = RawBatch(source, [position], [None], None, failure=failure)
            return Chunk(lost, next_position)
        return self._chunk(source, fetched, next_position, stop)

    def _chunk(self, source: str, fetched: Fetched, next_position: int, stop: int) -> Chunk:
        records = fetched.records
        if records.offsets and records.offsets[-1] >= stop:
            records = records.part(0, bisect_left(records.offsets, stop))
        if not records.offsets:
            # Only at the end is it known that nothing older is on its way.
            now = time.time() - _IDLE_LAG_SECONDS if fetched.at_end else None
            ended = self._plan.is_over(self._consumer)
            empty = RawBatch(source, [], [], self._record_format)
            return Chunk(empty, next_position, exhausted=ended, time=now)
        times = records.timestamps
        if min(times) < 0:  # That of a record without one is -1.
            times = [max(time_ms, 0) for time_ms in times]
        batch = RawBatch(
            source,
            records.offsets,
            records.values,
            self._record_format,
            published=times[0] / 1000,
            keys=records.keys,
            headers=records.headers if any(records.headers) else (),
            times_ms=times,
        )
        # A producer may claim any time, but none that has not come yet may move the watermark.
        return Chunk(batch, next_position, time=min(times[-1] / 1000, time.time()))

    def report_lag(self) -> None:
        """Sets the metric; called by the step that reads, before `ends_at`."""
        end = self._consumer.known_end(self._partition)
        if end is not None:
            WORKER.get(Lags).report(self._partition, self._read_to, end)

    def ends_at(self, range_end: int) -> bool:
        """Returns whether a range that ends there is the partition's last; it is left then."""
        last = range_end == self._element.positions.stop
        if last:
            self._lease.unassign()
        return last

    def commit_is_due(self) -> bool:
        """Whether the partition's last commit was asked for a second ago; counts as one if so."""
        return self._consumer.commit_is_due(self._partition)

    def commit(self, start: int, *, last: bool) -> None:
        """Commits where a bundle that is now final began; after the last one, its end.

        Some runners call a bundle final before its records have gone through what comes after
        it. What stands before the bundle has, so a restart from committed offsets repeats a
        little rather than leave something out.
        """
        self._consumer.commit(self._partition, self._read_to if last else start, final=last)


class AddedPartitionsReader:
    """Reads all partitions that were added since the job was first started, in turns.

    Args:
        plan: Of the source.
        known: How many partitions each topic had then.
    """

    def __init__(self, plan: ReadPlan, known: Mapping[str, int]) -> None:
        self._plan = plan
        self._known = known
        self._consumer = WORKER.get(ConsumerPool).consumer(plan.key)
        self._readers: list[tuple[PartitionReader, int]] = []
        self._due: list[tuple[PartitionReader, int]] = []

    def read(
        self, tracker: Any, watermark: Any, budget: ReadBudget
    ) -> Iterator[tuple[RawBatch, Timestamp]]:
        """Yields batches with their Beam timestamps; claims them, and defers what is left.

        Args:
            tracker: The DoFn's view of an `AddedPartitionsTracker`.
            watermark: A manual watermark estimator.
            budget: Of this bundle.
        """
        at = {(one.topic, one.partition): one for one in tracker.current_restriction().partitions}
        for new in self._new(at):
            if not tracker.try_claim(new):
                return
            at[new.topic, new.partition] = new
        with contextlib.ExitStack() as stack:
            for key, one in at.items():
                element = KafkaPartition(*key, PositionRange(one.position), topic_id=one.topic_id)
                reader = stack.enter_context(PartitionReader(self._plan, element, one.position))
                self._readers.append((reader, one.position))
            start = time.monotonic()
            total, waited = 0, False
            while True:
                read = 0
                for (key, one), (reader, _) in zip(list(at.items()), self._readers, strict=True):
                    chunk = reader.read(one.position, END, 0.0)
                    at[key] = one._replace(position=chunk.next_position)
                    if not tracker.try_claim(at[key]):
                        return
                    yield from emitted(chunk, watermark)
                    read += len(chunk.batch)
                if not at:
                    # Nothing older is on its way, and the step's other elements must not wait.
                    yield from emitted(_nothing_until_now(), watermark)
                total += read
                budget.note(read)
                if is_stopping() or (not read and self._plan.is_over(self._consumer)):
                    tracker.try_claim(None)
                    return
                for reader, _ in self._readers:
                    reader.report_lag()
                records, seconds = budget.share(self._consumer.partitions)
                enough = total >= records or time.monotonic() - start >= seconds
                if enough or (waited and not read):
                    tracker.defer_remainder()
                    return
                if not read:
                    self._consumer.wait(budget.poll_timeout(), BATCH_RECORDS)
                    waited = True

    def commit_is_due(self) -> bool:
        """Whether the last commit of any of the partitions was asked for a second ago."""
        self._due = [one for one in self._readers if one[0].commit_is_due()]
        return bool(self._due)

    def commit(self) -> None:
        """Commits where a bundle that is now final began, for the partitions that are due."""
        for reader, start in self._due:
            reader.commit(start, last=False)

    def _new(self, at: Mapping[tuple[str, int], AddedPartition]) -> Iterator[AddedPartition]:
        """Yields the partitions that nobody reads yet, from their first records on."""
        for topic, count in self._consumer.discover(self._plan.selection).items():
            for number in range(self._known.get(topic, 0), count):
                if (topic, number) not in at:
                    self._consumer.require_topic(topic, "")
                    _LOGGER.warning("Partition %s-%d was added; reading it, too", topic, number)
                    yield AddedPartition(topic, number, 0, self._consumer.topic_id(topic))


def _nothing_until_now() -> Chunk:
    batch = RawBatch("", [], [], None)
    return Chunk(batch, 0, time=time.time() - _IDLE_LAG_SECONDS)
