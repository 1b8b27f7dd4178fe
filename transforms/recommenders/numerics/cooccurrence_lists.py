"""Kernels that list from co-occurrence counts, for one user or after each of many updates.

Lists after updates are made from the last to the first; after each list its update is undone by
swapping the values in the log with those in the counts, so that swapping again restores them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from transforms.recommenders.numerics.cooccurrence_arrays import (
    Constants,
    ItemArrays,
    Mixture,
    UpdateLog,
)
from transforms.recommenders.numerics.cooccurrence_learning import swap_sparse
from transforms.recommenders.numerics.jit import compile_exact
from transforms.recommenders.numerics.top_n import keep_best


@compile_exact
def _swap_dense(
    matrix: NDArray[np.float32],
    others: NDArray[np.int32],
    item: int,
    count: int,
    values: NDArray[np.float32],
) -> None:
    for gap in range(count):
        other = others[gap]
        before, after = values[2 * gap], matrix[other, item]
        matrix[other, item] = before
        values[2 * gap] = after
        before, after = values[2 * gap + 1], matrix[item, other]
        matrix[item, other] = before
        values[2 * gap + 1] = after


@compile_exact
def _swap_item(
    items: ItemArrays, constants: Constants, item: int, before: NDArray[np.float64]
) -> None:
    chosen, recent = items.chosen[item], items.recent[item]
    items.chosen[item], items.recent[item] = before[0], before[1]
    before[0], before[1] = chosen, recent
    items.norms[item] = 1.0 / np.sqrt(items.chosen[item] + constants.shrinkage)


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
    ids: NDArray[np.int32],
    counts: NDArray[np.float32],
    starts: NDArray[np.int64],
    sizes: NDArray[np.int32],
    rows: NDArray[np.int32],
    factors: NDArray[np.float64],
    scores: NDArray[np.float64],
) -> None:
    """Does what `_sum_dense` does with rows that hold some of their entries."""
    for number in range(len(rows)):
        start = starts[rows[number]]
        factor = factors[number]
        for place in range(start, start + sizes[rows[number]]):
            scores[ids[place]] += factor * counts[place]


@compile_exact
def _complete(
    items: ItemArrays, mixture: Mixture, slot: int, with_repeats: bool, scores: NDArray[np.float64]
) -> None:
    """Makes scores of sums of rows."""
    prior, recent_prior = mixture.priors[slot, 0], mixture.priors[slot, 1]
    chosen, recent, norms = items.chosen, items.recent, items.norms
    if not with_repeats:
        for item in range(len(scores)):
            score = scores[item] * norms[item] + prior * chosen[item]
            scores[item] = score + recent_prior * recent[item]
        return
    for item in range(len(scores)):
        scores[item] += prior * chosen[item] + recent_prior * recent[item]
    for age in range(mixture.counts[slot]):
        item = mixture.recent[slot, age]
        scores[item] = scores[item] + mixture.extras[slot, age] if age else mixture.extras[slot, 0]


@compile_exact
def score_dense(
    matrix: NDArray[np.float32],
    items: ItemArrays,
    mixture: Mixture,
    slot: int,
    with_repeats: bool,
    scores: NDArray[np.float64],
) -> None:
    """Fills the score of each item, shape (n_item,).

    Args:
        matrix: The counts.
        items: Of all items.
        mixture: What `mix` filled.
        slot: The row of it.
        with_repeats: As in `mix`.
        scores: Is filled.
    """
    scores[:] = 0.0
    count = min(mixture.counts[slot], mixture.factors.shape[1])
    _sum_dense(matrix, mixture.recent[slot, :count], mixture.factors[slot], scores)
    _complete(items, mixture, slot, with_repeats, scores)


@compile_exact
def score_sparse(
    ids: NDArray[np.int32],
    counts: NDArray[np.float32],
    starts: NDArray[np.int64],
    sizes: NDArray[np.int32],
    items: ItemArrays,
    mixture: Mixture,
    slot: int,
    with_repeats: bool,
    scores: NDArray[np.float64],
) -> None:
    """Does what `score_dense` does with sparse rows."""
    scores[:] = 0.0
    count = min(mixture.counts[slot], mixture.factors.shape[1])
    rows = mixture.recent[slot, :count]
    _sum_sparse(ids, counts, starts, sizes, rows, mixture.factors[slot], scores)
    _complete(items, mixture, slot, with_repeats, scores)


@compile_exact
def _best(
    scores: NDArray[np.float64],
    excluded: NDArray[np.int32],
    best: NDArray[np.int32],
    best_scores: NDArray[np.float64],
) -> int:
    """Fills a list; returns its length."""
    for item in excluded:
        scores[item] = -np.inf
    count = 0
    for item in range(len(scores)):
        count = keep_best(best_scores, best, count, scores[item], item)
    return count


@compile_exact
def top_n_after_each_dense(
    matrix: NDArray[np.float32],
    items: ItemArrays,
    constants: Constants,
    batch_items: NDArray[np.int32],
    item_counts: NDArray[np.int32],
    listed: NDArray[np.bool],
    with_repeats: bool,
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
        matrix: As `learn_dense` left it, as are `items`, `log` and `mixture`.
        items: Of all items.
        constants: Of the model.
        batch_items: Shape (m,).
        item_counts: How many items there were at each positive, shape (m,).
        listed: Whether a list is made as of each, shape (m,).
        with_repeats: As in `learn_dense`.
        log: Of the updates.
        mixture: Of the lists.
        excluded: Items that lists do not have, end to end.
        excluded_ends: Where each positive's begin and the last's end, shape (m + 1,).
        best: Is filled with the lists, shape (l, n).
        best_scores: Is filled with their scores, shape (l, n).
        counts: Is filled with the length of each list, shape (l,).
    """
    buffer = np.empty(len(items.norms))
    slot = len(counts)
    first = 0
    for number in range(len(batch_items) - 1, -1, -1):
        if listed[number]:
            slot -= 1
            scores = buffer[: item_counts[number]]
            score_dense(matrix, items, mixture, number, with_repeats, scores)
            hidden = excluded[excluded_ends[number] : excluded_ends[number + 1]]
            counts[slot] = _best(scores, hidden, best[slot], best_scores[slot])
        if slot == 0:
            # No list is of what was before this update.
            first = number
            break
        item = batch_items[number]
        if item >= 0:
            _swap_dense(matrix, log.others[number], item, log.counts[number], log.values[number])
            _swap_item(items, constants, item, log.items[number])
    for number in range(first + 1, len(batch_items)):
        item = batch_items[number]
        if item >= 0:
            _swap_dense(matrix, log.others[number], item, log.counts[number], log.values[number])
            _swap_item(items, constants, item, log.items[number])


@compile_exact
def top_n_after_each_sparse(
    ids: NDArray[np.int32],
    row_counts: NDArray[np.float32],
    starts: NDArray[np.int64],
    sizes: NDArray[np.int32],
    items: ItemArrays,
    constants: Constants,
    batch_items: NDArray[np.int32],
    item_counts: NDArray[np.int32],
    listed: NDArray[np.bool],
    with_repeats: bool,
    log: UpdateLog,
    mixture: Mixture,
    excluded: NDArray[np.int32],
    excluded_ends: NDArray[np.int64],
    best: NDArray[np.int32],
    best_scores: NDArray[np.float64],
    counts: NDArray[np.int32],
) -> None:
    """Does what `top_n_after_each_dense` does with what `learn_sparse` left."""
    buffer = np.empty(len(items.norms))
    slot = len(counts)
    first = 0
    for number in range(len(batch_items) - 1, -1, -1):
        if listed[number]:
            slot -= 1
            scores = buffer[: item_counts[number]]
            score_sparse(
                ids, row_counts, starts, sizes, items, mixture, number, with_repeats, scores
            )
            hidden = excluded[excluded_ends[number] : excluded_ends[number + 1]]
            counts[slot] = _best(scores, hidden, best[slot], best_scores[slot])
        if slot == 0:
            # No list is of what was before this update.
            first = number
            break
        if batch_items[number] >= 0:
            _swap(row_counts, sizes, items, constants, batch_items[number], log, number, False)
    for number in range(first + 1, len(batch_items)):
        if batch_items[number] >= 0:
            _swap(row_counts, sizes, items, constants, batch_items[number], log, number, True)


@compile_exact
def _swap(
    row_counts: NDArray[np.float32],
    sizes: NDArray[np.int32],
    items: ItemArrays,
    constants: Constants,
    item: int,
    log: UpdateLog,
    slot: int,
    forward: bool,
) -> None:
    steps = 2 * log.counts[slot]
    swap_sparse(
        row_counts,
        sizes,
        log.others[slot],
        item,
        steps,
        log.values[slot],
        log.places[slot],
        forward,
    )
    _swap_item(items, constants, item, log.items[slot])
