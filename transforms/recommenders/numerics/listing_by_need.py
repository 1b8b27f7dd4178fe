"""Kernels that list from sparse co-occurrence counts without a look at most of the items.

Only items that co-occur with a user's last items, that are one or two transitions from the newest
one, or that the user chose have a score beyond their prior, which rises with how often an item was
chosen and how recently. So beside them only the most popular items can be listed, and these are
kept at hand, see `memory.popular_items`. A list costs what the user's rows hold, however many items
there are.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from transforms.recommenders.numerics.cooccurrence_arrays import ColumnArrays, RowArrays
from transforms.recommenders.numerics.cooccurrence_lists import complete_some
from transforms.recommenders.numerics.habit_arrays import AFTER, BEFORE, Mixture, TransitionArrays
from transforms.recommenders.numerics.jit import ZERO, compile_exact

INCOMPLETE: Final = -1
"""Length of a list that takes a look at all items."""


class PopularArrays(NamedTuple):
    """The most popular of the items that are listed here, as of now or later.

    Attributes:
        columns: Theirs, shape (p,).
        chosen: The others' `chosen` is at most this.
        recent: The others' `recent` is at most this.
        starts: The others' `starts` is at most this.
        are_all: Whether there are no others.
    """

    columns: NDArray[np.int32]
    chosen: float
    recent: float
    starts: float
    are_all: bool


class Scratch(NamedTuple):
    """Room for the scores of one list; what it holds between two lists is of no meaning.

    Attributes:
        scores: By column, shape (n_column or more,).
        marks: Whether a score is of the list that `list_number` counts, same shape.
        touched: The columns that have a score, same shape.
        list_number: How many lists were made, shape (1,).
    """

    scores: NDArray[np.float64]
    marks: NDArray[np.int64]
    touched: NDArray[np.int32]
    list_number: NDArray[np.int64]


@compile_exact
def _touch(scratch: Scratch, column: int, mark: int, count: int) -> int:
    """Gives a column a score of 0 unless it has one or is excluded; returns how many have one."""
    if scratch.marks[column] < mark:
        scratch.marks[column] = mark
        scratch.scores[column] = 0.0
        scratch.touched[count] = column
        return count + 1
    return count


@compile_exact
def _sum_rows(rows: RowArrays, mixture: Mixture, slot: int, mark: int, scratch: Scratch) -> int:
    """Adds up the weighted rows of the newest items; returns how many columns were touched."""
    ids, values, scores, count = rows.ids, rows.values, scratch.scores, ZERO
    for age in range(mixture.rows[slot]):
        row, factor = mixture.recent[slot, age], mixture.factors[slot, age]
        for place in range(rows.starts[row], rows.starts[row] + rows.sizes[row]):
            count = _touch(scratch, ids[place], mark, count)
            scores[ids[place]] += factor * values[place]
    return count


@compile_exact
def _add_transitions(
    transitions: TransitionArrays,
    columns: ColumnArrays,
    mixture: Mixture,
    slot: int,
    mark: int,
    count: int,
    scratch: Scratch,
) -> int:
    """Adds the weighted transitions of all steps; returns how many columns are touched."""
    ids, counts = transitions.ids, transitions.counts
    for step in range(mixture.steps[slot]):
        row = mixture.step_rows[slot, step]
        start = transitions.starts[row]
        after, before = mixture.after_weights[slot, step], mixture.before_weights[slot, step]
        for place in range(start, start + transitions.sizes[row]):
            column = columns.of[ids[place]]
            if column >= 0:
                count = _touch(scratch, column, mark, count)
                sum_of_both = after * counts[place, AFTER] + before * counts[place, BEFORE]
                scratch.scores[column] += sum_of_both
    return count


@compile_exact
def _keep_better(
    values: NDArray[np.float64], best: NDArray[np.int32], count: int, score: float, index: int
) -> int:
    """Does what `top_n.keep_best` does with indices in any order: the lower of equals is better."""
    n = len(values)
    if count == n and (score < values[n - 1] or (score == values[n - 1] and index > best[n - 1])):
        return count
    place = min(count, n - 1)
    while place > 0 and (
        values[place - 1] < score or (values[place - 1] == score and best[place - 1] > index)
    ):
        values[place] = values[place - 1]
        best[place] = best[place - 1]
        place -= 1
    values[place] = score
    best[place] = index
    return min(count + 1, n)


@compile_exact
def list_by_need(
    rows: RowArrays,
    transitions: TransitionArrays,
    columns: ColumnArrays,
    mixture: Mixture,
    slot: int,
    n_column: int,
    popular: PopularArrays,
    excluded: NDArray[np.int32],
    scratch: Scratch,
    best: NDArray[np.int32],
    best_scores: NDArray[np.float64],
) -> int:
    """Fills a list, to the bit as `score_sparse` and a look at all scores would.

    Args:
        rows: The counts.
        transitions: Which item follows which.
        columns: Of the items that are listed here.
        mixture: What `mix` filled.
        slot: The row of it.
        n_column: Columns from this one on did not exist yet.
        popular: The most popular items.
        excluded: Items that are not listed.
        scratch: Is used.
        best: Is filled with the list, shape (n,).
        best_scores: Is filled with its scores, shape (n,).

    Returns:
        The length of the list; `INCOMPLETE` if an item beyond those that were looked at could
        be in it.
    """
    scores, touched = scratch.scores, scratch.touched
    scratch.list_number[0] += 1
    mark = 2 * scratch.list_number[0]
    for item in excluded:
        if columns.of[item] >= 0:
            scratch.marks[columns.of[item]] = mark + 1
    count = _sum_rows(rows, mixture, slot, mark, scratch)
    count = _add_transitions(transitions, columns, mixture, slot, mark, count, scratch)
    for age in range(mixture.places[slot]):
        column = columns.of[mixture.recent[slot, age]]
        if column >= 0:
            count = _touch(scratch, column, mark, count)
    for column in popular.columns:
        if column < n_column:
            count = _touch(scratch, column, mark, count)
    complete_some(columns, mixture, slot, touched[:count], scores)
    prior, recent_prior = mixture.priors[slot, 0], mixture.priors[slot, 1]
    most = prior * popular.chosen + recent_prior * popular.recent
    most += mixture.priors[slot, 2] * popular.starts
    length = ZERO
    for number in range(count):
        column = touched[number]
        length = _keep_better(best_scores, best, length, scores[column], column)
    if not popular.are_all and not (length == len(best) and best_scores[length - 1] > most):
        return INCOMPLETE
    for place in range(length):
        best[place] = columns.items[best[place]]
    return length


@compile_exact
def follow_popular(
    columns: ColumnArrays,
    changed: NDArray[np.int32],
    floor: float,
    recent_floor: float,
    starts_floor: float,
    is_popular: NDArray[np.bool],
    popular: NDArray[np.int32],
    count: int,
) -> int:
    """Adds items that rose above what the others have to the popular ones; returns how many.

    Args:
        columns: Of the items that are listed here.
        changed: The items that rose.
        floor: The others' `chosen` was at most this.
        recent_floor: The others' `recent` was at most this.
        starts_floor: The others' `starts` was at most this.
        is_popular: Of all columns; changes.
        popular: The popular columns, and room for all of `changed`.
        count: How many there are.
    """
    for item in changed:
        column = columns.of[item]
        if column < 0 or is_popular[column]:
            continue
        rose = columns.chosen[column] > floor or columns.recent[column] > recent_floor
        if rose or columns.starts[column] > starts_floor:
            is_popular[column] = True
            popular[count] = column
            count += 1
    return count
