"""Topics to undecoded records."""

from __future__ import annotations

import logging
import math
import uuid
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import apache_beam as beam
from apache_beam.io.watermark_estimators import ManualWatermarkEstimator

from transforms.batches import RawBatch
from transforms.errors import KafkaSetupError
from transforms.formats.detection import RecordFormat, format_of_messages
from transforms.kafka.added_partitions import KafkaRestrictionProvider
from transforms.kafka.clients.factory import admin, consumer, partitions_of
from transforms.kafka.clients.protocols import Admin
from transforms.kafka.consumer_pool import ConsumerPool, SourceKey
from transforms.kafka.partitions import ADDED, KafkaPartition, spread_out
from transforms.kafka.reader import AddedPartitionsReader, PartitionReader, ReadPlan
from transforms.kafka.settings import KafkaSettings
from transforms.kafka.start_offset import (
    COMMITTED,
    EXPORTED,
    StartOffset,
    first_offsets,
    require_same_topics,
    start_seconds,
)
from transforms.kafka.topics import TopicSelection
from transforms.runtime.flink_key_groups import KEY_GROUPS
from transforms.runtime.worker_context import WORKER
from transforms.splittable_read import END, Limits, PositionRange, ReadBudget, read_in_bounds

_LOGGER: Final = logging.getLogger(__name__)


@dataclass
class ReadRatingsFromKafka(beam.PTransform):
    """Undecoded ratings of topics, as `RawBatch`.

    Requests may come from a further topic. They are read by the same step, so that what comes
    out is one PCollection; their batches have the format `REQUEST_FORMAT`.

    Partitions and offsets are looked up when the pipeline is built. Unless the source stops at the
    end, partitions that are added later, and new topics that match a pattern, are read from their
    first records on, within a minute.

    Parallelism: one reader for each partition that exists when the pipeline is built; one for all
        that are added later.
    Delivery: each committed record once, in the order of its partition, on runners that
        checkpoint; aborted transactions never. Records that retention deleted before they were
        read give one dead letter.
    On failure: reading goes on from the runner's last checkpoint, not from group offsets; a
        broker that is away is waited for, ten minutes at most. A topic that is deleted, or deleted
        and created anew, fails the bundle.

    Attributes:
        settings: Of the brokers.
        topic: The topic's name; several, separated by commas; or a pattern, a regular expression
            that starts with `^` and matches the start of a name.
        start_offset: `earliest`; `latest`, the end when the pipeline is built; `committed`, the
            group's offsets, `earliest` where it has none; `exported`, those of `exported`; or a
            time in ISO 8601, for the first records of that time or later, `latest` where there is
            none.
        exported: By origin prefix, as `ratings-0-`, the offset behind what an exported model has
            learned of a partition. A partition that is missing was added since, and starts at
            its earliest offset. Requests start at the group's offset, else at the end.
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
        excluded_topics: Topics that the pattern does not mean, such as those that the job writes.
        exported_topics: For each shard of that model, the ids of the topics it has learned, by
            name. A topic of the same name with another id is refused: its offsets belong to other
            records.
        topic_ids: The ids of the topics of ratings, by name; set by `partitions`.
        starts: The start offset of each partition of ratings, by origin prefix; set likewise.
        idle_timeout: Ends the source when nothing has come for so many seconds; 0 for never. Only
            for runners with one worker, as each looks at what it reads itself.
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
    excluded_topics: Sequence[str] = ()
    idle_timeout: float = 0.0
    exported: Mapping[str, int] = field(default_factory=dict)
    exported_topics: Sequence[Mapping[str, str]] = ()
    record_format: RecordFormat = field(init=False)
    selection: TopicSelection = field(init=False)
    topic_ids: Mapping[str, str] = field(init=False, default_factory=dict)
    starts: Mapping[str, int] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        """Raises ValueError for settings that cannot work."""
        super().__init__()
        self.record_format = format_of_messages(self.input_format)
        asks = (self.request_topic,) if self.request_topic else ()
        self.selection = TopicSelection.parse(self.topic, (*self.excluded_topics, *asks))
        start_seconds(self.start_offset)
        if self.start_offset == COMMITTED and not self.group:
            msg = "start_offset committed needs a group"
            raise ValueError(msg)
        if self.request_topic in self.selection.names:
            name = self.request_topic
            msg = f"topic {name!r} is to hold ratings and requests, expected one for each"
            raise ValueError(msg)
        if not 0 <= self.idle_timeout < math.inf:
            msg = f"idle_timeout is {self.idle_timeout}, expected 0 or more seconds"
            raise ValueError(msg)

    def expand(self, root: beam.Pipeline) -> beam.PCollection[RawBatch]:
        """Returns the records; raises as `partitions` does."""
        # A runner spreads partitions by their hash before they are read. A reshuffle before that
        # would add a task on Flink whose bundle timer takes 0.02 of a core for ever.
        partitions = beam.Create(self.partitions(), reshuffle=False)
        return self.read_partitions(root | "Partitions" >> partitions)

    def read_partitions(
        self, partitions: beam.PCollection[KafkaPartition]
    ) -> beam.PCollection[RawBatch]:
        """Returns the records of partitions, which may come at any time."""
        do_fn = (_ReadToEndDoFn if self.stop_at_end else _ReadForEverDoFn)(self)
        return partitions | "Read" >> beam.ParDo(do_fn).with_output_types(RawBatch)

    def partitions(self) -> list[KafkaPartition]:
        """Returns the partitions of all topics with the offsets that they have now.

        The last element stands for partitions that are added later, unless the source stops at
        the end.

        Raises:
            KafkaSetupError: The broker cannot be reached, or a topic is missing.
        """
        asking = admin(self.settings)
        try:
            topics = self._topics(asking)
            ids = asking.topic_ids(topics) if topics else {}
        finally:
            asking.close()
        self.topic_ids = {name: one for name, one in ids.items() if name != self.request_topic}
        if self.start_offset == EXPORTED:
            require_same_topics(self.exported_topics, self.topic_ids)
        client = consumer(self.settings, self.group)
        try:
            found = [p for topic in topics for p in partitions_of(client, topic, self.settings)]
            end = client.end_offsets(found)
            at = StartOffset(self.start_offset, self.exported, self.request_topic)
            start = first_offsets(client, found, end, at, has_group=bool(self.group))
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
                topic_id=ids.get(partition.topic, ""),
            )
            for partition in found
        ]
        self.starts = {
            one.origin: one.positions.start for one in elements if one.topic != self.request_topic
        }
        spread = spread_out(elements, self.key_groups)
        if self.stop_at_end:
            return spread
        known = tuple(sorted(Counter(partition.topic for partition in found).items()))
        return [*spread, KafkaPartition(self.topic, ADDED, PositionRange(0), known=known)]

    def _topics(self, asking: Admin) -> list[str]:
        """Returns the topics to be read now.

        Raises:
            KafkaSetupError: A pattern matches none, and the source stops at the end.
        """
        topics = list(self.selection.names)
        if self.selection.pattern:
            topics = self.selection.of(asking.partition_counts(None))
            if not topics:
                msg = f"no topic at {self.settings.bootstrap_servers} matches {self.topic!r}"
                if self.stop_at_end:
                    raise KafkaSetupError(msg)
                _LOGGER.warning("%s; new topics are read when they match", msg)
            else:
                _LOGGER.warning("%s matches %s", self.topic, ", ".join(topics))
        return [*topics, self.request_topic] if self.request_topic else topics


class ReadDoFn(beam.DoFn):
    """What all DoFns that read partitions have in common.

    Args:
        source: What is read.
    """

    _budget: ReadBudget

    def __init__(self, source: ReadRatingsFromKafka) -> None:
        self._source = source
        asks = (source.request_topic,) if source.request_topic else ()
        # The key is made when the transform is applied: one transform may be applied twice.
        self._plan = ReadPlan(
            SourceKey(source.settings, source.group, uuid.uuid4().hex),
            source.selection._replace(names=(*source.selection.names, *asks)),
            source.record_format,
            source.request_topic,
            source.idle_timeout,
        )

    def setup(self) -> None:
        """Keeps the source's consumer open."""
        WORKER.get(ConsumerPool).add_user(self._plan.key)

    def teardown(self) -> None:
        """Closes the source's consumer if nobody else uses it."""
        WORKER.get(ConsumerPool).remove_user(self._plan.key)

    def start_bundle(self) -> None:
        """Starts a budget that the bundle's partitions share."""
        self._budget = ReadBudget(Limits(idle_seconds=self._source.idle_seconds))

    def read(
        self, element: KafkaPartition, finalizer: Any, tracker: Any, watermark: Any
    ) -> Iterator[Any]:
        """What both DoFns below do with an element."""
        read = self._read_added if element.adds else self._read_partition
        commit = yield from read(element, tracker, watermark)
        if commit is not None:
            finalizer.register(commit)
        elif self._source.finalize_each:
            finalizer.register(_nothing)

    def _read_partition(
        self, element: KafkaPartition, tracker: Any, watermark: Any
    ) -> Generator[Any, None, Callable[[], None] | None]:
        """Returns what commits the group's offset, if that is due."""
        start = tracker.current_restriction().start
        with PartitionReader(self._plan, element, start) as reader:
            for batch, timestamp in read_in_bounds(reader, tracker, watermark, self._budget):
                yield beam.window.TimestampedValue(batch, timestamp)
            reader.report_lag()
            # After a deferral, what is left to this call ends where it stopped reading.
            last = reader.ends_at(tracker.current_restriction().stop)
        if self._source.group and (last or reader.commit_is_due()):
            return lambda: reader.commit(start, last=last)
        return None

    def _read_added(
        self, element: KafkaPartition, tracker: Any, watermark: Any
    ) -> Generator[Any, None, Callable[[], None] | None]:
        """Returns what commits the group's offsets of added partitions, if any is due."""
        reader = AddedPartitionsReader(self._plan, dict(element.known))
        for batch, timestamp in reader.read(tracker, watermark, self._budget):
            yield beam.window.TimestampedValue(batch, timestamp)
        return reader.commit if self._source.group and reader.commit_is_due() else None


def _nothing() -> None:
    pass


class _ReadToEndDoFn(ReadDoFn):
    # Beam passes the tracker twice unless the finalizer stands before it.
    def process(
        self,
        element: KafkaPartition,
        finalizer: Any = beam.DoFn.BundleFinalizerParam,
        tracker: Any = beam.DoFn.RestrictionParam(KafkaRestrictionProvider()),
        watermark: Any = beam.DoFn.WatermarkEstimatorParam(
            ManualWatermarkEstimator.default_provider()
        ),
    ) -> Iterator[Any]:
        yield from self.read(element, finalizer, tracker, watermark)


class _ReadForEverDoFn(ReadDoFn):
    @beam.DoFn.unbounded_per_element()
    def process(
        self,
        element: KafkaPartition,
        finalizer: Any = beam.DoFn.BundleFinalizerParam,
        tracker: Any = beam.DoFn.RestrictionParam(KafkaRestrictionProvider()),
        watermark: Any = beam.DoFn.WatermarkEstimatorParam(
            ManualWatermarkEstimator.default_provider()
        ),
    ) -> Iterator[Any]:
        yield from self.read(element, finalizer, tracker, watermark)
