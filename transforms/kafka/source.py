"""Topics to undecoded records."""

from __future__ import annotations

import time
import uuid
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import apache_beam as beam
from apache_beam.io.watermark_estimators import ManualWatermarkEstimator
from kafka import TopicPartition

from transforms.batches import RawBatch
from transforms.formats.detection import REQUEST_FORMAT, RecordFormat, format_of_messages
from transforms.kafka.clients.factory import admin, consumer, partitions_of
from transforms.kafka.consumer_pool import ConsumerPool, SourceKey
from transforms.kafka.partition_lease import Fetched
from transforms.kafka.partitions import KafkaPartition, spread_out
from transforms.kafka.settings import KafkaSettings
from transforms.runtime.flink_key_groups import KEY_GROUPS
from transforms.runtime.worker_context import WORKER
from transforms.splittable_read import (
    END,
    Chunk,
    Limits,
    PositionRange,
    PositionRangeProvider,
    ReadBudget,
    read_in_bounds,
)

START_OFFSETS: Final = ("earliest", "latest", "committed")
BATCH_RECORDS: Final = 1000
_IDLE_LAG_SECONDS: Final = 1.0


@dataclass
class ReadRatingsFromKafka(beam.PTransform):
    """Undecoded ratings of a topic, as `RawBatch`.

    Requests may come from a second topic. They are read by the same step, so that what comes
    out is one PCollection; their batches have the format `REQUEST_FORMAT`.

    Partitions and offsets are looked up when the pipeline is built; partitions that are added
    later are read after the next start.

    Parallelism: one reader for each partition.
    Delivery: each committed record once, in the order of its partition, on runners that
        checkpoint; aborted transactions never. Records that retention deleted before they were
        read give one dead letter.
    On failure: reading goes on from the runner's last checkpoint, not from group offsets; a
        broker that is away is waited for, ten minutes at most. A topic that is deleted, or deleted
        and created anew, fails the bundle.

    Attributes:
        settings: Of the brokers.
        topic: The topic's name.
        start_offset: `earliest`; `latest`, the end when the pipeline is built; or `committed`,
            the group's offsets, `earliest` where it has none.
        stop_at_end: Whether to end at the offsets that are the end when the pipeline is built.
        group: Whose offsets are committed when a bundle is final; None for nobody's.
        input_format: `json`, `avro` (single-object encoding), or `auto` for both.
        idle_seconds: How long a call waits at the end of a partition before it gives its
            thread back.
        request_topic: A topic of requests, read from and to the same kinds of offsets; empty
            for none.
        finalize_each: Whether to ask for each bundle to be told that it is final, as Prism
            needs, or only where there is an offset to commit, once a second. Flink tells at
            its checkpoints, of all that asked, and reads nothing meanwhile.
        key_groups: Flink's maximal parallelism, over which partitions are spread evenly.
    """

    settings: KafkaSettings
    topic: str
    start_offset: str = "earliest"
    stop_at_end: bool = False
    group: str | None = None
    input_format: str = "auto"
    idle_seconds: float = 1.0
    request_topic: str = ""
    finalize_each: bool = True
    key_groups: int = KEY_GROUPS
    record_format: RecordFormat = field(init=False)

    def __post_init__(self) -> None:
        """Raises ValueError for settings that can not work."""
        super().__init__()
        self.record_format = format_of_messages(self.input_format)
        if self.start_offset not in START_OFFSETS:
            msg = f"start_offset is {self.start_offset!r}, expected {', '.join(START_OFFSETS)}"
            raise ValueError(msg)
        if self.start_offset == "committed" and not self.group:
            msg = "start_offset committed needs a group"
            raise ValueError(msg)
        if self.request_topic == self.topic:
            msg = f"topic {self.topic!r} is to hold ratings and requests, expected one for each"
            raise ValueError(msg)

    def expand(self, root: beam.Pipeline) -> beam.PCollection[RawBatch]:
        """Adds the source.

        Raises:
            KafkaSetupError: The broker can not be reached, or a topic is missing.
        """
        do_fn = (_ReadToEndDoFn if self.stop_at_end else _ReadForEverDoFn)(self)
        return (
            root
            | "Partitions" >> beam.Create(self.partitions())
            | "Read" >> beam.ParDo(do_fn).with_output_types(RawBatch)
        )

    def partitions(self) -> list[KafkaPartition]:
        """Returns the partitions of all topics with the offsets that they have now.

        Raises:
            KafkaSetupError: The broker can not be reached, or a topic is missing.
        """
        client = consumer(self.settings, self.group)
        topics = [topic for topic in (self.topic, self.request_topic) if topic]
        try:
            found = [p for topic in topics for p in partitions_of(client, topic, self.settings)]
            first = client.beginning_offsets(found)
            end = client.end_offsets(found)
            start = end if self.start_offset == "latest" else first
            if self.start_offset == "committed":
                committed = client.committed(found)
                start = {p: first[p] if at is None else at for p, at in committed.items()}
        finally:
            client.close()
        asking = admin(self.settings)
        try:
            ids = asking.topic_ids(topics)
        finally:
            asking.close()
        elements = [
            KafkaPartition(
                partition.topic,
                partition.partition,
                PositionRange(
                    start[partition],
                    max(start[partition], end[partition]) if self.stop_at_end else END,
                ),
                topic_id=ids.get(partition.topic, ""),
            )
            for partition in found
        ]
        return spread_out(elements, self.key_groups)


class PartitionReader:
    """Reads one partition under a lease, as chunks of undecoded records.

    Args:
        source: What the records are.
        element: The partition.
        start: The first offset to read.
        key: Of the consumer that this source's readers share.
        pool: Where that is.
    """

    def __init__(
        self,
        source: ReadRatingsFromKafka,
        element: KafkaPartition,
        start: int,
        key: SourceKey,
        pool: ConsumerPool,
    ) -> None:
        self._element = element
        asks = element.topic == source.request_topic
        self._record_format = REQUEST_FORMAT if asks else source.record_format
        self._partition = TopicPartition(element.topic, element.partition)
        self._consumer = pool.consumer(key)
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
        source = f"{self._element.topic}-{self._element.partition}-"
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
            return Chunk(RawBatch(source, [], [], self._record_format), next_position, time=now)
        # A producer may claim any time, but none that has not come yet may move the watermark.
        times = [max(timestamp, 0) / 1000 for timestamp in records.timestamps]
        batch = RawBatch(
            source,
            records.offsets,
            records.values,
            self._record_format,
            published=times[0],
            keys=records.keys,
            headers=records.headers if any(records.headers) else (),
            times=times,
        )
        return Chunk(batch, next_position, time=min(times[-1], time.time()))

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


class _ReadDoFn(beam.DoFn):
    _budget: ReadBudget

    def __init__(self, source: ReadRatingsFromKafka) -> None:
        self._source = source
        # Made when the transform is applied: one transform may be applied twice.
        self._key = SourceKey(source.settings, source.group, uuid.uuid4().hex)

    def setup(self) -> None:
        WORKER.get(ConsumerPool).add_user(self._key)

    def teardown(self) -> None:
        WORKER.get(ConsumerPool).remove_user(self._key)

    def start_bundle(self) -> None:
        self._budget = ReadBudget(Limits(idle_seconds=self._source.idle_seconds))

    def read(
        self, element: KafkaPartition, finalizer: Any, tracker: Any, watermark: Any
    ) -> Iterator[Any]:
        """What both DoFns below do with a partition."""
        start = tracker.current_restriction().start
        pool = WORKER.get(ConsumerPool)
        with PartitionReader(self._source, element, start, self._key, pool) as reader:
            for batch, timestamp in read_in_bounds(reader, tracker, watermark, self._budget):
                yield beam.window.TimestampedValue(batch, timestamp)
            # After a deferral, what is left to this call ends where it stopped reading.
            last = reader.ends_at(tracker.current_restriction().stop)
        if self._source.group and (last or reader.commit_is_due()):
            finalizer.register(lambda: reader.commit(start, last=last))
        elif self._source.finalize_each:
            finalizer.register(_nothing)


def _nothing() -> None:
    pass


class _ReadToEndDoFn(_ReadDoFn):
    # Beam passes the tracker twice unless the finalizer stands before it.
    def process(
        self,
        element: KafkaPartition,
        finalizer: Any = beam.DoFn.BundleFinalizerParam,
        tracker: Any = beam.DoFn.RestrictionParam(PositionRangeProvider()),
        watermark: Any = beam.DoFn.WatermarkEstimatorParam(
            ManualWatermarkEstimator.default_provider()
        ),
    ) -> Iterator[Any]:
        yield from self.read(element, finalizer, tracker, watermark)


class _ReadForEverDoFn(_ReadDoFn):
    @beam.DoFn.unbounded_per_element()
    def process(
        self,
        element: KafkaPartition,
        finalizer: Any = beam.DoFn.BundleFinalizerParam,
        tracker: Any = beam.DoFn.RestrictionParam(PositionRangeProvider()),
        watermark: Any = beam.DoFn.WatermarkEstimatorParam(
            ManualWatermarkEstimator.default_provider()
        ),
    ) -> Iterator[Any]:
        yield from self.read(element, finalizer, tracker, watermark)
