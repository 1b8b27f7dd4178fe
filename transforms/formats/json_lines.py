"""JSON, one object a record: ratings in; what the program writes out and in."""

from __future__ import annotations

import base64
from typing import Any

import orjson

from transforms.errors import MalformedRecordError
from transforms.formats.records import (
    DeadLetter,
    Evaluation,
    Rating,
    Recommendation,
    ScoredItem,
    checked_evaluation,
    checked_rating,
)


def decode_rating(value: bytes, origin: str) -> Rating:
    """Reads `{"user": 196, "item": 242, "rating": 3.0, "timestamp": 881250949}`.

    Further keys are ignored.

    Raises:
        MalformedRecordError: Not JSON, not an object, or a value is missing or unusable.
    """
    get = _object(value).get
    return checked_rating(get("user"), get("item"), get("rating"), get("timestamp"), origin)


def encode_rating(rating: Rating) -> bytes:
    """Writes what `decode_rating` reads; the origin is not part of it."""
    return orjson.dumps(
        {
            "user": rating.user,
            "item": rating.item,
            "rating": rating.rating,
            "timestamp": rating.timestamp,
        }
    )


def encode_recommendation(recommendation: Recommendation) -> bytes:
    """Writes `{"user": "196", "items": [{"item": "242", "score": 0.97}], ...}`."""
    user, items, timestamp, origin = recommendation
    return orjson.dumps(
        {
            "user": user,
            "items": [{"item": item, "score": score} for item, score in items],
            "timestamp": timestamp,
            "origin": origin,
        }
    )


def decode_recommendation(value: bytes) -> Recommendation:
    """Reads what `encode_recommendation` wrote."""
    fields = orjson.loads(value)
    items = [ScoredItem(entry["item"], entry["score"]) for entry in fields["items"]]
    return Recommendation(fields["user"], items, fields["timestamp"], fields["origin"])


def encode_dead_letter(letter: DeadLetter) -> bytes:
    """Writes `{"origin": ..., "stage": ..., "reason": ..., "value": "<base64>"}`."""
    fields = letter._asdict()
    fields["value"] = base64.b64encode(letter.value).decode("ascii")
    return orjson.dumps(fields)


def decode_dead_letter(value: bytes) -> DeadLetter:
    """Reads what `encode_dead_letter` wrote."""
    fields = orjson.loads(value)
    return DeadLetter(
        fields["origin"], fields["stage"], fields["reason"], base64.b64decode(fields["value"])
    )


def encode_evaluation(evaluation: Evaluation) -> bytes:
    """Writes an object with the fields of `Evaluation`, in their order."""
    return orjson.dumps(evaluation._asdict())


def decode_evaluation(value: bytes) -> Evaluation:
    """Reads what `encode_evaluation` wrote; further keys are ignored.

    Raises:
        MalformedRecordError: Not JSON, not an object, or a value is missing or unusable.
    """
    return checked_evaluation(_object(value))


def _object(value: bytes) -> dict[str, Any]:
    try:
        fields = orjson.loads(value)
    except orjson.JSONDecodeError as e:
        msg = f"invalid JSON: {e}"
        raise MalformedRecordError(msg) from e
    if type(fields) is not dict:
        msg = f"a JSON {type(fields).__name__}, expected an object"
        raise MalformedRecordError(msg)
    return fields
