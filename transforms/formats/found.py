"""What was in a batch of undecoded records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from transforms.formats.rating_columns import RatingParts
from transforms.formats.records import Rating, Request

TOMBSTONE: Final = "tombstone"
DELETE: Final = "delete"
EVENT: Final = "event"


class Unusable(NamedTuple):
    """An event that could not be used.

    Attributes:
        record: The record's place in its batch.
        origin: Of the event.
        reason: Why, for a person to read.
        value: The record's bytes; of one event among several in a record, that event in JSON.
        exception: Class of the error, with its module.
    """

    record: int
    origin: str
    reason: str
    value: bytes
    exception: str


class Skipped(NamedTuple):
    """A record or event that was understood and is not to be learned.

    Attributes:
        kind: `TOMBSTONE`, a null value; `DELETE`, the envelope says that the row is gone; or
            `EVENT`, the event's type has no weight.
        name: The event's type; else empty.
    """

    kind: str
    name: str = ""


@dataclass
class Found:
    """What was in a batch; each event is in one of the lists, in order.

    Attributes:
        parts: What can be learned; `ratings` has it as a sequence.
        requests: What is to be answered.
        unrated: Indexes of ratings whose event has no rating, so that theirs is 1.
        untimed: Indexes of ratings without a time of their own or of the broker; theirs is 0.
        skipped: What is filtered already here.
        unusable: What becomes a dead letter.
    """

    parts: RatingParts = field(default_factory=RatingParts)
    requests: list[Request] = field(default_factory=list)
    unrated: list[int] = field(default_factory=list)
    untimed: list[int] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    unusable: list[Unusable] = field(default_factory=list)

    @property
    def ratings(self) -> Sequence[Rating]:
        """What can be learned, in order."""
        return self.parts.joined()


def times_of(records: Sequence[str], found: Found) -> list[float | None]:
    """Returns the time of each record, of several events the first one's; None without one.

    Args:
        records: Their origins.
        found: What was in them.
    """
    untimed = set(found.untimed)
    known = set(records)
    first: dict[str, float | None] = {}
    for index, rating in enumerate(found.ratings):
        time = None if index in untimed else rating.timestamp
        whole = rating.origin in known
        first.setdefault(rating.origin if whole else rating.origin.rpartition("#")[0], time)
    return [first.get(record) for record in records]
