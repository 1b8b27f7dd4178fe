"""Kernels that score all items for one list, from co-occurrence counts and a mixture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from transforms.recommenders.numerics.cooccurrence_arrays import ColumnArrays, RowArrays
from transforms.recommenders.numerics.habit_arrays import Mixture, TransitionArrays
from transforms.recommenders.numerics.jit import compile_exact
from transforms.recommenders.numerics.transition_kernels import add_transitions


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
def _sum_sparse(
    sparse: RowArrays,
    rows: NDArray[np.int32],
    factors: NDArray[np.float64],
    scores: NDArray[np.float64],
) -> None:
    """Does what `_sum_dense` does with rows that hold some of their entries."""
    ids, values = sparse.ids, sparse.values
    for number in range(len(rows)):
        start = sparse.starts[rows[number]]
        factor = factors[number]
        for place in range(start, start + sparse.sizes[rows[number]]):
            scores[ids[place]] += factor * values[place]


@compile_exact
def _complete(
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
        return
    for column in range(len(scores)):
        scores[column] += prior * chosen[column] + recent_prior * recent[column]
    for age in range(mixture.places[slot]):
        column = columns.of[mixture.recent[slot, age]]
        if column >= 0:
            extra = mixture.extras[slot, age]
            scores[column] = scores[column] + extra if age else extra


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
    if mixture.following[slot] > 0.0:
        newest = mixture.recent[slot, 0]
        add_transitions(transitions, columns, newest, mixture.following[slot], scores)
    _complete(columns, mixture, slot, scores)


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
    if mixture.following[slot] > 0.0:
        newest = mixture.recent[slot, 0]
        add_transitions(transitions, columns, newest, mixture.following[slot], scores)
    _complete(columns, mixture, slot, scores)
