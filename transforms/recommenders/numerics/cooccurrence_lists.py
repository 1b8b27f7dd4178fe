"""Kernels that list from co-occurrence counts, for one user or after each of many updates.

Lists after updates are made from the last to the first; after each list its update is undone by
swapping the values in the log with those in the counts, so that swapping again restores them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from transforms.recommenders.numerics.cooccurrence_arrays import (
    ColumnArrays,
    Constants,
    RowArrays,
    UpdateLog,
)
from transforms.recommenders.numerics.cooccurrence_scores import score_dense, score_sparse
from transforms.recommenders.numerics.cooccurrence_sparse_learning import swap_sparse
from transforms.recommenders.numerics.habit_arrays import Mixture, TransitionArrays
from transforms.recommenders.numerics.jit import compile_exact
from transforms.recommenders.numerics.listing_by_need import (
    INCOMPLETE,
    PopularArrays,
    Scratch,
    list_by_need,
)
from transforms.recommenders.numerics.top_n import keep_best
from transforms.recommenders.numerics.transition_kernels import swap_transition


@compile_exact
def _swap_dense(
    matrix: NDArray[np.float32],
    column_of: NDArray[np.int32],
    item: int,
    log: UpdateLog,
    slot: int,
) -> None:
    others, values = log.others[slot], log.values[slot]
    column = column_of[item]
    for gap in range(log.counts[slot]):
        other = others[gap]
        other_column = column_of[other]
        if column >= 0:
            before, after = values[2 * gap], matrix[other, column]
            matrix[other, column] = before
            values[2 * gap] = after
        if other_column >= 0:
            before, after = values[2 * gap + 1], matrix[item, other_column]
            matrix[item, other_column] = before
            values[2 * gap + 1] = after


@compile_exact
def _swap_item(
    columns: ColumnArrays, constants: Constants, item: int, before: NDArray[np.float64]
) -> None:
    column = columns.of[item]
    if column < 0:
        return
    chosen, recent = columns.chosen[column], columns.recent[column]
    columns.chosen[column], columns.recent[column] = before[0], before[1]
    before[0], before[1] = chosen, recent
    columns.norms[column] = 1.0 / np.sqrt(columns.chosen[column] + constants.shrinkage)


@compile_exact
def _best(
    scores: NDArray[np.float64],
    columns: ColumnArrays,
    excluded: NDArray[np.int32],
    best: NDArray[np.int32],
    best_scores: NDArray[np.float64],
) -> int:
    """Fills a list; returns its length."""
    for item in excluded:
        if columns.of[item] >= 0:
            scores[columns.of[item]] = -np.inf
    count = 0
    for column in range(len(scores)):
        count = keep_best(best_scores, best, count, scores[column], column)
    for place in range(count):
        best[place] = columns.items[best[place]]
    return count


@compile_exact
def top_n_after_each_dense(
    matrix: NDArray[np.float32],
    transitions: TransitionArrays,
    columns: ColumnArrays,
    constants: Constants,
    batch_items: NDArray[np.int32],
    column_counts: NDArray[np.int64],
    listed: NDArray[np.bool],
    log: UpdateLog,
    mixture: Mixture,
    excluded: NDArray[np.int32],
    excluded_ends: NDArray[np.int64],
    best: NDArray[np.int32],
    best_scores: NDArray[np.float64],
    counts: NDArray[np.int32],
) -> None:
    """Lists as of l of m positives, from the last to the first; restores all at the end.

    Args:
        matrix: As `learn_dense` left it, as are `transitions` up to `columns`, `log` and
            `mixture`.
        transitions: Which item follows which.
        columns: Of the items that are listed here.
        constants: Of the model.
        batch_items: Shape (m,).
        column_counts: How many columns there were at each positive, shape (m,).
        listed: Whether a list is made as of each, shape (m,).
        log: Of the updates.
        mixture: Of the lists.
        excluded: Items that lists do not have, end to end.
        excluded_ends: Where each positive's begin and the last's end, shape (m + 1,).
        best: Is filled with the lists, shape (l, n).
        best_scores: Is filled with their scores, shape (l, n).
        counts: Is filled with the length of each list, shape (l,).
    """
    buffer = np.empty(len(columns.norms))
    slot = len(counts)
    first = 0
    for number in range(len(batch_items) - 1, -1, -1):
        if listed[number]:
            slot -= 1
            scores = buffer[: column_counts[number]]
            score_dense(matrix, transitions, columns, mixture, number, scores)
            hidden = excluded[excluded_ends[number] : excluded_ends[number + 1]]
            counts[slot] = _best(scores, columns, hidden, best[slot], best_scores[slot])
        if slot == 0:
            # No list is of what was before this update.
            first = number
            break
        _swap_dense(matrix, columns.of, batch_items[number], log, number)
        _swap_item(columns, constants, batch_items[number], log.items[number])
        swap_transition(transitions, log, number)
    for number in range(first + 1, len(batch_items)):
        _swap_dense(matrix, columns.of, batch_items[number], log, number)
        _swap_item(columns, constants, batch_items[number], log.items[number])
        swap_transition(transitions, log, number)


@compile_exact
def top_n_sparse(
    rows: RowArrays,
    transitions: TransitionArrays,
    columns: ColumnArrays,
    mixture: Mixture,
    slot: int,
    popular: PopularArrays,
    scratch: Scratch,
    scores: NDArray[np.float64],
    excluded: NDArray[np.int32],
    best: NDArray[np.int32],
    best_scores: NDArray[np.float64],
) -> int:
    """Fills a list from sparse rows; returns its length.

    Args:
        rows: The counts.
        transitions: Which item follows which.
        columns: Of the items that are listed here.
        mixture: What `mix` filled.
        slot: The row of it.
        popular: The most popular items.
        scratch: Is used.
        scores: Room for the score of each column that there is, shape (n_column,).
        excluded: Items that are not listed.
        best: Is filled with the list, shape (n,).
        best_scores: Is filled with its scores, shape (n,).
    """
    n_column = len(scores)
    count = list_by_need(
        rows,
        transitions,
        columns,
        mixture,
        slot,
        n_column,
        popular,
        excluded,
        scratch,
        best,
        best_scores,
    )
    if count != INCOMPLETE:
        return count
    score_sparse(rows, transitions, columns, mixture, slot, scores)
    return _best(scores, columns, excluded, best, best_scores)


@compile_exact
def top_n_after_each_sparse(
    rows: RowArrays,
    transitions: TransitionArrays,
    columns: ColumnArrays,
    constants: Constants,
    batch_items: NDArray[np.int32],
    column_counts: NDArray[np.int64],
    listed: NDArray[np.bool],
    log: UpdateLog,
    mixture: Mixture,
    popular: PopularArrays,
    scratch: Scratch,
    excluded: NDArray[np.int32],
    excluded_ends: NDArray[np.int64],
    best: NDArray[np.int32],
    best_scores: NDArray[np.float64],
    counts: NDArray[np.int32],
) -> None:
    """Does what `top_n_after_each_dense` does with what `learn_sparse` left.

    Of the arguments two are others: `popular` has the most popular items after all positives, and
    `scratch` is used.
    """
    buffer = np.empty(len(columns.norms))
    slot = len(counts)
    first = 0
    for number in range(len(batch_items) - 1, -1, -1):
        if listed[number]:
            slot -= 1
            counts[slot] = top_n_sparse(
                rows,
                transitions,
                columns,
                mixture,
                number,
                popular,
                scratch,
                buffer[: column_counts[number]],
                excluded[excluded_ends[number] : excluded_ends[number + 1]],
                best[slot],
                best_scores[slot],
            )
        if slot == 0:
            # No list is of what was before this update.
            first = number
            break
        steps = 2 * log.counts[number]
        swap_sparse(rows, columns.of, batch_items[number], log, number, steps, False)
        _swap_item(columns, constants, batch_items[number], log.items[number])
        swap_transition(transitions, log, number)
    for number in range(first + 1, len(batch_items)):
        steps = 2 * log.counts[number]
        swap_sparse(rows, columns.of, batch_items[number], log, number, steps, True)
        _swap_item(columns, constants, batch_items[number], log.items[number])
        swap_transition(transitions, log, number)
