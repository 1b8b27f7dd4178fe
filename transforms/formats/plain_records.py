"""Plain records many at a time: user, item, rating and time as columns, each checked as a whole.

A record is plain if its shape has a `Plan.plain` and its values are sound. Most are; a record alone
is decoded, looked up and checked in three times the time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import orjson

from transforms.errors import MalformedRecordError
from transforms.formats import json_lines
from transforms.formats.detection import TreeDecoder, decode_message
from transforms.formats.pass_headers import passed
from transforms.formats.plans import Direct, Plan
from transforms.formats.rating_columns import Columns, RatingColumns
from transforms.formats.records import MAX_ID_LENGTH, Header
from transforms.formats.validation import optional_number

# What orjson takes, these take alike.
_OF_ANY_JSON: Final = (json_lines.decode, decode_message)
_NUMBERS: Final = frozenset({int, float})
_ID_TYPES: Final = frozenset({int, str})


class Plain(NamedTuple):
    """Ratings that were read as columns.

    Attributes:
        ratings: One for each record.
        unrated: Indexes of those whose record has no rating.
    """

    ratings: RatingColumns
    unrated: list[int]


class PlainReader:
    """Reads records of which each is plain.

    Args:
        plans: Plans by shape, as far as they are known.
        clock: Returns seconds since the epoch, as `TimeReader.seconds`.
        seconds_below: Numbers below this are seconds already.
        max_record_bytes: A longer record is not plain.
        header_names: Headers that come with the ratings, in lower case.
    """

    def __init__(
        self,
        plans: Mapping[tuple[str, ...], Plan],
        clock: Callable[[object], float | None],
        seconds_below: float,
        max_record_bytes: int,
        header_names: Collection[str],
    ) -> None:
        self._plans = plans
        self._clock = clock
        self._seconds_below = seconds_below
        self._max_record_bytes = max_record_bytes
        self._header_names = header_names

    def read(
        self,
        values: Sequence[bytes | None],
        origins: Sequence[str],
        headers: Sequence[Sequence[Header]],
        decode: TreeDecoder,
        of_rows: Plan | None,
    ) -> Plain | None:
        """Returns the ratings of records; None if there is one that is not plain.

        Args:
            values: Of each record, at least one.
            origins: Of each record.
            headers: Of each record, or empty.
            decode: Decodes a value.
            of_rows: The plan, if values are rows of cells.
        """
        try:
            found = self._columns(values, decode, of_rows)
            if found is None:
                return None
            users, items = _ids(found[0]), _ids(found[1])
            ratings, unrated = _ratings(found[2])
            times = self._times(found[3])
        except (MalformedRecordError, orjson.JSONDecodeError, OverflowError):
            return None
        if users is None or items is None or ratings is None or times is None:
            return None
        sent = [passed(one, self._header_names) for one in headers]
        columns = Columns(users, items, ratings, times, origins)
        if any(sent):
            columns = columns._replace(headers=sent)
        return Plain(RatingColumns(columns), unrated)

    def _columns(
        self, values: Sequence[bytes | None], decode: TreeDecoder, of_rows: Plan | None
    ) -> list[list[Any]] | None:
        """Returns users, items, ratings and times of the records, as they are there."""
        present = [value for value in values if value is not None]
        if len(present) < len(values) or max(map(len, present)) > self._max_record_bytes:
            return None
        first = decode(present[0])
        # Spares decoding the others where shapes are of another kind.
        if self._look_up([first], of_rows) is None:
            return None
        decode = orjson.loads if decode in _OF_ANY_JSON else decode
        return self._look_up([first, *map(decode, present[1:])], of_rows)

    def _look_up(self, trees: Sequence[Any], of_rows: Plan | None) -> list[list[Any]] | None:
        if of_rows is not None:
            return _each(of_rows.plain, trees) if of_rows.plain else None
        if list(map(type, trees)).count(dict) < len(trees):
            return None
        shapes = list(map(tuple, trees))
        alike = shapes.count(shapes[0]) == len(shapes)
        getters = {}
        for shape in [shapes[0]] if alike else set(shapes):
            plan = self._plans.get(shape)
            if plan is None or plan.plain is None:
                return None
            getters[shape] = plan.plain
        if alike:
            return _each(getters[shapes[0]], trees)
        found = [
            [get(tree) for get in getters[shape]] for shape, tree in zip(shapes, trees, strict=True)
        ]
        return list(map(list, zip(*found, strict=True)))

    def _times(self, column: Sequence[Any]) -> list[float] | None:
        seconds: Sequence[Any] = column
        if not _NUMBERS.issuperset(map(type, column)) or not max(column) < self._seconds_below:
            seconds = list(map(self._clock, column))
            if None in seconds:
                return None
        times = np.array(seconds, dtype=np.float64)
        return times.tolist() if ((times >= 0.0) & (times < math.inf)).all() else None


def _each(getters: Iterable[Direct], trees: Sequence[Any]) -> list[list[Any]]:
    return [list(map(get, trees)) for get in getters]


def _ids(column: list[Any]) -> list[str] | None:
    kinds = set(map(type, column))
    if not kinds <= _ID_TYPES:
        return None
    ids = column if int not in kinds else list(map(str, column))
    lengths = set(map(len, ids))
    return ids if 0 not in lengths and max(lengths) <= MAX_ID_LENGTH else None


def _ratings(column: Sequence[Any]) -> tuple[list[float] | None, list[int]]:
    """Returns ratings, 1 for a record without one, and the indexes of such records."""
    if not _NUMBERS.issuperset(map(type, column)):
        column = list(map(optional_number, column))
    unrated = [at for at, one in enumerate(column) if one is None] if None in column else []
    if unrated:
        column = [1.0 if one is None else one for one in column]
    ratings = np.array(column, dtype=np.float64)
    return (ratings.tolist() if np.isfinite(ratings).all() else None), unrated
