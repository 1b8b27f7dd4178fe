"""Checks decoded values: they become a sound record, or an error says what is wrong."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from transforms.errors import MalformedRecordError
from transforms.formats.records import (
    MAX_FEATURES,
    MAX_ID_LENGTH,
    NEW_RATING,
    Evaluation,
    Features,
    Header,
    Rating,
    Request,
)

_SHOWN: Final = 60


def checked_rating(
    user: object,
    item: object,
    rating: object,
    timestamp: object,
    origin: str,
    features: Features | None = None,
    weight: float = 1.0,
    headers: Sequence[Header] = (),
) -> Rating:
    """Makes a `Rating` of decoded values, or raises.

    Ids may be strings, whole numbers or UUIDs; a number becomes its decimal string, so that
    the blog post's `{"user": 196}` and `{"user": "196"}` are the same user. Weight and headers
    are taken as they are.

    Raises:
        MalformedRecordError: A value is missing (None), of a wrong type, or out of range.
    """
    if type(user) is not str or not user:
        user = str(user) if type(user) is int else _identifier("user", user)
    if type(item) is not str or not item:
        item = str(item) if type(item) is int else _identifier("item", item)
    if len(user) > MAX_ID_LENGTH or len(item) > MAX_ID_LENGTH:
        msg = f"an id of {max(len(user), len(item))} characters, expected at most {MAX_ID_LENGTH}"
        raise MalformedRecordError(msg)
    number = rating if type(rating) is float else as_number("rating", rating)
    seconds = timestamp if type(timestamp) is float else as_number("timestamp", timestamp)
    # One comparison refuses NaN and both infinities, as each makes it false.
    if not -math.inf < number < math.inf:
        msg = f"rating is {number}, expected a finite number"
        raise MalformedRecordError(msg)
    if not 0.0 <= seconds < math.inf:
        msg = f"timestamp is {seconds}, expected finite seconds since the epoch, 0 or later"
        raise MalformedRecordError(msg)
    return NEW_RATING((user, item, number, seconds, origin, features, weight, headers))


def checked_request(
    user: object,
    timestamp: object,
    context: object,
    origin: str,
    headers: Sequence[Header] = (),
) -> Request:
    """Makes a `Request` of decoded values, or raises; `checked_rating` says what values may be.

    Raises:
        MalformedRecordError: A value is of a wrong type or out of range, or `user` is missing.
    """
    checked = checked_rating(user, "-", 0.0, timestamp, origin)
    vector = () if context is None else _vector("context", context)
    return Request(checked.user, checked.timestamp, origin, vector, headers)


def validated_rating(value: object) -> Rating:
    """Returns a `Rating` that a program made, or raises; its ids have to be strings.

    Raises:
        MalformedRecordError: It is no `Rating`, or a value is of a wrong type or out of range.
    """
    user, item, rating, timestamp, origin, features, weight, headers = _fields_of(value, Rating)
    _require_text(user=user, item=item, origin=origin)
    if features is not None:
        features = checked_features(*_fields_of(features, Features))
    strength, sent = _weight(weight), _checked_headers(headers)
    return checked_rating(user, item, rating, timestamp, origin, features, strength, sent)


def validated_request(value: object) -> Request:
    """Returns a `Request` that a program made, or raises; its user has to be a string.

    Raises:
        MalformedRecordError: It is no `Request`, or a value is of a wrong type or out of range.
    """
    user, timestamp, origin, context, headers = _fields_of(value, Request)
    _require_text(user=user, origin=origin)
    return checked_request(user, timestamp, context, origin, _checked_headers(headers))


def _weight(value: object) -> float:
    number = as_number("weight", value)
    if not math.isfinite(number):
        msg = f"weight is {number}, expected a finite number"
        raise MalformedRecordError(msg)
    return number


def _checked_headers(headers: Any) -> tuple[Header, ...]:
    try:
        pairs = tuple(Header(key, value) for key, value in headers)
    except (TypeError, ValueError) as e:
        msg = f"headers is {shown(headers)}, expected pairs of a string and bytes"
        raise MalformedRecordError(msg) from e
    for key, value in pairs:
        _require_text(header=key)
        if type(value) is not bytes:
            msg = f"the header {key} is of type {type(value).__name__}, expected bytes"
            raise MalformedRecordError(msg)
    return pairs


def _fields_of(value: object, kind: type[Rating] | type[Request] | type[Features]) -> Any:
    # Behind a shuffle, Beam's RowCoder makes named tuples of its own.
    if getattr(value, "_fields", None) != kind._fields:
        msg = f"{shown(value)} is of type {type(value).__name__}, expected a {kind.__name__}"
        raise MalformedRecordError(msg)
    return value


def _require_text(**named: object) -> None:
    for name, value in named.items():
        if type(value) is not str:
            msg = f"{name} is {shown(value)} of type {type(value).__name__}, expected a string"
            raise MalformedRecordError(msg)
        try:
            value.encode("utf-8")
        except UnicodeEncodeError as e:
            msg = f"{name} is {shown(value)}, expected a string that UTF-8 can encode"
            raise MalformedRecordError(msg) from e


def checked_features(user: object, item: object, context: object) -> Features | None:
    """Makes `Features` of decoded values, None if all three are missing (None), or raises.

    Raises:
        MalformedRecordError: A value is no list of finite numbers, or too long.
    """
    if user is None and item is None and context is None:
        return None
    named = {"user_features": user, "item_features": item, "context": context}
    return Features(*(() if v is None else _vector(name, v) for name, v in named.items()))


def _vector(name: str, value: object) -> tuple[float, ...]:
    if not isinstance(value, list | tuple):
        msg = f"{name} is of type {type(value).__name__}, expected a list of numbers"
        raise MalformedRecordError(msg)
    if len(value) > MAX_FEATURES:
        msg = f"{name} has {len(value)} numbers, expected at most {MAX_FEATURES}"
        raise MalformedRecordError(msg)
    numbers = tuple(as_number(name, one) for one in value)
    if not all(map(math.isfinite, numbers)):
        msg = f"{name} holds a number that is not finite"
        raise MalformedRecordError(msg)
    return numbers


def checked_evaluation(fields: dict[str, Any]) -> Evaluation:
    """Makes an `Evaluation` of decoded values, or raises.

    Args:
        fields: By the names of `Evaluation`; further ones are ignored.

    Raises:
        MalformedRecordError: A value is missing, of a wrong type, or out of range.
    """
    get = fields.get
    for name in ("origin", "user", "item", "model"):
        if type(get(name)) is not str or not get(name):
            msg = f"{name} is {shown(get(name))}, expected a string with something in it"
            raise MalformedRecordError(msg)
    candidates = get("candidates")
    if type(candidates) is not int or candidates < 0:
        msg = f"candidates is {shown(candidates)}, expected a whole number, 0 or more"
        raise MalformedRecordError(msg)
    for name in ("rank", "popular_rank"):
        rank = get(name, 0)
        if rank is not None and (type(rank) is not int or not 1 <= rank <= candidates):
            found = shown(rank) if name in fields else "missing"
            msg = f"{name} is {found}, expected null or 1 to {candidates}, its candidates"
            raise MalformedRecordError(msg)
    for name in ("items", "popular_items"):
        items = get(name)
        if type(items) is not list or not all(type(item) is str for item in items):
            msg = f"{name} is no list of strings"
            raise MalformedRecordError(msg)
    for name in ("timestamp", "update_us", "top_n_us"):
        if not 0.0 <= as_number(name, get(name)) < math.inf:
            msg = f"{name} is {get(name)}, expected a finite number, 0 or more"
            raise MalformedRecordError(msg)
    return Evaluation(*(fields[name] for name in Evaluation._fields))


def shown(value: object) -> str:
    """Returns a value for a reason, cut if it is long."""
    text = repr(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."


def _identifier(name: str, value: object) -> str:
    if value is None:
        msg = f"{name} is missing"
    elif isinstance(value, UUID):
        return str(value)
    elif value == "":
        msg = f"{name} is empty"
    else:
        msg = f"{name} is of type {type(value).__name__}, expected a string or a whole number"
        if isinstance(value, dict):
            msg += f"; name the path of its id, as in --fields {name}={name}.id"
    raise MalformedRecordError(msg)


def as_number(name: str, value: object) -> float:
    """Returns a number as a float, or raises.

    Raises:
        MalformedRecordError: It is missing (None), no number, or too large for a float.
    """
    if type(value) is float:
        return value
    if type(value) is int or isinstance(value, Decimal):
        try:
            return float(value)
        except OverflowError as e:
            msg = f"{name} is too large a number"
            raise MalformedRecordError(msg) from e
    if value is None:
        msg = f"{name} is missing"
    else:
        msg = f"{name} is of type {type(value).__name__}, expected a number"
    raise MalformedRecordError(msg)


def optional_number(value: object) -> float | None:
    """Returns a rating; None for null and for text without content.

    Raises:
        MalformedRecordError: It is no number.
    """
    if type(value) is str:
        return number_of_text("rating", value) if value and not value.isspace() else None
    if value is None:
        return None
    return as_number("rating", value)


def number_of_text(name: str, text: str) -> float:
    """Returns the number that a text writes, or raises.

    Raises:
        MalformedRecordError: It writes none.
    """
    # float() takes 1_000 for a number, and no writer of ratings means that.
    if "_" not in text:
        try:
            return float(text)
        except ValueError:
            pass
    msg = f"{name} is {text[:40]!r}, expected a number"
    raise MalformedRecordError(msg)
