"""The records that flow: immutable, typed, each carrying where it came from."""

from __future__ import annotations

import math
from typing import Final, NamedTuple

from transforms.errors import MalformedRecordError

MAX_ID_LENGTH: Final = 1000
"""Longer ids are refused: a list of them would be more than a broker takes."""


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
