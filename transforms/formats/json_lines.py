"""JSON: documents to trees, and what the program writes out and in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import orjson
from numpy.typing import NDArray

from transforms.errors import MalformedRecordError
from transforms.formats.listed_ratings import ListedRatings
from transforms.formats.origins import Origins
from transforms.formats.rating_columns import columns_of
from transforms.formats.records import (
    Evaluation,
    Rating,
    Recommendation,
    ScoredItem,
    ScoredItems,
)
from transforms.formats.validation import checked_evaluation


def decode(value: bytes) -> Any:
    """Decodes a JSON document to dicts, lists and scalars.

    Raises:
        MalformedRecordError: It is no JSON.
    """
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError as e:
        msg = f"invalid JSON: {e}"
        raise MalformedRecordError(msg) from e


def encode_rating(rating: Rating) -> bytes:
    """Writes the blog post's message; the origin is not part of it."""
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


def encode_recommendations(recommendations: Sequence[Recommendation]) -> list[bytes]:
    """Writes what `encode_recommendation` does for each, faster where they are columns."""
    if not isinstance(recommendations, ListedRatings):
        return list(map(encode_recommendation, recommendations))
    ratings, lists = columns_of(recommendations.ratings), recommendations.lists
    items, scores = lists.entries()
    entries: list[bytes] = [b""] * (2 * len(items))
    entries[0::2] = map(_PREFIXES.__getitem__, map(lists.ids.__getitem__, items))
    entries[1::2] = _numbers(scores)
    columns = (
        _texts(ratings.users),
        lists.counts.tolist(),
        _numbers(ratings.timestamps),
        _texts(ratings.origins),
    )
    encoded, start = [], 0
    for user, count, time, origin in zip(*columns, strict=True):
        end = start + 2 * count
        # Each entry begins with the end of the one before.
        listed = b"".join(entries[start:end])[2:] + b"}" if count else b""
        encoded.append(
            b'{"user":"%b","items":[%b],"timestamp":%b,"origin":"%b"}'
            % (user, listed, time, origin)
        )
        start = end
    return encoded


class _Prefixes(dict[str, bytes]):
    """What stands before the score of each item; made when it is asked for."""

    _LARGEST = 1 << 16

    def __missing__(self, item: str) -> bytes:
        if len(self) >= self._LARGEST:
            self.clear()
        self[item] = prefix = b'},{"item":%b,"score":' % orjson.dumps(item)
        return prefix


_PREFIXES: Final = _Prefixes()


def _numbers(values: Sequence[float] | NDArray[np.float64]) -> list[bytes]:
    """Returns each number as JSON."""
    joined = orjson.dumps(values, option=orjson.OPT_SERIALIZE_NUMPY)[1:-1]
    return joined.split(b",") if joined else []


def _texts(values: Sequence[str]) -> list[bytes]:
    """Returns each text as JSON, without its quotation marks."""
    if isinstance(values, Origins):
        sources = [(orjson.dumps(run.source)[1:-1], run.positions) for run in values.runs]
        return [b"%b%d" % (source, at) for source, positions in sources for at in positions]
    joined = orjson.dumps(values)
    if b"\\" in joined:
        return [orjson.dumps(value)[1:-1] for value in values]
    # Without a backslash no text has a quotation mark in it.
    return joined[2:-2].split(b'","') if values else []


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
    fields = decode(value)
    if type(fields) is not dict:
        msg = f"a JSON {type(fields).__name__}, expected an object"
        raise MalformedRecordError(msg)
    return checked_evaluation(fields)
