"""What flows between the stages: batches of records, in order, and their coders.

Beam's Python SDK pays 50 to 100 us for each element and stage, more than the whole work on a
rating; so an element is the batch that one poll or one chunk of a file gave, and all that a
bundle has for a shard is joined to one, see `sharding.bundle`. A batch never waits to fill. The
coders write one JSON or columnar document a batch, for the same reason.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import apache_beam as beam
import orjson
from apache_beam.coders import Coder, registry

from transforms.formats.delimited import Columns
from transforms.formats.detection import RecordFormat
from transforms.formats.rating_columns import of_plain, to_plain
from transforms.formats.records import (
    DeadLetter,
    Evaluation,
    Header,
    Rating,
    Recommendation,
    Request,
    ScoredItem,
    headers_of_text,
    text_headers,
)

# Of a record beside its value.
_RECORD_BYTES: Final = 50


@dataclass(frozen=True)
class RawBatch:
    """Undecoded records of one source, in order.

    Attributes:
        source: What an origin starts with, separator included: `ratings-0-` or `u.data:`.
        positions: Offset or line number of each record.
        values: The bytes of each record; None for a Kafka tombstone.
        record_format: How to decode them; None if they could not be read at all.
        published: When the broker got the oldest of them, in seconds since the epoch; 0 for
            records of a file.
        failure: Why they could not be read; empty if they could.
        keys: The Kafka key of each record; empty if the source has none.
        headers: The Kafka headers of each record; empty if no record has any.
        times_ms: When the broker got each record, in milliseconds since the epoch; empty for a
            file.
    """

    source: str
    positions: Sequence[int]
    values: Sequence[bytes | None]
    record_format: RecordFormat | None
    published: float = 0.0
    failure: str = ""
    keys: Sequence[bytes | None] = ()
    headers: Sequence[Sequence[Header]] = ()
    times_ms: Sequence[int] = ()

    def __len__(self) -> int:
        return len(self.positions)


@dataclass(frozen=True)
class RatingBatch:
    """Ratings in the order in which they were read, and then requests.

    Attributes:
        ratings: To be learned, each followed by its user's list, see `listed`.
        published: When the broker got the oldest of them, in seconds since the epoch; 0 for
            records of a file.
        requests: To be answered after the ratings.
        number: Where items are sharded, the batch's number among those of its user shard, from
            1; else 0.
        unrated: Indexes of ratings whose record has no rating, so that theirs is 1; only from
            the parser to the filter.
        listed: Indexes of the ratings that are followed by a list, ascending; None for all. The
            others have theirs from another replica.
    """

    ratings: Sequence[Rating]
    published: float = 0.0
    requests: list[Request] = field(default_factory=list)
    number: int = 0
    unrated: Sequence[int] = ()
    listed: Sequence[int] | None = None

    def __len__(self) -> int:
        return len(self.ratings)


@dataclass(frozen=True)
class RecommendationBatch:
    """Recommendations in the order in which their ratings were learned."""

    recommendations: Sequence[Recommendation] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.recommendations)


@dataclass(frozen=True)
class EvaluationBatch:
    """One test for each positive, in the order in which they were learned."""

    evaluations: Sequence[Evaluation] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.evaluations)


class RawBatchCoder(Coder):
    """A JSON header with the lengths, then the values end to end."""

    def encode(self, value: RawBatch) -> bytes:
        """Returns the batch as bytes."""
        form = value.record_format
        header = orjson.dumps(
            [
                value.source,
                list(value.positions),
                [-1 if record is None else len(record) for record in value.values],
                None if form is None else [form.kind, form.columns, form.schema],
                value.published,
                value.failure,
                [-1 if key is None else len(key) for key in value.keys],
                list(map(text_headers, value.headers)),
                list(value.times_ms),
            ],
            default=list,
        )
        body = [part for part in (*value.values, *value.keys) if part is not None]
        return b"".join([struct.pack(">I", len(header)), header, *body])

    def estimate_size(self, value: RawBatch) -> int:
        """Returns the bytes of the records."""
        return sum(map(len, filter(None, value.values))) + _RECORD_BYTES * len(value)

    def decode(self, encoded: bytes) -> RawBatch:
        """Returns the batch that `encode` wrote."""
        (length,) = struct.unpack_from(">I", encoded)
        start = 4 + length
        (
            source,
            positions,
            lengths,
            form,
            published,
            failure,
            key_lengths,
            headers,
            times_ms,
        ) = orjson.loads(encoded[4:start])
        parts: list[bytes | None] = []
        for size in (*lengths, *key_lengths):
            parts.append(None if size < 0 else encoded[start : start + size])
            start += max(size, 0)
        return RawBatch(
            source,
            positions,
            parts[: len(lengths)],
            None if form is None else _record_format(*form),
            published,
            failure,
            parts[len(lengths) :] or (),
            list(map(headers_of_text, headers)) or (),
            times_ms or (),
        )

    def is_deterministic(self) -> bool:
        """Equal batches have equal bytes."""
        return True


def _record_format(kind: str, columns: list[Any] | None, schema: str) -> RecordFormat:
    if columns is None:
        return RecordFormat(kind, None, schema)
    separator, names, quoted = columns
    return RecordFormat(kind, Columns(separator, tuple(names), quoted), schema)


class RatingBatchCoder(Coder):
    """A JSON document of columns: a column for each field of a rating."""

    def encode(self, value: RatingBatch) -> bytes:
        """Returns the batch as bytes."""
        requests = [(*request[:-1], text_headers(request.headers)) for request in value.requests]
        return orjson.dumps(
            [
                value.published,
                value.number,
                requests,
                list(value.unrated),
                value.listed,
                *to_plain(value.ratings),
            ],
            default=list,
        )

    def estimate_size(self, value: RatingBatch) -> int:
        """Returns roughly the bytes of plain ratings."""
        return _RECORD_BYTES * (len(value) + len(value.requests))

    def decode(self, encoded: bytes) -> RatingBatch:
        """Returns the batch that `encode` wrote."""
        published, number, requests, unrated, listed, *columns = orjson.loads(encoded)
        asked = [
            Request(user, timestamp, origin, tuple(context), headers_of_text(headers))
            for user, timestamp, origin, context, headers in requests
        ]
        return RatingBatch(of_plain(columns), published, asked, number, unrated or (), listed)

    def is_deterministic(self) -> bool:
        """Batches of equal columns have equal bytes."""
        return True


class RecommendationBatchCoder(Coder):
    """A JSON document: a row for each recommendation."""

    def encode(self, value: RecommendationBatch) -> bytes:
        """Returns the batch as bytes."""
        rows = [(*one[:-1], text_headers(one.headers)) for one in value.recommendations]
        return orjson.dumps(rows, default=list)

    def estimate_size(self, value: RecommendationBatch) -> int:
        """Returns the bytes of the first recommendation, times their number."""
        first = RecommendationBatch(value.recommendations[:1])
        return len(self.encode(first)) * max(1, len(value))

    def decode(self, encoded: bytes) -> RecommendationBatch:
        """Returns the batch that `encode` wrote."""
        return RecommendationBatch(
            [
                Recommendation(
                    user,
                    [ScoredItem(*item) for item in items],
                    timestamp,
                    origin,
                    fallback,
                    headers_of_text(headers),
                )
                for user, items, timestamp, origin, fallback, headers in orjson.loads(encoded)
            ]
        )

    def is_deterministic(self) -> bool:
        """Equal batches have equal bytes."""
        return True


class EvaluationBatchCoder(Coder):
    """A JSON document: a row for each evaluation."""

    def encode(self, value: EvaluationBatch) -> bytes:
        """Returns the batch as bytes."""
        return orjson.dumps(value.evaluations, default=list)

    def decode(self, encoded: bytes) -> EvaluationBatch:
        """Returns the batch that `encode` wrote."""
        return EvaluationBatch(list(map(Evaluation._make, orjson.loads(encoded))))

    def is_deterministic(self) -> bool:
        """Equal batches have equal bytes."""
        return True


registry.register_coder(RawBatch, RawBatchCoder)
registry.register_coder(RatingBatch, RatingBatchCoder)
registry.register_coder(RecommendationBatch, RecommendationBatchCoder)
registry.register_coder(EvaluationBatch, EvaluationBatchCoder)
for _record in (Header, Rating, Request, ScoredItem, Recommendation, Evaluation, DeadLetter):
    registry.register_coder(_record, beam.coders.RowCoder)
