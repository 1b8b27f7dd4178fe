"""Undecoded records to ratings; what is no rating goes to the dead letters."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

import apache_beam as beam

from transforms import counters
from transforms.batches import RatingBatch, RawBatch
from transforms.errors import MalformedRecordError
from transforms.formats.dead_letters import class_name
from transforms.formats.detection import (
    REQUEST_FORMAT,
    decoder,
    request_decoder,
    require_value,
)
from transforms.formats.parse_watch import ParseWatch
from transforms.formats.pass_headers import names_of, passed
from transforms.formats.records import DeadLetter, Rating, Request

_LOGGER: Final = logging.getLogger(__name__)
MAX_RECORD_BYTES: Final = 1 << 20
_DEAD: Final = "dead_letters"
_Record = TypeVar("_Record", Rating, Request)


@dataclass(frozen=True)
class Parsed:
    """The outputs of `ParseRatings`."""

    ratings: beam.PCollection[RatingBatch]
    dead_letters: beam.PCollection[DeadLetter]


def parse(
    batch: RawBatch,
    max_record_bytes: int = MAX_RECORD_BYTES,
    header_names: Collection[str] = (),
) -> tuple[list[Rating], list[DeadLetter]]:
    """Decodes a batch of ratings: each record is in one of the two lists, both in order.

    Tombstones (null values) are in neither.

    Args:
        batch: The records.
        max_record_bytes: A record longer than this is a dead letter.
        header_names: Headers that come with the ratings, in lower case.
    """
    if batch.record_format is None:
        return [], [
            _dead_letter(batch, index, "read", batch.failure) for index in range(len(batch))
        ]
    return _decoded(batch, max_record_bytes, header_names, decoder(batch.record_format))


def parse_requests(
    batch: RawBatch,
    max_record_bytes: int = MAX_RECORD_BYTES,
    header_names: Collection[str] = (),
) -> tuple[list[Request], list[DeadLetter]]:
    """Decodes a batch of requests as `parse` does ratings."""
    return _decoded(batch, max_record_bytes, header_names, request_decoder(batch.published))


def _decoded(
    batch: RawBatch,
    max_record_bytes: int,
    header_names: Collection[str],
    decode: Callable[[bytes, str], _Record],
) -> tuple[list[_Record], list[DeadLetter]]:
    source = batch.source
    decoded = []
    dead = []
    for index, value in enumerate(batch.values):
        if value is None:
            continue
        try:
            origin = f"{source}{batch.positions[index]}"
            record = decode(require_value(value, max_record_bytes), origin)
            if batch.headers and batch.headers[index]:
                record = record._replace(headers=passed(batch.headers[index], header_names))
            decoded.append(record)
        except MalformedRecordError as e:
            dead.append(_dead_letter(batch, index, "parse", str(e), class_name(e)))
    return decoded, dead


def _dead_letter(
    batch: RawBatch, index: int, stage: str, reason: str, exception: str = ""
) -> DeadLetter:
    return DeadLetter(
        f"{batch.source}{batch.positions[index]}",
        stage,
        reason,
        batch.values[index] or b"",
        batch.keys[index] if batch.keys else None,
        batch.headers[index] if batch.headers else (),
        batch.times[index] if batch.times else 0.0,
        exception,
    )


def tombstones(batch: RawBatch) -> int:
    """Returns how many records have a null value, which says that a key is deleted."""
    return 0 if batch.record_format is None else batch.values.count(None)


@dataclass
class ParseRatings(beam.PTransform):
    """`RawBatch` of ratings or of requests to `RatingBatch`, and `DeadLetter` one by one.

    Parallelism: any.
    Delivery: each record comes out once, as a rating, a request or a dead letter. Tombstones (null
        values) are filtered, and counted.
    On failure: no record makes it fail; a malformed one is a dead letter with its reason. A
    warning in the log says so if no record can be used, or few of the first thousand.

    Attributes:
        max_record_bytes: A record longer than this is a dead letter.
        pass_headers: Names of Kafka headers, beside `pass_headers.DEFAULT_NAMES`, that come back on
            the record's recommendation.
    """

    max_record_bytes: int = MAX_RECORD_BYTES
    pass_headers: Sequence[str] = ()

    def __post_init__(self) -> None:
        """Raises ValueError for a limit below 1 or a header that can not be passed on."""
        super().__init__()
        self._header_names = names_of(self.pass_headers)
        if self.max_record_bytes < 1:
            msg = f"max_record_bytes is {self.max_record_bytes}, expected at least 1"
            raise ValueError(msg)

    def expand(self, raw: beam.PCollection[RawBatch]) -> Parsed:
        """Adds the step."""
        step = beam.ParDo(_ParseDoFn(self.max_record_bytes, self._header_names)).with_output_types(
            RatingBatch
        )
        outputs = raw | "Parse" >> step.with_outputs(_DEAD, main="ratings")
        return Parsed(
            outputs.ratings,
            outputs[_DEAD] | "TypeDeadLetters" >> beam.Map(_same).with_output_types(DeadLetter),
        )


def _same(letter: DeadLetter) -> DeadLetter:
    return letter


class _ParseDoFn(beam.DoFn):
    def __init__(self, max_record_bytes: int, header_names: frozenset[str]) -> None:
        self._max_record_bytes = max_record_bytes
        self._header_names = header_names

    def setup(self) -> None:
        self._watch = ParseWatch()

    def process(self, element: RawBatch) -> Iterator[RatingBatch | beam.pvalue.TaggedOutput]:
        ratings: list[Rating] = []
        requests: list[Request] = []
        limits = (self._max_record_bytes, self._header_names)
        if element.record_format == REQUEST_FORMAT:
            requests, dead = parse_requests(element, *limits)
            counters.counter(counters.REQUESTS).inc(len(requests))
        else:
            ratings, dead = parse(element, *limits)
        deleted = tombstones(element)
        counters.counter(counters.READ).inc(len(ratings) + len(dead) + deleted)
        counters.counter(counters.DEAD).inc(len(dead))
        counters.counter(counters.TOMBSTONES).inc(deleted)
        counters.counter(counters.FILTERED).inc(deleted)
        if warning := self._watch.note(len(ratings) + len(requests) + len(dead), dead):
            _LOGGER.warning(warning)
        if ratings or requests:
            yield RatingBatch(ratings, element.published, requests)
        for letter in dead:
            yield beam.pvalue.TaggedOutput(_DEAD, letter)
