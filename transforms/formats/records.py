"""The records of the pipeline: immutable, typed, each with its origin."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Final, NamedTuple, overload

MAX_ID_LENGTH: Final = 1000
"""In characters. A list of longer ids could exceed the message size of a broker."""

MAX_FEATURES: Final = 10_000
"""Maximum length of a feature vector."""


class Features(NamedTuple):
    """Feature vectors of a rating: finite numbers.

    Attributes:
        user: Features of the user, such as age and sex; empty without any.
        item: Features of the item, such as its genres; empty without any.
        context: Features of the event, such as the day of the week; empty without any.
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


NEW_RATING: Final = partial(tuple.__new__, Rating)
"""Makes the same as `Rating` of a tuple of all its fields, at half the cost."""


def text_headers(headers: Sequence[Header]) -> list[tuple[str, str]]:
    """Returns headers for a JSON document, their bytes as the characters of Latin-1."""
    return [(key, value.decode("latin-1")) for key, value in headers]


def headers_of_text(headers: Sequence[tuple[str, str]]) -> tuple[Header, ...]:
    """Returns the headers that `text_headers` wrote."""
    return tuple(Header(key, value.encode("latin-1")) for key, value in headers)


class Request(NamedTuple):
    """A request for a user's recommendations, without a rating.

    Attributes:
        user: Id of the user.
        timestamp: Time of the request, in seconds since the epoch; 0 if unknown.
        origin: Where it was read.
        context: Features of the request, as in `Features`.
        headers: Headers that come back on the recommendation.
    """

    user: str
    timestamp: float = 0.0
    origin: str = ""
    context: Sequence[float] = ()
    headers: Sequence[Header] = ()


class ScoredItem(NamedTuple):
    """A recommended item and its score; higher is better."""

    item: str
    score: float


# Makes the same as `ScoredItem`, at half the cost.
_NEW_SCORED: Final = partial(tuple.__new__, ScoredItem)


class ScoredItems(Sequence[ScoredItem]):
    """Recommended items as two columns, best first; the pairs are made when they are read.

    Attributes:
        items: Ids of the items.
        scores: Scores of the items.
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
    """A user's top-N after a rating, or at a request.

    Attributes:
        user: Id of the user.
        items: The top-N, best first.
        timestamp: Time of the rating or request, in seconds since the epoch.
        origin: Where the rating or request was read; identifies repeated output.
        fallback: Empty; or `popular` for an unknown user, who gets the most popular items, with
            their number of positives as scores.
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
        stage: The stage that rejected it: `read`, `parse`, or `write` for a record of the output.
        reason: Why, for a person to read.
        value: Its bytes as they came, or were to be written; empty without any. Of an event among
            several in one record, that event in JSON.
        key: Its Kafka key; None without one.
        headers: Its Kafka headers.
        time: When the broker got it, in seconds since the epoch; 0 if unknown.
        exception: Class of the error, with its module; empty without one.
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
    """The test of one positive before it was learned.

    Attributes:
        origin: Where the positive was read; identifies the test.
        user: Id of the user.
        item: Id of the item that the user chose.
        rank: The item's rank among the candidates, from 1; None if it was no candidate, a miss.
        candidates: Number of items that could have been recommended; may be 0.
        model: The recommender's name.
        timestamp: Event time of the positive, in seconds since the epoch.
        items: The top-N before the update, best first.
        popular_rank: The item's rank when the candidates are ordered by popularity.
        popular_items: The top-N in that order.
        update_us: Microseconds of learning the positive, averaged over its batch.
        top_n_us: Microseconds of making its top-N, averaged over its batch.
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
