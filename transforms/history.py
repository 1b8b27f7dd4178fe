"""History first, then the stream: files to their end, and then a topic, in one job.

The topic waits until the last record of the files has gone through the whole graph. Where there are
many workers, its partitions are elements that the reader of the files emits then, so nobody reads
them before. They are part of the element that names the files: start offsets are those of the job's
start, even after a savepoint in the midst of the files, and there is no gap. A runner in one
process may give nothing of a second source before the first one ends; there all are elements of one
source, and the readers of the partitions wait for that of the files.
"""

from __future__ import annotations

import uuid
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, cast

import apache_beam as beam
import orjson
from apache_beam.coders import Coder, registry
from apache_beam.io.watermark_estimators import ManualWatermarkEstimator
from apache_beam.utils.timestamp import Duration

from transforms.batches import RawBatch
from transforms.file_reader import Files, FilesCoder, OpenReaders
from transforms.formats.mapping import RecordMapping
from transforms.handoff import Handoffs, HistoryReader
from transforms.kafka.added_partitions import KafkaRestrictionProvider
from transforms.kafka.partitions import KafkaPartition, KafkaPartitionCoder
from transforms.kafka.source import ReadDoFn, ReadRatingsFromKafka
from transforms.read_files import ReadRatingsFromFiles
from transforms.runtime.worker_context import WORKER
from transforms.splittable_read import (
    Limits,
    PositionRange,
    PositionRangeProvider,
    ReadBudget,
    is_stopping,
    read_in_bounds,
    require_version,
)

_VERSION: Final = 1
_PARTITIONS: Final = "partitions"
_LOOK_AGAIN: Final = Duration(seconds=0.2)


class History(NamedTuple):
    """Files, and what is read after them; or only one partition.

    Attributes:
        files: The files; None for a partition that is an element by itself.
        partitions: Of the topic, with the offsets to start at.
    """

    files: Files | None
    partitions: tuple[KafkaPartition, ...] = ()

    @property
    def positions(self) -> PositionRange:
        """Which records of the files, or of the only partition."""
        return self.files.positions if self.files else self.partitions[0].positions

    @property
    def adds(self) -> bool:
        """Whether this is only the element of partitions that are added later."""
        return self.files is None and self.partitions[0].adds


class HistoryCoder(Coder):
    """A JSON document with a version: what savepoints hold, so it must not change."""

    def encode(self, value: History) -> bytes:
        """Returns the history as bytes."""
        partitions = [KafkaPartitionCoder().encode(one).decode() for one in value.partitions]
        files = FilesCoder().encode(value.files).decode() if value.files else None
        return orjson.dumps([_VERSION, files, partitions])

    def decode(self, encoded: bytes) -> History:
        """Returns the history that `encode` wrote.

        Raises:
            IncompatibleStateError: Another version wrote it.
        """
        document = orjson.loads(encoded)
        require_version("history", document, _VERSION)
        _, files, partitions = document
        decode = KafkaPartitionCoder().decode
        return History(
            FilesCoder().decode(files.encode()) if files else None,
            tuple(decode(one.encode()) for one in partitions),
        )

    def is_deterministic(self) -> bool:
        """Equal histories have equal bytes."""
        return True


registry.register_coder(History, HistoryCoder)


class HistoryRestrictionProvider(KafkaRestrictionProvider):
    """Restrictions of files and of partitions, where all are elements of one source."""

    def restriction_size(self, element: Any, restriction: Any) -> int:
        """Returns how many records are left; an unknown number of a file's counts as 1."""
        if element.files is None:
            return super().restriction_size(element.partitions[0], restriction)
        return int(PositionRangeProvider().restriction_size(element, restriction))


@dataclass
class ReadHistoryThenTopic(beam.PTransform):
    """Undecoded ratings of files, and when those have been learned, of a topic, as `RawBatch`.

    Requests of a request topic are read from the start on.

    Parallelism: one reader for the files, then one for each partition.
    Delivery: as `ReadRatingsFromFiles` and `ReadRatingsFromKafka`; the topic is read from what was
        its start offset when the pipeline was built.
    On failure: as they do, wherever it happens. Whatever the failure, no rating of the topic is
        learned before the last one of the files, if the runner's checkpoints are aligned.

    Attributes:
        files: The history.
        topic: What follows.
        in_process: Whether one process does all the work, as on the DirectRunner.
    """

    files: ReadRatingsFromFiles
    topic: ReadRatingsFromKafka
    in_process: bool = False

    def __post_init__(self) -> None:
        """Initializes the base class."""
        super().__init__()

    def expand(self, root: beam.Pipeline) -> beam.PCollection[RawBatch]:
        """Returns the batches.

        Raises:
            FileNotFoundError: Nothing matches the pattern.
            UnsupportedFormatError: The first file is not of the format, or of none.
            OSError: The first file cannot be opened.
            KafkaSetupError: The broker cannot be reached, or a topic is missing.
        """
        partitions = self.topic.partitions()
        files = self.files.files()
        if self.in_process:
            elements = [History(files), *(History(None, (one,)) for one in partitions)]
            read = beam.ParDo(_ReadInProcessDoFn(self.topic, self.files.mapping))
            typed_read = read.with_output_types(RawBatch)
            return root | "History" >> beam.Create(elements) | "Read" >> typed_read
        requests = [one for one in partitions if one.topic == self.topic.request_topic]
        ratings = tuple(one for one in partitions if one.topic != self.topic.request_topic)
        do_fn = _ReadHistoryDoFn(self.files.mapping, finalize_each=self.topic.finalize_each)
        past = (
            root
            | "History" >> beam.Create([History(files, ratings)])
            | "ReadFiles" >> beam.ParDo(do_fn).with_outputs(_PARTITIONS, main="ratings")
        )
        typed = beam.Map(_same).with_output_types(KafkaPartition)
        released = past[_PARTITIONS] | "TypePartitions" >> typed
        if requests:
            asked = root | "Requests" >> beam.Create(requests)
            released = (released, asked) | "Partitions" >> beam.Flatten()
        # Else Flink would have one subtask read all that one bundle emits.
        spread = released | "Spread" >> beam.Reshuffle()
        ratings_read = past.ratings | "TypeRatings" >> beam.Map(_same).with_output_types(RawBatch)
        stream = self.topic.read_partitions(spread)
        return (ratings_read, stream) | "HistoryThenTopic" >> beam.Flatten()


def _same(element: Any) -> Any:
    return element


def _read_files(
    files: Files,
    mapping: RecordMapping,
    scope: str,
    finalizer: Any,
    tracker: Any,
    watermark: Any,
    *,
    finalize_each: bool,
) -> Generator[Any, None, bool]:
    """Yields the next batches; returns whether the files were handed over."""
    open_readers = WORKER.get(OpenReaders)
    inner = open_readers.pop(files, tracker.current_restriction().start, mapping)
    # Runners that finalize each bundle do so between two calls, never within one.
    reader = HistoryReader(inner, scope, files, patient=not finalize_each)
    for batch, timestamp in read_in_bounds(reader, tracker, watermark, ReadBudget(Limits())):
        yield beam.window.TimestampedValue(batch, timestamp)
    if not (reader.handed_over or is_stopping()):
        open_readers.put(files, inner.position, inner)
    if not reader.finish(finalizer) and finalize_each:
        finalizer.register(_nothing)
    return reader.handed_over


class _ReadHistoryDoFn(beam.DoFn):
    """Reads the files, and then emits the partitions."""

    def __init__(self, mapping: RecordMapping, *, finalize_each: bool) -> None:
        self._mapping = mapping
        self._finalize_each = finalize_each
        self._scope = uuid.uuid4().hex

    # Beam passes the tracker twice unless the finalizer stands before it.
    @beam.DoFn.unbounded_per_element()
    def process(
        self,
        element: History,
        finalizer: Any = beam.DoFn.BundleFinalizerParam,
        tracker: Any = beam.DoFn.RestrictionParam(PositionRangeProvider()),
        watermark: Any = beam.DoFn.WatermarkEstimatorParam(
            ManualWatermarkEstimator.default_provider()
        ),
    ) -> Iterator[Any]:
        handed_over = yield from _read_files(
            cast("Files", element.files),
            self._mapping,
            self._scope,
            finalizer,
            tracker,
            watermark,
            finalize_each=self._finalize_each,
        )
        for partition in element.partitions if handed_over else ():
            yield beam.pvalue.TaggedOutput(_PARTITIONS, partition)


class _ReadInProcessDoFn(ReadDoFn):
    """Reads files and partitions; those of ratings only when the files have been handed over."""

    def __init__(self, topic: ReadRatingsFromKafka, mapping: RecordMapping) -> None:
        super().__init__(topic)
        self._mapping = mapping

    def start_bundle(self) -> None:
        super().start_bundle()
        if not WORKER.get(Handoffs).is_done(self._plan.key.source):
            # Files do not wait until somebody asks for something.
            self._budget = ReadBudget(Limits(idle_seconds=0.0))

    # Beam passes the tracker twice unless the finalizer stands before it.
    @beam.DoFn.unbounded_per_element()
    def process(
        self,
        element: History,
        finalizer: Any = beam.DoFn.BundleFinalizerParam,
        tracker: Any = beam.DoFn.RestrictionParam(HistoryRestrictionProvider()),
        watermark: Any = beam.DoFn.WatermarkEstimatorParam(
            ManualWatermarkEstimator.default_provider()
        ),
    ) -> Iterator[Any]:
        scope = self._plan.key.source
        if element.files:
            arguments = (element.files, self._mapping, scope, finalizer, tracker, watermark)
            yield from _read_files(*arguments, finalize_each=True)
            return
        (partition,) = element.partitions
        asks = partition.topic == self._source.request_topic
        if asks or WORKER.get(Handoffs).is_done(scope):
            yield from self.read(partition, finalizer, tracker, watermark)
            return
        finalizer.register(_nothing)
        if is_stopping():
            tracker.try_claim(None if partition.adds else tracker.current_restriction().stop)
        else:
            tracker.defer_remainder(_LOOK_AGAIN)


def _nothing() -> None:
    pass
