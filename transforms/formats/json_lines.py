"""JSON, one object a record: ratings in; what the program writes out and in."""

from __future__ import annotations

import orjson

from transforms.errors import MalformedRecordError
from transforms.formats.records import (
    Evaluation,
    Rating,
    Recommendation,
    Request,
    ScoredItem,
    ScoredItems,
    checked_evaluation,
    checked_features,
    checked_rating,
    checked_request,
)


def decode_rating(value: bytes, origin: str) -> Rating:
    """Reads `{"user": 196, "item": 242, "rating": 3.0, "timestamp": 881250949}`.

    `user_features`, `item_features` and `context`, lists of numbers, may stand beside these;
    further keys are ignored.

    Raises:
        MalformedRecordError: Not JSON, not an object, or a value is missing or unusable.
    """
    get = _object(value).get
    features = checked_features(get("user_features"), get("item_features"), get("context"))
    return checked_rating(
        get("user"), get("item"), get("rating"), get("timestamp"), origin, features
    )


def decode_request(value: bytes, origin: str, asked: float) -> Request:
    """Reads `{"user": 196}`; `timestamp` and `context`, a list of numbers, may stand beside it.

    Args:
        value: The record.
        origin: Where it was read.
        asked: The timestamp of a request that has none.

    Raises:
        MalformedRecordError: Not JSON, not an object, or a value is missing or unusable.
    """
    get = _object(value).get
    return checked_request(get("user"), get("timestamp", asked), get("context"), origin)


def _object(value: bytes) -> dict[str, object]:
    try:
        fields = orjson.loads(value)
    except orjson.JSONDecodeError as e:
        msg = f"invalid JSON: {e}"
        raise MalformedRecordError(msg) from e
    if type(fields) is not dict:
        msg = f"a JSON {type(fields).__name__}, expected an object"
        raise MalformedRecordError(msg)
    return fields


def encode_rating(rating: Rating) -> bytes:
    """Writes what `decode_rating` reads; the origin is not part of it."""
    fields: dict[str, object] = {
        "user": rating.user,
        "item": rating.item,
        "rating": rating.rating,
        "timestamp": rating.timestamp,
    }
    if rating.features:
        user, item, context = rating.features
        fields |= {"user_features": user, "item_features": item, "context": context}
    return orjson.dumps(fields)


def encode_recommendation(recommendation: Recommendation) -> bytes:
    """Writes `{"user": "196", "items": [{"item": "242", "score": 0.97}], ...}`.

    `"fallback": "popular"` stands beside these where the user is unknown.
    """
    user, items, timestamp, origin, fallback, _ = recommendation
    pairs = zip(items.items, items.scores, strict=True) if type(items) is ScoredItems else items
    fields = {
        "user": user,
        "items": [{"item": item, "score": score} for item, score in pairs],
        "timestamp": timestamp,
        "origin": origin,
    }
    if fallback:
        fields["fallback"] = fallback
    return orjson.dumps(fields)


def decode_recommendation(value: bytes) -> Recommendation:
    """Reads what `encode_recommendation` wrote."""
    fields = orjson.loads(value)
    items = [ScoredItem(entry["item"], entry["score"]) for entry in fields["items"]]
    return Recommendation(
        fields["user"], items, fields["timestamp"], fields["origin"], fields.get("fallback", "")
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
