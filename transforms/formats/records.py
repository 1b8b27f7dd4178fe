"""The records that flow: immutable, typed, each carrying where it came from."""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple

from transforms.errors import MalformedRecordError

MAX_ID_LENGTH: Final = 1000
"""Longer ids are refused: a list of them would be more than a broker takes."""

_SHOWN: Final = 60


class Rating(NamedTuple):
    """One user's rating of one item.

    Attributes:
        user: Id of the user, as it came.
        item: Id of the item, as it came.
        rating: How much the user liked the item; finite.
        timestamp: Event time in seconds since the epoch; finite and not negative.
        origin: Where it was read, `topic-partition-offset` or `file:line`.
    """

    user: str
    item: str
    rating: float
    timestamp: float
    origin: str = ""


class ScoredItem(NamedTuple):
    """An item of a list, and its score: the higher, the better."""

    item: str
    score: float


class Recommendation(NamedTuple):
    """A user's top-N as it stands after the rating at `origin` was learned.

    Attributes:
        user: Whom the list is for.
        items: The list, best first.
        timestamp: Event time of the rating that caused it, in seconds.
        origin: Where that rating was read; makes a repeated output recognisable.
    """

    user: str
    items: list[ScoredItem]
    timestamp: float
    origin: str


class DeadLetter(NamedTuple):
    """A record that could not be used.

    Attributes:
        origin: Where it was read.
        stage: The stage that gave it up: `read` or `parse`.
        reason: Why, for a person to read.
        value: Its bytes as they came; empty where there were none.
    """

    origin: str
    stage: str
    reason: str
    value: bytes


class Evaluation(NamedTuple):
    """What one positive showed of the recommender, tested before it was learned.

    Attributes:
        origin: Where the positive was read; the same in every record of the same test.
        user: Who chose the item.
        item: What was chosen.
        rank: The item's place among the candidates, from 1; None where it was none, a miss.
        candidates: How many items the user could have been shown; may be 0.
        model: The recommender's name.
        timestamp: Event time of the positive, in seconds.
        items: The list that the user would have been shown, best first.
        popular_rank: The item's place when the candidates are ordered by popularity.
        popular_items: The list in that order.
        update_us: Microseconds of learning the positive, averaged over its batch.
        top_n_us: Microseconds of making its list, averaged over its batch.
    """

    origin: str
    user: str
    item: str
    rank: int | None
    candidates: int
    model: str
    timestamp: float
    items: list[str]
    popular_rank: int | None
    popular_items: list[str]
    update_us: float
    top_n_us: float


def checked_rating(
    user: object, item: object, rating: object, timestamp: object, origin: str
) -> Rating:
    """Makes a `Rating` of decoded values, or raises.

    Ids may be strings or whole numbers; a number becomes its decimal string, so that
    the blog post's `{"user": 196}` and `{"user": "196"}` are the same user.

    Raises:
        MalformedRecordError: A value is missing (None), of a wrong type, or out of range.
    """
    if type(user) is not str or not user:
        user = _identifier("user", user)
    if type(item) is not str or not item:
        item = _identifier("item", item)
    if len(user) > MAX_ID_LENGTH or len(item) > MAX_ID_LENGTH:
        msg = f"an id of {max(len(user), len(item))} characters, expected at most {MAX_ID_LENGTH}"
        raise MalformedRecordError(msg)
    number = rating if type(rating) is float else _number("rating", rating)
    seconds = timestamp if type(timestamp) is float else _number("timestamp", timestamp)
    # One comparison refuses NaN and both infinities, as each makes it false.
    if not -math.inf < number < math.inf:
        msg = f"rating is {number}, expected a finite number"
        raise MalformedRecordError(msg)
    if not 0.0 <= seconds < math.inf:
        msg = f"timestamp is {seconds}, expected finite seconds since the epoch, 0 or later"
        raise MalformedRecordError(msg)
    return Rating(user, item, number, seconds, origin)


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
            msg = f"{name} is {_shown(get(name))}, expected a string with something in it"
            raise MalformedRecordError(msg)
    candidates = get("candidates")
    if type(candidates) is not int or candidates < 0:
        msg = f"candidates is {_shown(candidates)}, expected a whole number, 0 or more"
        raise MalformedRecordError(msg)
    for name in ("rank", "popular_rank"):
        rank = get(name, 0)
        if rank is not None and (type(rank) is not int or not 1 <= rank <= candidates):
            found = _shown(rank) if name in fields else "missing"
            msg = f"{name} is {found}, expected null or 1 to {candidates}, its candidates"
            raise MalformedRecordError(msg)
    for name in ("items", "popular_items"):
        items = get(name)
        if type(items) is not list or not all(type(item) is str for item in items):
            msg = f"{name} is no list of strings"
            raise MalformedRecordError(msg)
    for name in ("timestamp", "update_us", "top_n_us"):
        if not 0.0 <= _number(name, get(name)) < math.inf:
            msg = f"{name} is {get(name)}, expected a finite number, 0 or more"
            raise MalformedRecordError(msg)
    return Evaluation(*(fields[name] for name in Evaluation._fields))


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."


def _identifier(name: str, value: object) -> str:
    if value is None:
        msg = f"{name} is missing"
    elif type(value) is int:
        return str(value)
    elif value == "":
        msg = f"{name} is empty"
    else:
        msg = f"{name} is of type {type(value).__name__}, expected a string or a whole number"
    raise MalformedRecordError(msg)


def _number(name: str, value: object) -> float:
    if type(value) is int:
        try:
            return float(value)
        except OverflowError as e:
            msg = f"{name} is too large a number"
            raise MalformedRecordError(msg) from e
    if type(value) is float:
        return value
    if value is None:
        msg = f"{name} is missing"
    else:
        msg = f"{name} is of type {type(value).__name__}, expected a number"
    raise MalformedRecordError(msg)
