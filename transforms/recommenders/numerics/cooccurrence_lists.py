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
    UpdateLog,
)
from transforms.recommenders.numerics.habit_arrays import Mixture, TransitionArrays
from transforms.recommenders.numerics.jit import compile_allocating, compile_exact
from transforms.recommenders.numerics.top_n import keep_best
from transforms.recommenders.numerics.transition_kernels import add_transitions, swap_transition


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
def swap_item(
    columns: ColumnArrays, constants: Constants, item: int, before: NDArray[np.float64]
) -> None:
    """Swaps what is known of an item by itself, if it is listed here, with what was before."""
    column = columns.of[item]
    if column < 0:
        return
    chosen, recent = columns.chosen[column], columns.recent[column]
    starts = columns.starts[column]
    columns.chosen[column], columns.recent[column] = before[0], before[1]
    columns.starts[column] = before[2]
    before[0], before[1], before[2] = chosen, recent, starts
    columns.norms[column] = 1.0 / np.sqrt(columns.chosen[column] + constants.shrinkage)


@compile_exact
def _sum_dense(
    matrix: NDArray[np.float32],
    rows: NDArray[np.int32],
    factors: NDArray[np.float64],
    scores: NDArray[np.float64],
) -> None:
    """Adds `factors[a]` times row `rows[a]`, in the order of a, to `scores`, shape (n,)."""
    # Four at a time, as a score is then read and written once for them.
    whole = len(rows) // 4 * 4
    for number in range(0, whole, 4):
        a, b = matrix[rows[number]], matrix[rows[number + 1]]
        c, d = matrix[rows[number + 2]], matrix[rows[number + 3]]
        e, f, g, h = factors[number], factors[number + 1], factors[number + 2], factors[number + 3]
        for item in range(len(scores)):
            score = scores[item] + e * a[item]
            score += f * b[item]
            score += g * c[item]
            scores[item] = score + h * d[item]
    for number in range(whole, len(rows)):
        row = matrix[rows[number]]
        factor = factors[number]
        for item in range(len(scores)):
            scores[item] += factor * row[item]


@compile_exact
def add_extras(
    columns: ColumnArrays, mixture: Mixture, slot: int, scores: NDArray[np.float64]
) -> None:
    """Adds what the items of a history have beside sums and priors; the newest has that alone."""
    for age in range(mixture.places[slot]):
        column = columns.of[mixture.recent[slot, age]]
        if column >= 0:
            extra = mixture.extras[slot, age]
            scores[column] = scores[column] + extra if age else extra


@compile_exact
def complete(
    columns: ColumnArrays,
    mixture: Mixture,
    slot: int,
    scores: NDArray[np.float64],
) -> None:
    """Makes scores of sums of rows."""
    prior, recent_prior = mixture.priors[slot, 0], mixture.priors[slot, 1]
    chosen, recent, norms = columns.chosen, columns.recent, columns.norms
    if mixture.cosine[slot]:
        for column in range(len(scores)):
            score = scores[column] * norms[column] + prior * chosen[column]
            scores[column] = score + recent_prior * recent[column]
    else:
        for column in range(len(scores)):
            scores[column] += prior * chosen[column] + recent_prior * recent[column]
    starts_prior, starts = mixture.priors[slot, 2], columns.starts
    if starts_prior > 0.0:
        for column in range(len(scores)):
            scores[column] += starts_prior * starts[column]
    add_extras(columns, mixture, slot, scores)


@compile_exact
def score_dense(
    matrix: NDArray[np.float32],
    transitions: TransitionArrays,
    columns: ColumnArrays,
    mixture: Mixture,
    slot: int,
    scores: NDArray[np.float64],
) -> None:
    """Fills the score of each item that is listed here, by column, shape (n_column,).

    Args:
        matrix: The counts.
        transitions: Which item follows which.
        columns: Of those items.
        mixture: What `mix` filled.
        slot: The row of it.
        scores: Is filled.
    """
    scores[:] = 0.0
    count = mixture.rows[slot]
    _sum_dense(matrix, mixture.recent[slot, :count], mixture.factors[slot], scores)
    add_transitions(transitions, columns, mixture, slot, scores)
    complete(columns, mixture, slot, scores)


@compile_exact
def best_of(
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


@compile_allocating
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
            counts[slot] = best_of(scores, columns, hidden, best[slot], best_scores[slot])
        if slot == 0:
            # No list is of what was before this update.
            first = number
            break
        _swap_dense(matrix, columns.of, batch_items[number], log, number)
        swap_item(columns, constants, batch_items[number], log.items[number])
        swap_transition(transitions, log, number)
    for number in range(first + 1, len(batch_items)):
        _swap_dense(matrix, columns.of, batch_items[number], log, number)
        swap_item(columns, constants, batch_items[number], log.items[number])
        swap_transition(transitions, log, number)
