"""Kernels that list from sparse co-occurrence counts, for one user or after each of many updates.

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
from transforms.recommenders.numerics.cooccurrence_lists import best_of, complete
from transforms.recommenders.numerics.cooccurrence_sparse_learning import swap_sparse
from transforms.recommenders.numerics.habit_arrays import Mixture, TransitionArrays
from transforms.recommenders.numerics.jit import compile_allocating, compile_exact
from transforms.recommenders.numerics.listing_by_need import (
    INCOMPLETE,
    PopularArrays,
    Scratch,
    list_by_need,
)
from transforms.recommenders.numerics.transition_kernels import add_transitions, swap_transition


@compile_exact
def _swap_item(
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
def _sum_sparse(
    sparse: RowArrays,
    rows: NDArray[np.int32],
    factors: NDArray[np.float64],
    scores: NDArray[np.float64],
) -> None:
    """Does what `sum_dense` does with rows that hold some of their entries."""
    ids, values = sparse.ids, sparse.values
    for number in range(len(rows)):
        start = sparse.starts[rows[number]]
        factor = factors[number]
        for place in range(start, start + sparse.sizes[rows[number]]):
            scores[ids[place]] += factor * values[place]


@compile_exact
def score_sparse(
    rows: RowArrays,
    transitions: TransitionArrays,
    columns: ColumnArrays,
    mixture: Mixture,
    slot: int,
    scores: NDArray[np.float64],
) -> None:
    """Does what `score_dense` does with sparse rows."""
    scores[:] = 0.0
    count = mixture.rows[slot]
    _sum_sparse(rows, mixture.recent[slot, :count], mixture.factors[slot], scores)
    add_transitions(transitions, columns, mixture, slot, scores)
    complete(columns, mixture, slot, scores)


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
    return best_of(scores, columns, excluded, best, best_scores)


@compile_allocating
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
    """Makes all lists from what `learn_sparse` left, each as of its positive.

    `popular` has the most popular items after all positives; `scratch` is used.
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
