"""The records that flow: immutable, typed, each carrying where it came from."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, Final, NamedTuple, overload

from transforms.errors import MalformedRecordError

MAX_ID_LENGTH: Final = 1000
"""Longer ids are refused: a list of them would be more than a broker takes."""

MAX_FEATURES: Final = 10_000
"""Longer feature vectors are refused."""

_SHOWN: Final = 60


class Features(NamedTuple):
    """What a rating says of its user, its item and its circumstances; finite numbers.

    Attributes:
        user: Of the user, such as age and sex; empty if nothing is said.
        item: Of the item, such as its genres; empty if nothing is said.
        context: Of the event, such as the day of the week; empty if nothing is said.
    """

    user: Sequence[float] = ()
    item: Sequence[float] = ()
    context: Sequence[float] = ()


class Header(NamedTuple):
    """A header of a Kafka record."""

    key: str
    value: bytes


class Rating(NamedTuple):
    """One user's rating of one item.

    Attributes:
        user: Id of the user, as it came.
        item: Id of the item, as it came.
        rating: How much the user liked the item; finite.
        timestamp: Event time in seconds since the epoch; finite and not negative.
        origin: Where it was read, `topic-partition-offset` or `file:line`.
        features: For models that use them; None if the record has none.
        weight: Strength of the interaction, finite. Above 0 it is learned with that strength; 0
            only marks the item as seen; below 0 the user does not want the item.
        headers: Headers that come back on the rating's recommendation.
    """

    user: str
    item: str
    rating: float
    timestamp: float
    origin: str = ""
    features: Features | None = None
    weight: float = 1.0
    headers: Sequence[Header] = ()


def rating_columns(ratings: Sequence[Rating]) -> list[Sequence[object]]:
    """Returns a column for each field; empty where all features, weights or headers are default."""
    if not ratings:
        return []
    *plain, features, weights, headers = zip(*ratings, strict=True)
    return [
        *plain,
        features if any(features) else (),
        weights if weights.count(1.0) < len(weights) else (),
        list(map(text_headers, headers)) if any(headers) else (),
    ]


def ratings_of_columns(columns: Sequence[Sequence[Any]]) -> list[Rating]:
    """Returns the ratings that `rating_columns` took apart."""
    if not columns:
        return []
    *plain, features, weights, headers = columns
    if not features and not weights and not headers:
        return list(map(Rating, *plain))
    count = len(plain[0])
    each = (None if f is None else Features(*map(tuple, f)) for f in features or [None] * count)
    sent = map(headers_of_text, headers) if headers else itertools.repeat((), count)
    return list(map(Rating, *plain, each, weights or [1.0] * count, sent))


def text_headers(headers: Sequence[Header]) -> list[tuple[str, str]]:
    """Returns headers for a JSON document, their bytes as the characters of Latin-1."""
    return [(key, value.decode("latin-1")) for key, value in headers]


def headers_of_text(headers: Sequence[tuple[str, str]]) -> tuple[Header, ...]:
    """Returns the headers that `text_headers` wrote."""
    return tuple(Header(key, value.encode("latin-1")) for key, value in headers)


class Request(NamedTuple):
    """Somebody asks for a user's list, without a rating.

    Attributes:
        user: Whose list.
        timestamp: When it was asked, in seconds since the epoch; 0 if nobody knows.
        origin: Where it was read.
        context: The circumstances, as in `Features`.
        headers: Headers that come back on the recommendation.
    """

    user: str
    timestamp: float = 0.0
    origin: str = ""
    context: Sequence[float] = ()
    headers: Sequence[Header] = ()


class ScoredItem(NamedTuple):
    """An item of a list, and its score: the higher, the better."""

    item: str
    score: float


# Makes the same as `ScoredItem`, at half the cost.
_NEW_SCORED: Final = partial(tuple.__new__, ScoredItem)


class ScoredItems(Sequence[ScoredItem]):
    """A list as two columns, best first; the pairs are made when somebody reads them.

    Attributes:
        items: Ids.
        scores: Theirs.
    """

    __slots__ = ("items", "scores")

    def __init__(self, items: list[str], scores: list[float]) -> None:
        self.items = items
        self.scores = scores

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[ScoredItem]:
        return map(_NEW_SCORED, zip(self.items, self.scores, strict=True))

    @overload
    def __getitem__(self, index: int) -> ScoredItem: ...

    @overload
    def __getitem__(self, index: slice) -> list[ScoredItem]: ...

    def __getitem__(self, index: int | slice) -> ScoredItem | list[ScoredItem]:
        return list(self)[index]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(list(self))


class Recommendation(NamedTuple):
    """A user's top-N as it stands after the rating, or at the request, at `origin`.

    Attributes:
        user: Whom the list is for.
        items: The list, best first.
        timestamp: Time of the rating or request that caused it, in seconds.
        origin: Where that was read; makes a repeated output recognisable.
        fallback: Empty, or `popular`: nobody has seen the user, and these are the items that
            most have; a score is then the number of positives.
        headers: Headers of the rating or request, for the record of the output topic.
    """

    user: str
    items: Sequence[ScoredItem]
    timestamp: float
    origin: str
    fallback: str = ""
    headers: Sequence[Header] = ()


class DeadLetter(NamedTuple):
    """A record that could not be used, with all that is needed to send it again.

    Attributes:
        origin: Where it was read.
        stage: The stage that gave it up: `read`, `parse`, or `write` for a record of the output.
        reason: Why, for a person to read.
        value: Its bytes as they came, or were to be written; empty where there were none.
        key: Its Kafka key; None if it had none.
        headers: Its Kafka headers.
        time: When the broker got it, in seconds since the epoch; 0 if nobody knows.
        exception: Class of the error that gave it up, with its module; empty if there was none.
    """

    origin: str
    stage: str
    reason: str
    value: bytes
    key: bytes | None = None
    headers: Sequence[Header] = ()
    time: float = 0.0
    exception: str = ""


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
    user: object,
    item: object,
    rating: object,
    timestamp: object,
    origin: str,
    features: Features | None = None,
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
    return Rating(user, item, number, seconds, origin, features)


def checked_request(user: object, timestamp: object, context: object, origin: str) -> Request:
    """Makes a `Request` of decoded values, or raises; `checked_rating` says what values may be.

    Raises:
        MalformedRecordError: A value is of a wrong type or out of range, or `user` is missing.
    """
    checked = checked_rating(user, "-", 0.0, timestamp, origin)
    vector = () if context is None else _vector("context", context)
    return Request(checked.user, checked.timestamp, origin, vector)


def validated_rating(value: object) -> Rating:
    """Returns a `Rating` that a program made, or raises; its ids have to be strings.

    Raises:
        MalformedRecordError: It is no `Rating`, or a value is of a wrong type or out of range.
    """
    user, item, rating, timestamp, origin, features, weight, headers = _fields_of(value, Rating)
    _require_text(user=user, item=item, origin=origin)
    if features is not None:
        features = checked_features(*_fields_of(features, Features))
    checked = checked_rating(user, item, rating, timestamp, origin, features)
    return checked._replace(weight=_weight(weight), headers=_checked_headers(headers))


def validated_request(value: object) -> Request:
    """Returns a `Request` that a program made, or raises; its user has to be a string.

    Raises:
        MalformedRecordError: It is no `Request`, or a value is of a wrong type or out of range.
    """
    user, timestamp, origin, context, headers = _fields_of(value, Request)
    _require_text(user=user, origin=origin)
    checked = checked_request(user, timestamp, context, origin)
    return checked._replace(headers=_checked_headers(headers))


def _weight(value: object) -> float:
    number = _number("weight", value)
    if not math.isfinite(number):
        msg = f"weight is {number}, expected a finite number"
        raise MalformedRecordError(msg)
    return number


def _checked_headers(headers: Any) -> tuple[Header, ...]:
    try:
        pairs = tuple(Header(key, value) for key, value in headers)
    except (TypeError, ValueError) as e:
        msg = f"headers is {_shown(headers)}, expected pairs of a string and bytes"
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
        msg = f"{_shown(value)} is of type {type(value).__name__}, expected a {kind.__name__}"
        raise MalformedRecordError(msg)
    return value


def _require_text(**named: object) -> None:
    for name, value in named.items():
        if type(value) is not str:
            msg = f"{name} is {_shown(value)} of type {type(value).__name__}, expected a string"
            raise MalformedRecordError(msg)
        try:
            value.encode("utf-8")
        except UnicodeEncodeError as e:
            msg = f"{name} is {_shown(value)}, expected a string that UTF-8 can encode"
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
    numbers = tuple(_number(name, one) for one in value)
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
