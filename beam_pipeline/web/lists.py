"""Lists as they stand in an output topic, in either format."""

from __future__ import annotations

import io
from typing import Any, Final

import fastavro
import orjson

from transforms.errors import MalformedRecordError
from transforms.formats import avro
from transforms.formats.records import Recommendation, ScoredItem

_HEADER: Final = avro.single_object_header(avro.RECOMMENDATION_SCHEMA)
_SCHEMA: Final = fastavro.parse_schema(avro.RECOMMENDATION_SCHEMA)


def decode_list(value: bytes) -> Recommendation:
    """Reads a list, JSON or Avro in single-object encoding.

    Raises:
        MalformedRecordError: It is neither, or has not what a list has.
    """
    fields = _avro(value) if value.startswith(avro.SINGLE_OBJECT_MARKER) else _json(value)
    try:
        return Recommendation(
            user=str(fields["user"]),
            items=[ScoredItem(str(one["item"]), float(one["score"])) for one in fields["items"]],
            timestamp=float(fields["timestamp"]),
            origin=str(fields["origin"]),
            fallback=str(fields.get("fallback") or ""),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as e:
        msg = f"not a list: {type(e).__name__}: {e}"
        raise MalformedRecordError(msg) from e


def _json(value: bytes) -> Any:
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError as e:
        msg = f"neither Avro nor JSON: {e}"
        raise MalformedRecordError(msg) from e


def _avro(value: bytes) -> Any:
    if not value.startswith(_HEADER):
        msg = "an Avro schema other than this version's"
        raise MalformedRecordError(msg)
    try:
        return fastavro.schemaless_reader(io.BytesIO(value[len(_HEADER) :]), _SCHEMA, None)
    # fastavro lets whatever the bytes provoke escape: EOFError, IndexError, MemoryError, ...
    except Exception as e:
        msg = f"not a datum of its Avro schema: {type(e).__name__}: {e}"
        raise MalformedRecordError(msg) from e
