"""Which positives of a stream are tests, and which are only learned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from transforms.formats.records import Rating

PREQUENTIAL: Final = "prequential"
NEXT_CLICK: Final = "next_click"
PRESETS: Final[Mapping[str, float]] = {"five_star": 5.0, "positives": 3.0}
"""Protocols on MovieLens 100K: prequential, with this rating as the lowest."""

PROTOCOLS: Final = (*PRESETS, PREQUENTIAL, NEXT_CLICK)
_TUNED_ON: Final = 0.25


@dataclass(frozen=True)
class Stream:
    """Positives to learn in their order, some of them tested first.

    Attributes:
        ratings: In the order of learning.
        tested: Whether each is tested before it is learned, as long as `ratings`. Only positives
            are: no rating that marks its item as seen or unwanted.
        protocol: What made the tests.
    """

    ratings: Sequence[Rating]
    tested: Sequence[bool]
    protocol: str

    def __post_init__(self) -> None:
        """Raises ValueError for a rating that cannot be tested."""
        for rating, is_tested in zip(self.ratings, self.tested, strict=True):
            if is_tested and rating.weight <= 0:
                msg = f"{rating.origin} has the weight {rating.weight}, expected a positive to test"
                raise ValueError(msg)

    @property
    def tests(self) -> int:
        """Number of tests."""
        return sum(self.tested)


def prequential(ratings: Sequence[Rating], warm_up: float) -> Stream:
    """Returns a stream whose first share is only learned, and the rest tested, then learned.

    Args:
        ratings: In the order of time.
        warm_up: The share, 0 to below 1.

    Raises:
        ValueError: The share is out of range.
    """
    if not 0 <= warm_up < 1:
        msg = f"warm_up is {warm_up}, expected 0 to below 1"
        raise ValueError(msg)
    first = int(warm_up * len(ratings))
    tested = [number >= first and rating.weight > 0 for number, rating in enumerate(ratings)]
    return Stream(ratings, tested, PREQUENTIAL)


def next_click(learned: Sequence[Rating], test: Sequence[Rating]) -> Stream:
    """Returns a stream that tests each click of a session but its first, in the test part alone.

    Args:
        learned: The training part, in the order of time; a user is a session.
        test: The test part, in the order of time, learned after it.
    """
    begun: set[str] = set()
    tested = [False] * len(learned)
    for click in test:
        tested.append(click.user in begun and click.weight > 0)
        if click.weight > 0:
            begun.add(click.user)
    return Stream([*learned, *test], tested, NEXT_CLICK)


def tuning_part(stream: Stream) -> Stream:
    """Returns what hyperparameters may be chosen on.

    Of a prequential stream that is what it only learns, a quarter of it learned and the rest
    tested; of sessions it is the stream itself, whose test part has to be a validation part.

    Raises:
        ValueError: A prequential stream learns nothing without testing it.
    """
    if stream.protocol == NEXT_CLICK:
        return stream
    first = stream.tested.index(True) if True in stream.tested else len(stream.tested)
    if not first:
        msg = "nothing to tune on: expected a warm_up above 0"
        raise ValueError(msg)
    return prequential(stream.ratings[:first], _TUNED_ON)
