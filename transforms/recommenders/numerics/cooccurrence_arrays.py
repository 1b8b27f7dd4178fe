"""The arrays that the kernels of `ItemKNN` read and write, in groups.

Compiled code takes a NamedTuple as it takes its fields, so a kernel has one parameter for each
group. Arrays are replaced when they grow, so groups are made anew for each call.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

SHORT, MEDIUM, LONG = range(3)
"""Rows of `Constants.recency`: a third of the half-life, the half-life, and three times it."""

TOTAL, RECENT_TOTAL, POSITIVES, EPOCH, STARTS_TOTAL, STARTS, STARTS_EPOCH = range(7)
"""Places in `ItemArrays.totals`."""


class Positives(NamedTuple):
    """Positives in their order, shape (m,) each.

    Attributes:
        users: Who chose.
        items: What.
        weights: Strengths.
        times: In seconds.
        listed: Whether a list is to be made after each.
    """

    users: NDArray[np.int32]
    items: NDArray[np.int32]
    weights: NDArray[np.float64]
    times: NDArray[np.float64]
    listed: NDArray[np.bool]

    def first(self, count: int) -> Positives:
        """Returns the first so many."""
        return Positives(
            self.users[:count],
            self.items[:count],
            self.weights[:count],
            self.times[:count],
            self.listed[:count],
        )


def unlisted_positive(user: int, item: int, weight: float, time: float) -> Positives:
    """Returns a single positive, as of which no list is made."""
    return Positives(
        np.array([user], dtype=np.int32),
        np.array([item], dtype=np.int32),
        np.array([weight]),
        np.array([time]),
        np.zeros(1, dtype=np.bool),
    )


class HistoryArrays(NamedTuple):
    """Each user's last items, the newest last.

    Attributes:
        ids: The pool, as are the next three, see `RaggedRows`.
        times: When each was chosen, in seconds.
        starts: Where each user's begin.
        sizes: How many each user has.
        streaks: How often each user's newest item was chosen in a row, less one, shape (n_user
            or more,), at most `STREAKS - 1`.
    """

    ids: NDArray[np.int32]
    times: NDArray[np.float64]
    starts: NDArray[np.int64]
    sizes: NDArray[np.int32]
    streaks: NDArray[np.int8]


class ItemArrays(NamedTuple):
    """What is known of each item by itself, shape (n_item or more,), and of all.

    Attributes:
        chosen: How often it was chosen, by weight.
        norms: `1 / sqrt(chosen + shrinkage)`.
        recent: The same as `chosen`, in units of `2 ** -EPOCH`, with a half-life.
        starts: How often it was the first of a history, by weight, in units of
            `2 ** -STARTS_EPOCH`, with a half-life.
        degrees: Sum of its co-occurrence counts.
        left: How often it was a user's newest item when they chose again.
        same: How often that was the same item.
        followed: How often another item was chosen next, by weight.
        preceded: How often it was chosen right after another item, by weight.
        totals: Shape (7,): sums of `chosen` and `recent`, positives learned, half-lives before
            the unit of `recent`; the sum of `starts`, histories begun, half-lives before its unit.
    """

    chosen: NDArray[np.float64]
    norms: NDArray[np.float64]
    recent: NDArray[np.float64]
    starts: NDArray[np.float64]
    degrees: NDArray[np.float64]
    left: NDArray[np.float64]
    same: NDArray[np.float64]
    followed: NDArray[np.float64]
    preceded: NDArray[np.float64]
    totals: NDArray[np.float64]


class ColumnArrays(NamedTuple):
    """The items that are listed here: all of them, or those of an item shard.

    Counts have a column for each, in the order of the items. Where all are listed, columns are
    items, and all other arrays are those of `ItemArrays` themselves.

    Attributes:
        of: Column of each item, shape (n_item or more,); of one that is listed elsewhere
            `-1 - number`, with its number among those.
        items: Item of each column, shape (n_column or more,).
        totals: As in `ItemArrays`, of all items.
        chosen: As in `ItemArrays`, by column.
        norms: Likewise.
        recent: Likewise.
        starts: Likewise.
    """

    of: NDArray[np.int32]
    items: NDArray[np.int32]
    totals: NDArray[np.float64]
    chosen: NDArray[np.float64]
    norms: NDArray[np.float64]
    recent: NDArray[np.float64]
    starts: NDArray[np.float64]


class MatrixArrays(NamedTuple):
    """Counts as a matrix.

    Attributes:
        values: The count of each item with each that is listed here, shape (n_item or more,
            n_column or more).
        largest: The largest of each row, shape (n_item or more,).
        elsewhere: The counts of items that are both listed elsewhere, those of a pair in the row
            of the higher number; empty if they are not kept.
    """

    values: NDArray[np.float32]
    largest: NDArray[np.float32]
    elsewhere: NDArray[np.float32]


class RowArrays(NamedTuple):
    """Sparse rows in a pool, see `RaggedRows`.

    Attributes:
        ids: Column of each entry.
        values: Its value.
        starts: Where each row starts.
        sizes: How many entries each row has.
        room: How many entries each row can have until it moves.
        free: The place in the pool from which on it is free, shape (1,).
        most: How many entries a row may have.
    """

    ids: NDArray[np.int32]
    values: NDArray[np.float32]
    starts: NDArray[np.int64]
    sizes: NDArray[np.int32]
    room: NDArray[np.int32]
    free: NDArray[np.int64]
    most: int


class Constants(NamedTuple):
    """Hyperparameters and what follows from them.

    Attributes:
        longest: Greatest length of a history.
        shrinkage: See `ItemKNN`.
        session_gap: Pause in seconds that ends a history; 0 for none.
        gap_weights: What to add to a count for each gap in a history, shape (longest,).
        recency: Weight of each age in a history for each of three half-lives, shape
            (3, longest); 0 from the first that does not count.
        ages: How many ages count, for each of them, shape (3,).
        tunes: Whether the best setting is looked for.
        learns_habits: Whether it is also learned where items do not repeat how people choose.
        growth: Weight of a positive in `recent` within a half-life, or of the start of a history
            in `starts`, shape (half-life,).
    """

    longest: int
    shrinkage: float
    session_gap: float
    gap_weights: NDArray[np.float64]
    recency: NDArray[np.float64]
    ages: NDArray[np.int64]
    tunes: bool
    learns_habits: bool
    growth: NDArray[np.float64]


class UpdateLog(NamedTuple):
    """What updates changed, as it was before, so that it can be restored.

    With fewer slots than positives the last one is used again, and nothing can be restored.

    Attributes:
        others: The items whose counts were added to, shape (slots, longest).
        counts: How many of a row of `others` count, shape (slots,).
        values: The counts before, in both directions, shape (slots, 2 * longest): those of the
            item's column, also where it is not listed here, and those of its row.
        places: Where they are in sparse rows, from the start of the row; `-1 - place` of one
            that is new. Same shape.
        items: `chosen`, `recent` and `starts` of the item before, shape (slots, 3).
        next_rows: The two items whose transitions were added to, -1 for none, shape (slots, 2).
        next_places: Where in the pool, shape (slots, 2).
        next_ids: The item that was there before, -1 for none, shape (slots, 2).
        next_counts: Its counts, shape (slots, 2, 2).
    """

    others: NDArray[np.int32]
    counts: NDArray[np.int32]
    values: NDArray[np.float32]
    places: NDArray[np.int64]
    items: NDArray[np.float64]
    next_rows: NDArray[np.int32]
    next_places: NDArray[np.int64]
    next_ids: NDArray[np.int32]
    next_counts: NDArray[np.float32]


class Listing(NamedTuple):
    """Lists that are made while m positives are learned, one after each that is listed.

    Attributes:
        column_counts: How many columns there were at each positive, shape (m,).
        excluded: Items that lists do not have, end to end.
        excluded_ends: Where each positive's begin and the last's end, shape (m + 1,).
        scores: Room for the score of each column, shape (n_column,).
        bounds: Room for what the score of each is at least, same shape.
        candidates: Room for columns, same shape.
        best: Is filled with the lists, shape (l, n).
        best_scores: Is filled with their scores, shape (l, n).
        counts: Is filled with the length of each list, shape (l,).
    """

    column_counts: NDArray[np.int64]
    excluded: NDArray[np.int32]
    excluded_ends: NDArray[np.int64]
    scores: NDArray[np.float64]
    bounds: NDArray[np.float64]
    candidates: NDArray[np.int32]
    best: NDArray[np.int32]
    best_scores: NDArray[np.float64]
    counts: NDArray[np.int32]


def no_listing() -> Listing:
    """Returns what makes no lists."""
    return Listing(
        np.zeros(0, dtype=np.int64),
        np.zeros(0, dtype=np.int32),
        np.zeros(1, dtype=np.int64),
        np.zeros(0),
        np.zeros(0),
        np.zeros(0, dtype=np.int32),
        np.zeros((0, 0), dtype=np.int32),
        np.zeros((0, 0)),
        np.zeros(0, dtype=np.int32),
    )


def empty_log(slots: int, longest: int) -> UpdateLog:
    """Returns a log to be filled."""
    return UpdateLog(
        np.empty((slots, longest), dtype=np.int32),
        np.zeros(slots, dtype=np.int32),
        np.empty((slots, 2 * longest), dtype=np.float32),
        np.empty((slots, 2 * longest), dtype=np.int64),
        np.empty((slots, 3)),
        np.full((slots, 2), -1, dtype=np.int32),
        np.empty((slots, 2), dtype=np.int64),
        np.empty((slots, 2), dtype=np.int32),
        np.empty((slots, 2, 2), dtype=np.float32),
    )
