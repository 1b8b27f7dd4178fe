"""Kernels that list from a matrix of counts, and skip rows that cannot change a list.

Rows weigh less the older their items are. What the last of them add to any score is at most the sum
of their largest counts, weighted. So once the others are added up, most items can no longer reach
the list, and the last rows are read only for the remaining candidates. This is MaxScore with rows
for terms: H. Turtle, J. Flood. Query Evaluation: Strategies and Optimizations. IP&M 31, 1995.
The lists are those of all rows, to the bit.
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

_SKIPPED: Final = 0.04
"""Maximum share of the skipped rows in what all rows can add to a score."""

_WORTHWHILE: Final = 12
"""Fewer rows are not skipped: finding the candidates costs as much as reading them."""

_FEW: Final = 0.08
"""With a larger share of the items as candidates the rows are read for all items."""

_ROUNDING: Final = 1.0 + 1e-9
"""Slack for rounding: the relative error of a sum of a million nonnegative products is smaller."""


@compile_exact
def _rows_to_skip(
    largest: NDArray[np.float32], rows: NDArray[np.int32], factors: NDArray[np.float64]
) -> tuple[int, float]:
    """Returns how many of the last rows to skip, and the most that they can add to a sum."""
    total = 0.0
    for number in range(len(rows)):
        total += factors[number] * largest[rows[number]]
    most, skipped = 0.0, ZERO
    for number in range(len(rows) - 1, -1, -1):
        with_one_more = most + factors[number] * largest[rows[number]]
        if with_one_more > _SKIPPED * total:
            break
        most = with_one_more
        skipped += 1
    return skipped, most


@compile_exact
def _find_candidates(
    columns: ColumnArrays,
    mixture: Mixture,
    slot: int,
    most: float,
    threshold: float,
    scores: NDArray[np.float64],
    candidates: NDArray[np.int32],
) -> int:
    """Finds the columns whose score can still reach the threshold of a list.

    Args:
        columns: Of the items that are listed here.
        mixture: What `mix` filled.
        slot: The row of it.
        most: How much the sum of a column's counts can still rise.
        threshold: An item with a lower score is not in the list.
        scores: Of each column without that, shape (n_column,).
        candidates: Is filled with the columns, ascending, shape (f,).

    Returns:
        How many there are; f if there may be more.
    """
    count, norms, has_cosine = ZERO, columns.norms, mixture.cosine[slot]
    for column in range(len(scores)):
        rise = most * norms[column] if has_cosine else most
        if (scores[column] + rise) * _ROUNDING >= threshold:
            if count == len(candidates):
                break
            candidates[count] = column
            count += 1
    return count


@compile_exact
def _list_candidates(
    counts: MatrixArrays,
    transitions: TransitionArrays,
    columns: ColumnArrays,
    mixture: Mixture,
    slot: int,
    first: int,
    candidates: NDArray[np.int32],
    scores: NDArray[np.float64],
    best: NDArray[np.int32],
    best_scores: NDArray[np.float64],
) -> int:
    """Adds the skipped rows for the candidates, and fills a list of these.

    Args:
        counts: As in `list_dense`, as are the next three.
        transitions: Likewise.
        columns: Likewise.
        mixture: Likewise.
        slot: The row of it.
        first: How many rows are added up.
        candidates: The columns, ascending.
        scores: The sums of these rows; no scores afterwards.
        best: Is filled.
        best_scores: Is filled.

    Returns:
        The length of the list.
    """
    for number in range(first, mixture.rows[slot]):
        row, factor = counts.values[mixture.recent[slot, number]], mixture.factors[slot, number]
        for column in candidates:
            scores[column] += factor * row[column]
    add_transitions(transitions, columns, mixture, slot, scores)
    complete_some(columns, mixture, slot, candidates, scores)
    count = ZERO
    for column in candidates:
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
    skipped, most = _rows_to_skip(counts.largest, rows, factors)
    first = n_row - skipped if skipped > _WORTHWHILE else n_row
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
            threshold, candidates = best_scores[length - 1], listing.candidates[:few]
            count = _find_candidates(columns, mixture, number, most, threshold, bounds, candidates)
        if count < few:
            listing.counts[place] = _list_candidates(
                counts,
                transitions,
                columns,
                mixture,
                number,
                first,
                listing.candidates[:count],
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
