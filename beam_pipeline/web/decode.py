"""Decodes the records of an output topic, in either format."""

from __future__ import annotations

from typing import Any

import orjson

from transforms.errors import MalformedRecordError
from transforms.formats import avro
from transforms.formats.records import Recommendation, ScoredItem


def decode_recommendation(value: bytes) -> Recommendation:
    """Decodes a recommendation, JSON or Avro in single-object encoding.

    Raises:
        MalformedRecordError: Neither of the two, or a field is missing or unusable.
    """
    if value.startswith(avro.SINGLE_OBJECT_MARKER):
        return avro.decode_recommendation(value)
    fields = _json(value)
    try:
        return Recommendation(
            user=str(fields["user"]),
            items=[ScoredItem(str(one["item"]), float(one["score"])) for one in fields["items"]],
            timestamp=float(fields["timestamp"]),
            origin=str(fields["origin"]),
            fallback=str(fields.get("fallback") or ""),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as e:
        msg = f"not a recommendation: {type(e).__name__}: {e}"
        raise MalformedRecordError(msg) from e


def _json(value: bytes) -> Any:
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError as e:
        msg = f"neither Avro nor JSON: {e}"
        raise MalformedRecordError(msg) from e
