"""Kernels that score one item, which need not be listed here, to the bit as lists score it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from transforms.recommenders.numerics.cooccurrence_arrays import ColumnArrays, ItemArrays, RowArrays
from transforms.recommenders.numerics.habit_arrays import Mixture, TransitionArrays
from transforms.recommenders.numerics.jit import compile_exact
from transforms.recommenders.numerics.ragged_kernels import find
from transforms.recommenders.numerics.transition_kernels import transition_counts


@compile_exact
def counts_dense(
    matrix: NDArray[np.float32],
    elsewhere: NDArray[np.float32],
    columns: ColumnArrays,
    others: NDArray[np.int32],
    item: int,
    counts: NDArray[np.float32],
) -> None:
    """Fills how often an item occurs with each of several others.

    Args:
        matrix: The `values` of `MatrixArrays`.
        elsewhere: As there.
        columns: Of the items that are listed here.
        others: Items.
        item: The item.
        counts: Is filled.
    """
    column = columns.of[item]
    for place in range(len(others)):
        other = others[place]
        other_column = columns.of[other]
        if column >= 0:
            counts[place] = matrix[other, column]
        elif other_column >= 0:
            counts[place] = matrix[item, other_column]
        else:
            high, low = max(-1 - column, -1 - other_column), min(-1 - column, -1 - other_column)
            counts[place] = elsewhere[high, low]


@compile_exact
def counts_sparse(
    rows: RowArrays,
    elsewhere: RowArrays,
    columns: ColumnArrays,
    others: NDArray[np.int32],
    item: int,
    counts: NDArray[np.float32],
) -> None:
    """Does what `counts_dense` does with sparse rows."""
    column = columns.of[item]
    for place in range(len(others)):
        other = others[place]
        other_column = columns.of[other]
        kept, row, entry = rows, int(other), int(column)
        if column < 0 and other_column >= 0:
            row, entry = int(item), int(other_column)
        elif column < 0:
            kept = elsewhere
            row = int(max(-1 - column, -1 - other_column))
            entry = int(min(-1 - column, -1 - other_column))
        found = find(kept.ids, kept.starts[row], kept.sizes[row], entry)
        counts[place] = kept.values[found] if found >= 0 else np.float32(0.0)


@compile_exact
def score_one(
    counts: NDArray[np.float32],
    transitions: TransitionArrays,
    items: ItemArrays,
    mixture: Mixture,
    slot: int,
    item: int,
) -> float:
    """Returns what `score_dense` has for an item.

    Args:
        counts: Of the item with each item of `mixture.recent` that has a factor.
        transitions: Which item follows which.
        items: Of all items.
        mixture: What `mix` filled.
        slot: The row of it.
        item: The item.
    """
    score: float = 0.0
    for age in range(len(counts)):
        score += mixture.factors[slot, age] * counts[age]
    prior, recent_prior = mixture.priors[slot, 0], mixture.priors[slot, 1]
    for step in range(mixture.steps[slot]):
        row = mixture.step_rows[slot, step]
        after, before = transition_counts(transitions, row, item)
        score += (
            mixture.after_weights[slot, step] * after + mixture.before_weights[slot, step] * before
        )
    if mixture.cosine[slot]:
        score = score * items.norms[item] + prior * items.chosen[item]
        score += recent_prior * items.recent[item]
    else:
        score += prior * items.chosen[item] + recent_prior * items.recent[item]
    if mixture.priors[slot, 2] > 0.0:
        score += mixture.priors[slot, 2] * items.starts[item]
    for age in range(mixture.places[slot]):
        if mixture.recent[slot, age] == item:
            extra = mixture.extras[slot, age]
            score = score + extra if age else extra
    return score
