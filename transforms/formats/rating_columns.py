"""Ratings as columns: what flows from the parser to the model, without an object for each."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple, overload

from transforms.formats.origins import Origins, Run
from transforms.formats.records import (
    NEW_RATING,
    Features,
    Header,
    Rating,
    headers_of_text,
    text_headers,
)

_PLAIN: Final = ((), (), ())


class Columns(NamedTuple):
    """A column for each field of m ratings, shape (m,).

    Attributes:
        users: As in `Rating`, as are all others.
        items: Likewise.
        ratings: Likewise.
        timestamps: Likewise.
        origins: Likewise.
        features: Empty if no rating has any.
        weights: Empty if all are 1.
        headers: Empty if no rating has any.
    """

    users: Sequence[str] = ()
    items: Sequence[str] = ()
    ratings: Sequence[float] = ()
    timestamps: Sequence[float] = ()
    origins: Sequence[str] = ()
    features: Sequence[Features | None] = ()
    weights: Sequence[float] = ()
    headers: Sequence[Sequence[Header]] = ()

    def filled(self) -> Columns:
        """Returns the same with no column left empty."""
        n = len(self.users)
        return self._replace(
            features=self.features or [None] * n,
            weights=self.weights or [1.0] * n,
            headers=self.headers or [()] * n,
        )


class RatingColumns(Sequence[Rating]):
    """Ratings that are made when they are read.

    Attributes:
        columns: Their fields.
    """

    __slots__ = ("columns",)

    def __init__(self, columns: Columns) -> None:
        self.columns = columns

    @property
    def are_plain(self) -> bool:
        """Whether all have a weight of 1 and no features."""
        return not self.columns.weights and not self.columns.features

    def keep(self, kept: Sequence[bool]) -> RatingColumns:
        """Returns those that are kept, with a flag for each rating."""
        return RatingColumns(Columns._make(_kept(column, kept) for column in self.columns))

    def take(self, places: Sequence[int]) -> RatingColumns:
        """Returns those at some places, in the order of these."""
        return RatingColumns(Columns._make(_taken(column, places) for column in self.columns))

    def __len__(self) -> int:
        return len(self.columns.users)

    def __iter__(self) -> Iterator[Rating]:
        return map(NEW_RATING, zip(*self.columns.filled(), strict=True))

    @overload
    def __getitem__(self, index: int) -> Rating: ...

    @overload
    def __getitem__(self, index: slice) -> RatingColumns: ...

    def __getitem__(self, index: int | slice) -> Rating | RatingColumns:
        if isinstance(index, slice):
            return RatingColumns(Columns._make(column[index] for column in self.columns))
        at = range(len(self))[index]
        return next(iter(self[at : at + 1]))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(list(self))


def _kept(column: Sequence[Any], kept: Sequence[bool]) -> Sequence[Any]:
    return (
        column.keep(kept) if isinstance(column, Origins) else list(itertools.compress(column, kept))
    )


def _taken(column: Sequence[Any], places: Sequence[int]) -> Sequence[Any]:
    if isinstance(column, Origins):
        return column.take(places)
    return [column[at] for at in places] if column else ()


def columns_of(ratings: Sequence[Rating]) -> Columns:
    """Returns the fields of ratings."""
    if isinstance(ratings, RatingColumns):
        return ratings.columns
    columns = Columns(*zip(*ratings, strict=True))
    features, weights, headers = columns[5:]
    return columns._replace(
        features=features if any(features) else (),
        weights=weights if weights.count(1.0) < len(weights) else (),
        headers=headers if any(headers) else (),
    )


class RatingParts:
    """Ratings that are added one by one, or many as columns."""

    def __init__(self) -> None:
        self._parts: list[Sequence[Rating]] = []
        self._count = 0

    def append(self, rating: Rating) -> None:
        """Adds a rating."""
        last = self._parts[-1] if self._parts else None
        if not isinstance(last, list):
            last = []
            self._parts.append(last)
        last.append(rating)
        self._count += 1

    def extend(self, ratings: Sequence[Rating]) -> None:
        """Adds several."""
        self._parts.append(ratings if isinstance(ratings, RatingColumns) else list(ratings))
        self._count += len(ratings)

    def joined(self) -> Sequence[Rating]:
        """Returns all, in order."""
        return joined_ratings(self._parts)

    def __len__(self) -> int:
        return self._count

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RatingParts) and list(self.joined()) == list(other.joined())

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(self.joined())


def kept_ratings(ratings: Sequence[Rating], kept: Sequence[bool]) -> Sequence[Rating]:
    """Returns the ratings that are kept, with a flag for each: as columns if they are columns."""
    if all(kept):
        return ratings
    if isinstance(ratings, RatingColumns):
        return ratings.keep(kept)
    return list(itertools.compress(ratings, kept))


def joined_ratings(parts: Sequence[Sequence[Rating]]) -> Sequence[Rating]:
    """Returns ratings that follow each other as one sequence: as columns if all parts are."""
    # What has only requests has no columns, whatever the ratings of the others are.
    parts = [part for part in parts if part]
    if len(parts) == 1:
        return parts[0]
    columns = [part.columns for part in parts if isinstance(part, RatingColumns)]
    if len(columns) < len(parts):
        return [rating for part in parts for rating in part]
    if not columns:
        return RatingColumns(Columns())
    if any(one[5:] != _PLAIN for one in columns):
        columns = [one.filled() for one in columns]
    return RatingColumns(Columns._make(map(_chained, zip(*columns, strict=True))))


def _chained(parts: Sequence[Sequence[Any]]) -> Sequence[Any]:
    origins = [part for part in parts if isinstance(part, Origins)]
    if len(origins) == len(parts):
        return Origins.joined(origins)
    return list(itertools.chain.from_iterable(parts))


def to_plain(ratings: Sequence[Rating]) -> list[Sequence[Any]]:
    """Returns a column for each field, for a JSON document; no columns of no ratings.

    In the place of origins there may be a list of sources, and the positions of each.
    """
    if not ratings:
        return []
    columns = columns_of(ratings)
    *plain, features, weights, headers = columns
    if isinstance(columns.origins, Origins):
        runs = columns.origins.runs
        plain[-1] = [[run.source for run in runs], *(run.positions for run in runs)]
    return [*plain, features, weights, list(map(text_headers, headers))]


def of_plain(columns: Sequence[Sequence[Any]]) -> RatingColumns:
    """Returns the ratings of which `to_plain` made columns."""
    if not columns:
        return RatingColumns(Columns())
    *plain, origins, features, weights, headers = columns
    if origins and isinstance(origins[0], list):
        sources, *positions = origins
        origins = Origins(map(Run._make, zip(sources, positions, strict=True)))
    made = [None if one is None else Features(*map(tuple, one)) for one in features]
    sent = list(map(headers_of_text, headers))
    return RatingColumns(Columns._make([*plain, origins, made, weights, sent]))
