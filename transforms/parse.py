"""Undecoded records to ratings; what is no rating goes to the dead letters."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import apache_beam as beam

from transforms import counters
from transforms.batches import RatingBatch, RawBatch
from transforms.formats.detection import REQUEST_FORMAT
from transforms.formats.found import DELETE, EVENT, TOMBSTONE, Skipped
from transforms.formats.mapping import RecordMapping
from transforms.formats.origins import Origins
from transforms.formats.parse_watch import ParseWatch
from transforms.formats.pass_headers import names_of
from transforms.formats.record_reader import MAX_RECORD_BYTES, RecordReader
from transforms.formats.records import DeadLetter, Rating, Request
from transforms.runtime.worker_context import WORKER
from transforms.schema_registry.settings import SchemaRegistrySettings
from transforms.schema_registry.tree_decoders import tree_decoders

__all__ = ["MAX_RECORD_BYTES", "ParseRatings", "Parsed", "parse", "parse_batch", "parse_requests"]

_LOGGER: Final = logging.getLogger(__name__)
_DEAD: Final = "dead_letters"


@dataclass(frozen=True)
class Parsed:
    """The outputs of `ParseRatings`."""

    ratings: beam.PCollection[RatingBatch]
    dead_letters: beam.PCollection[DeadLetter]


@dataclass(frozen=True)
class ParsedBatch:
    """A batch, parsed: each event is a rating, a request, skipped or a dead letter.

    Attributes:
        batch: Ratings and requests, in order.
        dead: What could not be used, in order.
        skipped: What was understood and is not to be learned.
    """

    batch: RatingBatch
    dead: Sequence[DeadLetter]
    skipped: Sequence[Skipped] = ()

    @property
    def read(self) -> int:
        """Number of events, without requests that can be answered."""
        return len(self.batch) + len(self.dead) + len(self.skipped)


def parse_batch(batch: RawBatch, reader: RecordReader) -> ParsedBatch:
    """Decodes a batch of ratings or of requests."""
    if batch.record_format is None:
        origins = Origins.of(batch.source, batch.positions)
        dead = [
            _dead_letter(batch, index, "read", batch.failure, origin, value or b"")
            for index, (origin, value) in enumerate(zip(origins, batch.values, strict=True))
        ]
        return ParsedBatch(RatingBatch([], batch.published), dead)
    asks = batch.record_format == REQUEST_FORMAT
    found = reader.read_requests(batch) if asks else reader.read(batch)
    return ParsedBatch(
        RatingBatch(found.ratings, batch.published, found.requests, unrated=found.unrated or ()),
        [
            _dead_letter(batch, index, "parse", reason, origin, value, exception)
            for index, origin, reason, value, exception in found.unusable
        ],
        found.skipped,
    )


def _dead_letter(
    batch: RawBatch,
    index: int,
    stage: str,
    reason: str,
    origin: str,
    value: bytes,
    exception: str = "",
) -> DeadLetter:
    return DeadLetter(
        origin,
        stage,
        reason,
        value,
        batch.keys[index] if batch.keys else None,
        batch.headers[index] if batch.headers else (),
        batch.times_ms[index] / 1000 if batch.times_ms else 0.0,
        exception,
    )


def parse(
    batch: RawBatch,
    max_record_bytes: int = MAX_RECORD_BYTES,
    header_names: Collection[str] = (),
) -> tuple[Sequence[Rating], Sequence[DeadLetter]]:
    """Decodes a batch of ratings with usual names; returns ratings and dead letters, in order.

    Args:
        batch: The records; null values are skipped.
        max_record_bytes: A record longer than this is a dead letter.
        header_names: Headers that come with the ratings, in lower case.
    """
    parsed = parse_batch(batch, RecordReader(None, max_record_bytes, header_names))
    return parsed.batch.ratings, parsed.dead


def parse_requests(
    batch: RawBatch,
    max_record_bytes: int = MAX_RECORD_BYTES,
    header_names: Collection[str] = (),
) -> tuple[list[Request], Sequence[DeadLetter]]:
    """Decodes a batch of requests as `parse` does ratings."""
    parsed = parse_batch(batch, RecordReader(None, max_record_bytes, header_names))
    return parsed.batch.requests, parsed.dead


@dataclass
class ParseRatings(beam.PTransform):
    """`RawBatch` of ratings or of requests to `RatingBatch`, and `DeadLetter` one by one.

    Parallelism: any.
    Delivery: each event comes out once, as a rating, a request or a dead letter, or is counted as
        filtered: a tombstone (null value), a deletion, or an event type without a weight.
    On failure: no record makes it fail; a malformed one is a dead letter with its reason. A
    warning in the log says so if no record can be used, or few of the first thousand.

    Attributes:
        max_record_bytes: A record longer than this is a dead letter.
        pass_headers: Names of Kafka headers, beside `pass_headers.DEFAULT_NAMES`, that come back on
            the record's recommendation.
        mapping: Where records have the fields of a rating.
        registry: Has the schemas of records in Confluent's wire format; None without one.
    """

    max_record_bytes: int = MAX_RECORD_BYTES
    pass_headers: Sequence[str] = ()
    mapping: RecordMapping = field(default_factory=RecordMapping)
    registry: SchemaRegistrySettings | None = None

    def __post_init__(self) -> None:
        """Raises ValueError for a limit below 1 or a header that cannot be passed on."""
        super().__init__()
        self._header_names = names_of(self.pass_headers)
        if self.max_record_bytes < 1:
            msg = f"max_record_bytes is {self.max_record_bytes}, expected at least 1"
            raise ValueError(msg)

    def expand(self, raw: beam.PCollection[RawBatch]) -> Parsed:
        """Returns ratings and dead letters."""
        reading = (self.mapping, self.max_record_bytes, self._header_names)
        do_fn = _ParseDoFn(*reading, self.registry)
        step = beam.ParDo(do_fn).with_output_types(RatingBatch)
        outputs = raw | "Parse" >> step.with_outputs(_DEAD, main="ratings")
        return Parsed(
            outputs.ratings,
            outputs[_DEAD] | "TypeDeadLetters" >> beam.Map(_same).with_output_types(DeadLetter),
        )


def _same(letter: DeadLetter) -> DeadLetter:
    return letter


class _Said:
    """What this process has logged of its input, as it may have many readers."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lines: set[str] = set()

    def is_new(self, line: str) -> bool:
        with self._lock:
            new = line not in self._lines
            self._lines.add(line)
        return new


class _ParseDoFn(beam.DoFn):
    def __init__(
        self,
        mapping: RecordMapping,
        max_record_bytes: int,
        header_names: frozenset[str],
        registry: SchemaRegistrySettings | None,
    ) -> None:
        self._arguments = (mapping, max_record_bytes, header_names)
        self._registry = registry

    def setup(self) -> None:
        self._watch = ParseWatch()
        self._reader = RecordReader(*self._arguments, tree_decoders(self._registry))

    def process(self, element: RawBatch) -> Iterator[RatingBatch | beam.pvalue.TaggedOutput]:
        parsed = parse_batch(element, self._reader)
        requests, dead = len(parsed.batch.requests), parsed.dead
        if requests:
            counters.counter(counters.REQUESTS).inc(requests)
        counters.counter(counters.READ).inc(parsed.read)
        counters.counter(counters.DEAD).inc(len(dead))
        if parsed.skipped:
            _count_skipped(parsed.skipped)
        for line in self._reader.notes():
            if WORKER.get(_Said).is_new(line):
                _LOGGER.info(line)
        # A tombstone says nothing about whether others can be used, nor does an event of a type
        # without a weight, whose fields nobody has looked at.
        said = parsed.read + requests - len(parsed.skipped)
        if warning := self._watch.note(said, dead):
            _LOGGER.warning(warning)
        if parsed.batch.ratings or requests:
            yield parsed.batch
        for letter in dead:
            yield beam.pvalue.TaggedOutput(_DEAD, letter)


def _count_skipped(skipped: Sequence[Skipped]) -> None:
    """Counts what is skipped by its kind."""
    counters.counter(counters.FILTERED).inc(len(skipped))
    kinds = Counter(one.kind for one in skipped)
    for kind, name in ((TOMBSTONE, counters.TOMBSTONES), (DELETE, counters.DELETES)):
        if kinds[kind]:
            counters.counter(name).inc(kinds[kind])
    if kinds[EVENT]:
        counters.count_event_types(one.name for one in skipped if one.kind == EVENT)
