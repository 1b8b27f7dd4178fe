"""Topics to undecoded records."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import apache_beam as beam
import orjson
from apache_beam.coders import Coder, registry
from apache_beam.coders.coders import LengthPrefixCoder
from apache_beam.io.watermark_estimators import ManualWatermarkEstimator
from kafka import TopicPartition

from transforms.elements import RawBatch
from transforms.formats.detection import REQUEST_FORMAT, RecordFormat, format_of_messages
from transforms.kafka.client import consumer, partitions_of
from transforms.kafka.settings import KafkaSettings
from transforms.kafka.shared_consumer import Fetched, shared_consumer
from transforms.resumable_read import (
    END,
    Allowance,
    Chunk,
    Limits,
    PositionRange,
    PositionRangeProvider,
    read_in_bounds,
)
from transforms.sharding.key_groups import KEY_GROUPS, spreading

START_OFFSETS: Final = ("earliest", "latest", "committed")
BATCH_RECORDS: Final = 1000
_IDLE_LAG_SECONDS: Final = 1.0
_VERSION: Final = 2


class KafkaPartition(NamedTuple):
    """One partition to be read. A savepoint holds it, so brokers and passwords are not in it.

    Attributes:
        topic: The topic's name.
        partition: The partition's number.
        positions: Which offsets.
        salt: A number that spreads the partitions evenly, see `key_groups`.
    """

    topic: str
    partition: int
    positions: PositionRange
    salt: int = 0


class KafkaPartitionCoder(Coder):
    """A JSON document with a version: what savepoints hold, so it must not change."""

    def encode(self, value: KafkaPartition) -> bytes:
        """Returns the partition as bytes."""
        return orjson.dumps([_VERSION, value.topic, value.partition, *value.positions, value.salt])

    def decode(self, encoded: bytes) -> KafkaPartition:
        """Returns the partition that `encode` wrote."""
        _, topic, partition, start, stop, number = orjson.loads(encoded)
        return KafkaPartition(topic, partition, PositionRange(start, stop), number)

    def is_deterministic(self) -> bool:
        """Equal partitions have equal bytes."""
        return True


registry.register_coder(KafkaPartition, KafkaPartitionCoder)


def spread_out(
    partitions: Sequence[KafkaPartition], key_groups: int = KEY_GROUPS
) -> list[KafkaPartition]:
    """Returns the partitions with salts: Flink has each read by the subtask of its hash."""
    # As Flink sees what has a coder of our own.
    coder = LengthPrefixCoder(KafkaPartitionCoder())

    def salted(place: int, partition: KafkaPartition) -> KafkaPartition:
        def encode(number: int) -> bytes:
            encoded: bytes = coder.encode(partition._replace(salt=number))
            return encoded

        return partition._replace(salt=spreading(encode, place, len(partitions), key_groups))

    return [salted(place, partition) for place, partition in enumerate(partitions)]


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
        broker that is away is waited for.

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
        elements = [
            KafkaPartition(
                partition.topic,
                partition.partition,
                PositionRange(
                    start[partition],
                    max(start[partition], end[partition]) if self.stop_at_end else END,
                ),
            )
            for partition in found
        ]
        return spread_out(elements, self.key_groups)


class PartitionReader:
    """Reads one partition through the process's shared consumer."""

    def __init__(self, source: ReadRatingsFromKafka, element: KafkaPartition, start: int) -> None:
        self._element = element
        asks = element.topic == source.request_topic
        self._record_format = REQUEST_FORMAT if asks else source.record_format
        self._partition = TopicPartition(element.topic, element.partition)
        self._consumer = shared_consumer(source.settings, source.group)
        self._read_to = start

    @property
    def sources(self) -> int:
        """How many partitions this process reads."""
        return self._consumer.partitions

    def read(self, position: int, stop: int, wait_seconds: float) -> Chunk:
        """Returns the records that are there, or none after a wait."""
        limit = min(BATCH_RECORDS, stop - position)
        fetched = self._consumer.read(self._partition, position, limit, wait_seconds)
        source = f"{self._element.topic}-{self._element.partition}-"
        next_position = self._read_to = min(fetched.next_offset, stop)
        if next_position >= stop:
            self._consumer.release(self._partition)
        if fetched.lost:
            failure = (
                f"{fetched.lost} offset(s) from here on were deleted from the topic before"
                " they were read"
            )
            lost = RawBatch(source, [position], [None], None, failure=failure)
            return Chunk(lost, next_position)
        return self._chunk(source, fetched, next_position, stop)

    def _chunk(self, source: str, fetched: Fetched, next_position: int, stop: int) -> Chunk:
        offsets, values, timestamps = fetched.records
        if offsets and offsets[-1] >= stop:
            count = bisect_left(offsets, stop)
            offsets, values, timestamps = fetched.records.part(0, count)
        if not offsets:
            # Only at the end is it known that nothing older is on its way.
            now = time.time() - _IDLE_LAG_SECONDS if fetched.at_end else None
            return Chunk(RawBatch(source, [], [], self._record_format), next_position, time=now)
        # A producer may claim any time, but none that has not come yet may move the watermark.
        newest_seconds = min(max(timestamps[-1], 0) / 1000, time.time())
        published = max(timestamps[0], 0) / 1000
        batch = RawBatch(source, offsets, values, self._record_format, published)
        return Chunk(batch, next_position, time=newest_seconds)

    def is_last(self, range_end: int) -> bool:
        """Whether a range that ends there is the last one of the partition."""
        return range_end == self._element.positions.stop

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
    _allowance: Allowance

    def __init__(self, source: ReadRatingsFromKafka) -> None:
        self._source = source

    def start_bundle(self) -> None:
        self._allowance = Allowance(Limits(idle_seconds=self._source.idle_seconds))

    def read(
        self, element: KafkaPartition, finalizer: Any, tracker: Any, watermark: Any
    ) -> Iterator[Any]:
        """What both DoFns below do with a partition."""
        start = tracker.current_restriction().start
        reader = PartitionReader(self._source, element, start)
        for batch, timestamp in read_in_bounds(reader, tracker, watermark, self._allowance):
            yield beam.window.TimestampedValue(batch, timestamp)
        # After a deferral, what is left to this call ends where it stopped reading.
        last = reader.is_last(tracker.current_restriction().stop)
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
