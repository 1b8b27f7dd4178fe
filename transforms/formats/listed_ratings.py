"""Recommendations as columns: what a minibatch gives, without an object for each item and list."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import overload

import numpy as np
from numpy.typing import NDArray

from transforms.formats.records import Rating, Recommendation, ScoredItems


class TopNColumns(Sequence[ScoredItems]):
    """Top-N lists as arrays; each list is made when it is read.

    Attributes:
        ids: Ids of items, by index; further ones may be added, none changes.
        items: Indices of each list's items, best first, int32, shape (m, n).
        scores: Theirs, float64, shape (m, n).
        counts: Length of each list, int32, shape (m,).
    """

    __slots__ = ("counts", "ids", "items", "scores")

    def __init__(
        self,
        ids: Sequence[str],
        items: NDArray[np.int32],
        scores: NDArray[np.float64],
        counts: NDArray[np.int32],
    ) -> None:
        self.ids = ids
        self.items = items
        self.scores = scores
        self.counts = counts

    def __len__(self) -> int:
        return len(self.counts)

    def __iter__(self) -> Iterator[ScoredItems]:
        rows = zip(self.items.tolist(), self.scores.tolist(), self.counts.tolist(), strict=True)
        name = self.ids.__getitem__
        return (ScoredItems(list(map(name, row[:n])), scores[:n]) for row, scores, n in rows)

    @overload
    def __getitem__(self, index: int) -> ScoredItems: ...

    @overload
    def __getitem__(self, index: slice) -> TopNColumns: ...

    def __getitem__(self, index: int | slice) -> ScoredItems | TopNColumns:
        if isinstance(index, slice):
            return TopNColumns(self.ids, self.items[index], self.scores[index], self.counts[index])
        count = self.counts[index]
        names = map(self.ids.__getitem__, self.items[index, :count].tolist())
        return ScoredItems(list(names), self.scores[index, :count].tolist())

    def entries(self) -> tuple[list[int], NDArray[np.float64]]:
        """Returns the items of all lists end to end, as indices, and their scores."""
        listed = np.arange(self.items.shape[1]) < self.counts[:, np.newaxis]
        return self.items[listed].tolist(), self.scores[listed]


def joined(parts: Sequence[Sequence[ScoredItems]]) -> Sequence[ScoredItems]:
    """Returns lists that follow each other as one sequence: as columns if all parts are."""
    columns = [part for part in parts if isinstance(part, TopNColumns)]
    if len(columns) == len(parts) == 1:
        return columns[0]
    if columns and len(columns) == len(parts) and all(c.ids is columns[0].ids for c in columns):
        return TopNColumns(
            columns[0].ids,
            np.concatenate([part.items for part in columns]),
            np.concatenate([part.scores for part in columns]),
            np.concatenate([part.counts for part in columns]),
        )
    return [one for part in parts for one in part]


class ListedRatings(Sequence[Recommendation]):
    """Ratings with the list that follows each; the recommendations are made when they are read.

    Attributes:
        ratings: The ratings.
        lists: As many lists.
    """

    __slots__ = ("lists", "ratings")

    def __init__(self, ratings: Sequence[Rating], lists: TopNColumns) -> None:
        self.ratings = ratings
        self.lists = lists

    def __len__(self) -> int:
        return len(self.ratings)

    def __iter__(self) -> Iterator[Recommendation]:
        return map(recommendation_of, self.ratings, self.lists)

    @overload
    def __getitem__(self, index: int) -> Recommendation: ...

    @overload
    def __getitem__(self, index: slice) -> ListedRatings: ...

    def __getitem__(self, index: int | slice) -> Recommendation | ListedRatings:
        if isinstance(index, slice):
            return ListedRatings(self.ratings[index], self.lists[index])
        return recommendation_of(self.ratings[index], self.lists[index])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(list(self))


def recommendation_of(rating: Rating, items: ScoredItems) -> Recommendation:
    """Returns the recommendation that follows a rating."""
    return Recommendation(rating.user, items, rating.timestamp, rating.origin, "", rating.headers)
