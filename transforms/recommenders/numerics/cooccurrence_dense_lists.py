"""Kernels that list from a matrix of counts, for most lists without all rows of a history.

Rows weigh less the older their items are. All that some of them add to any score is at most the
sum of their largest counts, weighted. So once the others are added up, most items can no longer
reach the list, and what is left of the rows is read for the few that can. That is MaxScore with
rows for terms: H. Turtle, J. Flood. Query Evaluation: Strategies and Optimizations. IP&M 31, 1995.
Lists are those of all rows, to the bit.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from transforms.recommenders.numerics.cooccurrence_arrays import (
    ColumnArrays,
    Listing,
    MatrixArrays,
)
from transforms.recommenders.numerics.cooccurrence_lists import (
    best_of,
    complete,
    complete_some,
    sum_dense,
)
from transforms.recommenders.numerics.habit_arrays import Mixture, TransitionArrays
from transforms.recommenders.numerics.jit import ZERO, compile_exact
from transforms.recommenders.numerics.top_n import keep_best
from transforms.recommenders.numerics.transition_kernels import add_transitions

_LEFT: Final = 0.04
"""Rows are left that have at most this share of what all of them could add to a score."""

_WORTHWHILE: Final = 12
"""Fewer rows are not left: finding who can still reach the list costs as much as these."""

_FEW: Final = 0.08
"""What is left of the rows is read for at most this share of the items, else for all."""

_ROUNDING: Final = 1.0 + 1e-9
"""More than a sum of a million products of doubles, none negative, can be off, relatively."""


@compile_exact
def _rows_to_leave(
    largest: NDArray[np.float32], rows: NDArray[np.int32], factors: NDArray[np.float64]
) -> tuple[int, float]:
    """Returns how many of the last rows may be left, and the most that they add to a sum."""
    total = 0.0
    for number in range(len(rows)):
        total += factors[number] * largest[rows[number]]
    most, left = 0.0, ZERO
    for number in range(len(rows) - 1, -1, -1):
        with_one_more = most + factors[number] * largest[rows[number]]
        if with_one_more > _LEFT * total:
            break
        most = with_one_more
        left += 1
    return left, most


@compile_exact
def _find_able(
    columns: ColumnArrays,
    mixture: Mixture,
    slot: int,
    most: float,
    least: float,
    scores: NDArray[np.float64],
    able: NDArray[np.int32],
) -> int:
    """Finds the columns whose score can still reach a list.

    Args:
        columns: Of the items that are listed here.
        mixture: What `mix` filled.
        slot: The row of it.
        most: What the sum of a column's counts can still rise by.
        least: A score below this is not in the list.
        scores: Of each column without that, shape (n_column,).
        able: Is filled with the columns, ascending, shape (f,).

    Returns:
        How many there are; f if there may be more.
    """
    count, norms, has_cosine = ZERO, columns.norms, mixture.cosine[slot]
    for column in range(len(scores)):
        rise = most * norms[column] if has_cosine else most
        if (scores[column] + rise) * _ROUNDING >= least:
            if count == len(able):
                break
            able[count] = column
            count += 1
    return count


@compile_exact
def _list_the_able(
    counts: MatrixArrays,
    transitions: TransitionArrays,
    columns: ColumnArrays,
    mixture: Mixture,
    slot: int,
    first: int,
    able: NDArray[np.int32],
    scores: NDArray[np.float64],
    best: NDArray[np.int32],
    best_scores: NDArray[np.float64],
) -> int:
    """Adds what is left of the rows for some columns, and fills a list of these.

    Args:
        counts: As in `list_dense`, as are the next three.
        transitions: Likewise.
        columns: Likewise.
        mixture: Likewise.
        slot: The row of it.
        first: How many rows are added up.
        able: The columns, ascending.
        scores: The sums of these rows; no scores afterwards.
        best: Is filled.
        best_scores: Is filled.

    Returns:
        The length of the list.
    """
    for number in range(first, mixture.rows[slot]):
        row, factor = counts.values[mixture.recent[slot, number]], mixture.factors[slot, number]
        for column in able:
            scores[column] += factor * row[column]
    add_transitions(transitions, columns, mixture, slot, scores)
    complete_some(columns, mixture, slot, able, scores)
    count = ZERO
    for column in able:
        count = keep_best(best_scores, best, count, scores[column], column)
    for place in range(count):
        best[place] = columns.items[best[place]]
    return count


@compile_exact
def list_dense(
    counts: MatrixArrays,
    transitions: TransitionArrays,
    columns: ColumnArrays,
    mixture: Mixture,
    number: int,
    listing: Listing,
    place: int,
) -> None:
    """Makes the list as of a positive.

    Args:
        counts: As of it, as are `transitions` and `columns`.
        transitions: Which item follows which.
        columns: Of the items that are listed here.
        mixture: What `mix` filled.
        number: Of the positive.
        listing: Is filled.
        place: Of its list among the lists.
    """
    n_column = listing.column_counts[number]
    scores = listing.scores[:n_column]
    excluded = listing.excluded[listing.excluded_ends[number] : listing.excluded_ends[number + 1]]
    best, best_scores = listing.best[place], listing.best_scores[place]
    n_row = mixture.rows[number]
    rows, factors = mixture.recent[number, :n_row], mixture.factors[number, :n_row]
    left, most = _rows_to_leave(counts.largest, rows, factors)
    first = n_row - left if left > _WORTHWHILE else n_row
    scores[:] = 0.0
    sum_dense(counts.values, rows[:first], factors[:first], scores)
    if first < n_row:
        bounds, few = listing.bounds[:n_column], int(_FEW * n_column)
        for column in range(n_column):
            bounds[column] = scores[column]
        add_transitions(transitions, columns, mixture, number, bounds)
        complete(columns, mixture, number, bounds)
        length = best_of(bounds, columns, excluded, best, best_scores)
        count = few
        if length == len(best):
            least, able = best_scores[length - 1], listing.able[:few]
            count = _find_able(columns, mixture, number, most, least, bounds, able)
        if count < few:
            listing.counts[place] = _list_the_able(
                counts,
                transitions,
                columns,
                mixture,
                number,
                first,
                listing.able[:count],
                scores,
                best,
                best_scores,
            )
            return
        sum_dense(counts.values, rows[first:], factors[first:], scores)
    add_transitions(transitions, columns, mixture, number, scores)
    complete(columns, mixture, number, scores)
    listing.counts[place] = best_of(scores, columns, excluded, best, best_scores)


@compile_exact
def list_each_dense(
    counts: MatrixArrays,
    transitions: TransitionArrays,
    columns: ColumnArrays,
    listed: NDArray[np.bool],
    mixture: Mixture,
    listing: Listing,
) -> None:
    """Makes all lists from the counts as they are, see `list_dense`."""
    place = ZERO
    for number in range(len(listed)):
        if listed[number]:
            list_dense(counts, transitions, columns, mixture, number, listing, place)
            place += 1
