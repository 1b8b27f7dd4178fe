"""Kernels that score items by their counts, and choose the best."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from transforms.recommenders.numerics.cooccurrence_arrays import ColumnArrays
from transforms.recommenders.numerics.habit_arrays import Mixture, TransitionArrays
from transforms.recommenders.numerics.jit import ZERO, compile_exact
from transforms.recommenders.numerics.top_n import keep_best
from transforms.recommenders.numerics.transition_kernels import add_transitions


@compile_exact
def sum_dense(
    matrix: NDArray[np.float32],
    rows: NDArray[np.int32],
    factors: NDArray[np.floating],
    scores: NDArray[np.floating],
) -> None:
    """Adds `factors[a]` times row `rows[a]`, in the order of a, to `scores`, shape (n,).

    It adds in the precision of `factors` and `scores`.
    """
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
def complete_some(
    columns: ColumnArrays,
    mixture: Mixture,
    slot: int,
    some: NDArray[np.int32],
    scores: NDArray[np.float64],
) -> None:
    """Does what `complete` does with some columns alone."""
    prior, recent_prior = mixture.priors[slot, 0], mixture.priors[slot, 1]
    chosen, recent, norms = columns.chosen, columns.recent, columns.norms
    if mixture.cosine[slot]:
        for column in some:
            score = scores[column] * norms[column] + prior * chosen[column]
            scores[column] = score + recent_prior * recent[column]
    else:
        for column in some:
            scores[column] += prior * chosen[column] + recent_prior * recent[column]
    starts_prior = mixture.priors[slot, 2]
    if starts_prior > 0.0:
        for column in some:
            scores[column] += starts_prior * columns.starts[column]
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
    sum_dense(matrix, mixture.recent[slot, :count], mixture.factors[slot], scores)
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
    count = ZERO
    for column in range(len(scores)):
        count = keep_best(best_scores, best, count, scores[column], column)
    for place in range(count):
        best[place] = columns.items[best[place]]
    return count
