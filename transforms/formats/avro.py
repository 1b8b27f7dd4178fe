"""Avro: single-object encoding for Kafka values, object container files for disks.

The schemas are ours; a container file may have any schema that has a user and an item.
Single-object encoding (a two-byte marker, the schema's CRC-64-AVRO fingerprint, the datum) is
section "Single-object encoding" of the Avro specification.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Final

import fastavro
from fastavro.schema import fingerprint, to_parsing_canonical_form

from transforms.errors import MalformedRecordError
from transforms.formats.records import Evaluation, Rating, Recommendation, ScoredItem

RATING_SCHEMA: Final[dict[str, Any]] = {
    "type": "record",
    "name": "Rating",
    "namespace": "flurs_beam",
    "fields": [
        {"name": "user", "type": "string"},
        {"name": "item", "type": "string"},
        {"name": "rating", "type": "double"},
        {"name": "timestamp", "type": "double"},
    ],
}
RATING_WITH_FEATURES_SCHEMA: Final[dict[str, Any]] = {
    **RATING_SCHEMA,
    "fields": [
        *RATING_SCHEMA["fields"],
        *(
            {"name": name, "type": {"type": "array", "items": "double"}, "default": []}
            for name in ("user_features", "item_features", "context")
        ),
    ],
}
RECOMMENDATION_SCHEMA: Final[dict[str, Any]] = {
    "type": "record",
    "name": "Recommendation",
    "namespace": "flurs_beam",
    "fields": [
        {"name": "user", "type": "string"},
        {
            "name": "items",
            "type": {
                "type": "array",
                "items": {
                    "type": "record",
                    "name": "ScoredItem",
                    "fields": [
                        {"name": "item", "type": "string"},
                        {"name": "score", "type": "double"},
                    ],
                },
            },
        },
        {"name": "timestamp", "type": "double"},
        {"name": "origin", "type": "string"},
        {"name": "fallback", "type": "string", "default": ""},
    ],
}
EVALUATION_SCHEMA: Final[dict[str, Any]] = {
    "type": "record",
    "name": "Evaluation",
    "namespace": "flurs_beam",
    "fields": [
        {"name": "origin", "type": "string"},
        {"name": "user", "type": "string"},
        {"name": "item", "type": "string"},
        {"name": "rank", "type": ["null", "long"], "default": None},
        {"name": "candidates", "type": "long"},
        {"name": "model", "type": "string"},
        {"name": "timestamp", "type": "double"},
        {"name": "items", "type": {"type": "array", "items": "string"}},
        {"name": "popular_rank", "type": ["null", "long"], "default": None},
        {"name": "popular_items", "type": {"type": "array", "items": "string"}},
        {"name": "update_us", "type": "double"},
        {"name": "top_n_us", "type": "double"},
    ],
}
SINGLE_OBJECT_MARKER: Final = b"\xc3\x01"
CONTAINER_MAGIC: Final = b"Obj\x01"
_HEADER_LENGTH: Final = 10


@lru_cache
def _parsed(schema_json: str) -> Any:
    return fastavro.parse_schema(json.loads(schema_json))


def single_object_header(schema: dict[str, Any]) -> bytes:
    """Returns the ten bytes that precede a datum of `schema`."""
    digest = fingerprint(to_parsing_canonical_form(schema), "CRC-64-AVRO")
    return SINGLE_OBJECT_MARKER + bytes.fromhex(digest)


_RATING_HEADER: Final = single_object_header(RATING_SCHEMA)
_RATING: Final = fastavro.parse_schema(RATING_SCHEMA)
_FEATURES_HEADER: Final = single_object_header(RATING_WITH_FEATURES_SCHEMA)
_FEATURES: Final = fastavro.parse_schema(RATING_WITH_FEATURES_SCHEMA)
_RATINGS: Final = {_RATING_HEADER: _RATING, _FEATURES_HEADER: _FEATURES}
RECOMMENDATION_HEADER: Final = single_object_header(RECOMMENDATION_SCHEMA)
_RECOMMENDATION: Final = fastavro.parse_schema(RECOMMENDATION_SCHEMA)
_EVALUATION: Final = fastavro.parse_schema(EVALUATION_SCHEMA)
_RECOMMENDATIONS: Final = {RECOMMENDATION_HEADER: _RECOMMENDATION}


def encode_datum(record: object, schema_json: str) -> bytes:
    """Writes one record's binary datum, without any header."""
    buffer = io.BytesIO()
    fastavro.schemaless_writer(buffer, _parsed(schema_json), record)
    return buffer.getvalue()


def decode_datum(value: bytes, schema_json: str) -> Any:
    """Decodes a binary datum written with `schema_json` to dicts, lists and scalars.

    Raises:
        MalformedRecordError: The bytes do not fit the schema.
    """
    return read_datum(value, _parsed(schema_json))


def decode(value: bytes) -> Any:
    """Decodes a rating in single-object encoding to a dict.

    Raises:
        MalformedRecordError: No single-object header, a schema other than `RATING_SCHEMA`
            and `RATING_WITH_FEATURES_SCHEMA`, or a datum that does not fit it.
    """
    return _single_object(value, _RATINGS)


def encode_rating(rating: Rating) -> bytes:
    """Writes a rating in single-object encoding."""
    record = rating._asdict()
    header, schema = _RATING_HEADER, _RATING
    if rating.features:
        header, schema = _FEATURES_HEADER, _FEATURES
        user, item, context = map(list, rating.features)
        record |= {"user_features": user, "item_features": item, "context": context}
    buffer = io.BytesIO()
    buffer.write(header)
    fastavro.schemaless_writer(buffer, schema, record)
    return buffer.getvalue()


def encode_recommendation(
    recommendation: Recommendation, header: bytes = RECOMMENDATION_HEADER
) -> bytes:
    """Writes a recommendation in single-object encoding, or behind another header."""
    buffer = io.BytesIO()
    buffer.write(header)
    fastavro.schemaless_writer(buffer, _RECOMMENDATION, _as_record(recommendation))
    return buffer.getvalue()


def encode_evaluation(evaluation: Evaluation, header: bytes) -> bytes:
    """Writes an evaluation behind a header."""
    buffer = io.BytesIO()
    buffer.write(header)
    fastavro.schemaless_writer(buffer, _EVALUATION, evaluation._asdict())
    return buffer.getvalue()


def decode_recommendation(value: bytes) -> Recommendation:
    """Reads what `encode_recommendation` wrote.

    Raises:
        MalformedRecordError: No single-object header, a schema other than
            `RECOMMENDATION_SCHEMA`, or a datum that does not fit it.
    """
    record = _single_object(value, _RECOMMENDATIONS)
    record["items"] = [ScoredItem(**item) for item in record["items"]]
    return Recommendation(**record)


class RecommendationContainer:
    """An object container file, written in pieces: a header once, then blocks.

    Each block can be appended to the file in one write, so several writers may share it.

    Args:
        sync_marker: The file's 16 bytes; new ones are drawn if it is not given.
    """

    def __init__(self, sync_marker: bytes | None = None) -> None:
        self.sync_marker = sync_marker or os.urandom(16)

    @property
    def header(self) -> bytes:
        """The beginning of the file."""
        return self._written([])

    def block(self, recommendations: Iterable[Recommendation]) -> bytes:
        """Returns the recommendations as a block to append."""
        return self._written(recommendations)[len(self.header) :]

    def _written(self, recommendations: Iterable[Recommendation]) -> bytes:
        buffer = io.BytesIO()
        fastavro.writer(
            buffer,
            _RECOMMENDATION,
            map(_as_record, recommendations),
            sync_marker=self.sync_marker,
        )
        return buffer.getvalue()


def _as_record(recommendation: Recommendation) -> dict[str, Any]:
    record = recommendation._asdict()
    del record["headers"]
    record["items"] = [item._asdict() for item in recommendation.items]
    return record


def _single_object(value: bytes, schemas: Mapping[bytes, Any]) -> Any:
    """Reads a datum whose header names one of `schemas`."""
    header = value[:_HEADER_LENGTH]
    schema = schemas.get(header)
    if schema is None:
        if len(header) < _HEADER_LENGTH or not header.startswith(SINGLE_OBJECT_MARKER):
            msg = "not Avro single-object encoding: the marker C3 01 is missing"
        else:
            msg = (
                f"unknown Avro schema: fingerprint {header[2:].hex()},"
                f" expected {' or '.join(known[2:].hex() for known in schemas)}"
            )
        raise MalformedRecordError(msg)
    return read_datum(value, schema, _HEADER_LENGTH)


def read_datum(value: bytes, schema: Any, start: int = 0) -> Any:
    """Reads the binary datum that takes up the rest of `value`.

    Args:
        value: The bytes.
        schema: What wrote it, parsed by fastavro.
        start: Where the datum starts.

    Raises:
        MalformedRecordError: The bytes do not fit the schema.
    """
    buffer = io.BytesIO(value)
    buffer.seek(start)
    try:
        record = fastavro.schemaless_reader(buffer, schema, None)
    # fastavro lets whatever the bytes provoke escape: EOFError, IndexError, MemoryError, ...
    except Exception as e:
        msg = f"not a datum of its Avro schema: {type(e).__name__}: {e}"
        raise MalformedRecordError(msg) from e
    if buffer.tell() != len(value):
        msg = f"{len(value) - buffer.tell()} byte(s) left over after the Avro datum"
        raise MalformedRecordError(msg)
    return record
