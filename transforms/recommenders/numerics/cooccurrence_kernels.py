"""Kernels over item-item co-occurrence counts: learn positives, sum rows, list after each.

A count is in a square matrix, or in a row of a pool, see `RaggedRows`. Both kinds of kernels
perform the same operations in the same order. Learning keeps a log with which the counts as of
each positive of a minibatch can be restored: applying an entry of the log swaps the values in it
with those in the counts, so that applying it twice changes nothing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from transforms.recommenders.numerics.jit import compile_exact
from transforms.recommenders.numerics.ragged_kernels import find
from transforms.recommenders.numerics.top_n import keep_best


@compile_exact
def _others(
    ids: NDArray[np.int32], start: int, size: int, item: int, others: NDArray[np.int32]
) -> int:
    """Fills `others` with a history, the newest first, without an item; returns how many."""
    count = 0
    for place in range(start + size - 1, start - 1, -1):
        if ids[place] != item:
            others[count] = ids[place]
            count += 1
    return count


@compile_exact
def _remember(
    ids: NDArray[np.int32],
    starts: NDArray[np.int64],
    sizes: NDArray[np.int32],
    user: int,
    item: int,
    longest: int,
) -> None:
    """Makes an item the newest of a user's history, which has room or its greatest length."""
    start, size = starts[user], sizes[user]
    gap = find(ids, start, size, item)
    if gap < 0:
        if size < longest:
            ids[start + size] = item
            sizes[user] += 1
            return
        gap = start
    for place in range(gap, start + size - 1):
        ids[place] = ids[place + 1]
    ids[start + size - 1] = item


@compile_exact
def _note_recent(ids: NDArray[np.int32], start: int, size: int, recent: NDArray[np.int32]) -> int:
    """Fills `recent` with the newest items of a history, the newest first; returns how many."""
    count = min(size, len(recent))
    for age in range(count):
        recent[age] = ids[start + size - 1 - age]
    return count


@compile_exact
def _choose(
    chosen: NDArray[np.float64],
    norms: NDArray[np.float64],
    item: int,
    change: float,
    shrinkage: float,
) -> None:
    chosen[item] += change
    norms[item] = 1.0 / np.sqrt(chosen[item] + shrinkage)


@compile_exact
def learn_dense(
    matrix: NDArray[np.float32],
    history_ids: NDArray[np.int32],
    history_starts: NDArray[np.int64],
    history_sizes: NDArray[np.int32],
    longest: int,
    users: NDArray[np.int32],
    items: NDArray[np.int32],
    gap_weights: NDArray[np.float32],
    chosen: NDArray[np.float64],
    norms: NDArray[np.float64],
    shrinkage: float,
    others: NDArray[np.int32],
    other_counts: NDArray[np.int32],
    values: NDArray[np.float32],
    recent: NDArray[np.int32],
    recent_counts: NDArray[np.int32],
) -> None:
    """Learns m positives in order.

    Args:
        matrix: The counts, shape (n_item or more,) * 2.
        history_ids: The pool of all users' histories, the newest last.
        history_starts: As in `RaggedRows`.
        history_sizes: As in `RaggedRows`; each history has room for what is added.
        longest: The greatest length of a history.
        users: Shape (m,).
        items: Shape (m,); -1 for one that is learned elsewhere.
        gap_weights: What to add for each gap in a history, shape (longest,).
        chosen: How often each item was chosen, shape (n_item or more,).
        norms: `1 / sqrt(chosen + shrinkage)`.
        shrinkage: See `ItemKNN`.
        others: Log of the items that were added to, shape (slots, longest). With fewer slots
            than positives the last one is used again, and there is no log.
        other_counts: How many of a row of `others` count, shape (slots,).
        values: Log of the counts before, in both directions, shape (slots, 2 * longest).
        recent: Is filled with the newest items of each history, shape (slots, any).
        recent_counts: How many of a row of `recent` count, shape (slots,).
    """
    for number in range(len(users)):
        slot = min(number, len(other_counts) - 1)
        user, item = users[number], items[number]
        start = history_starts[user]
        other_counts[slot] = 0
        if item >= 0:
            count = _others(history_ids, start, history_sizes[user], item, others[slot])
            other_counts[slot] = count
            for gap in range(count):
                other = others[slot, gap]
                values[slot, 2 * gap] = matrix[other, item]
                values[slot, 2 * gap + 1] = matrix[item, other]
                matrix[other, item] += gap_weights[gap]
                matrix[item, other] += gap_weights[gap]
            _remember(history_ids, history_starts, history_sizes, user, item, longest)
            _choose(chosen, norms, item, 1.0, shrinkage)
        recent_counts[slot] = _note_recent(history_ids, start, history_sizes[user], recent[slot])


@compile_exact
def learn_sparse(
    ids: NDArray[np.int32],
    weights: NDArray[np.float32],
    starts: NDArray[np.int64],
    sizes: NDArray[np.int32],
    room: NDArray[np.int32],
    history_ids: NDArray[np.int32],
    history_starts: NDArray[np.int64],
    history_sizes: NDArray[np.int32],
    longest: int,
    users: NDArray[np.int32],
    items: NDArray[np.int32],
    gap_weights: NDArray[np.float32],
    chosen: NDArray[np.float64],
    norms: NDArray[np.float64],
    shrinkage: float,
    others: NDArray[np.int32],
    other_counts: NDArray[np.int32],
    values: NDArray[np.float32],
    places: NDArray[np.int64],
    recent: NDArray[np.int32],
    recent_counts: NDArray[np.int32],
    first_step: int,
) -> tuple[int, int, int]:
    """Does what `learn_dense` does, up to the first positive that needs room in a full row.

    To make room moves or drops entries, so there is no log of a positive during which it was
    made; it has to be the first, whose log is never applied.

    Args:
        ids: The pool of all rows, as are the next four, see `RaggedRows`.
        weights: The counts.
        starts: Where each row starts.
        sizes: How many entries each row has.
        room: How many entries each row can have.
        history_ids: As in `learn_dense`, as are all that follow.
        history_starts: As in `learn_dense`.
        history_sizes: As in `learn_dense`.
        longest: As in `learn_dense`.
        users: As in `learn_dense`.
        items: As in `learn_dense`.
        gap_weights: As in `learn_dense`.
        chosen: As in `learn_dense`.
        norms: As in `learn_dense`.
        shrinkage: As in `learn_dense`.
        others: As in `learn_dense`.
        other_counts: As in `learn_dense`.
        values: As in `learn_dense`.
        places: Log of where the counts are; `-1 - place` of one that is new. Shape of `values`.
        recent: As in `learn_dense`.
        recent_counts: As in `learn_dense`.
        first_step: How many of the counts of the first positive have been added already.

    Returns:
        How many positives were learned; the row that is full, -1 if all were learned; and if no
        positive was learned, the `first_step` to go on with.
    """
    for number in range(len(users)):
        slot = min(number, len(other_counts) - 1)
        user, item = users[number], items[number]
        start = history_starts[user]
        other_counts[slot] = 0
        if item >= 0:
            count = _others(history_ids, start, history_sizes[user], item, others[slot])
            for step in range(first_step if number == 0 else 0, 2 * count):
                row, entry = others[slot, step // 2], item
                if step % 2:
                    row, entry = entry, row
                place = find(ids, starts[row], sizes[row], entry)
                if place < 0 and sizes[row] == room[row]:
                    if number == 0:
                        return 0, row, step
                    _swap_sparse(
                        weights, sizes, others[slot], item, step, values[slot], places[slot], False
                    )
                    return number, row, 0
                if place < 0:
                    place = starts[row] + sizes[row]
                    ids[place] = entry
                    weights[place] = 0.0
                    sizes[row] += 1
                    places[slot, step] = -1 - place
                else:
                    places[slot, step] = place
                values[slot, step] = weights[place]
                weights[place] += gap_weights[step // 2]
            other_counts[slot] = count
            _remember(history_ids, history_starts, history_sizes, user, item, longest)
            _choose(chosen, norms, item, 1.0, shrinkage)
        recent_counts[slot] = _note_recent(history_ids, start, history_sizes[user], recent[slot])
    return len(users), -1, 0


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
def _swap_sparse(
    weights: NDArray[np.float32],
    sizes: NDArray[np.int32],
    others: NDArray[np.int32],
    item: int,
    steps: int,
    values: NDArray[np.float32],
    places: NDArray[np.int64],
    forward: bool,
) -> None:
    for step in range(steps):
        place = places[step]
        if place < 0:
            place = -1 - place
            row = item if step % 2 else others[step // 2]
            sizes[row] += 1 if forward else -1
        before, after = values[step], weights[place]
        weights[place] = before
        values[step] = after


@compile_exact
def sum_dense(
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
def sum_sparse(
    ids: NDArray[np.int32],
    weights: NDArray[np.float32],
    starts: NDArray[np.int64],
    sizes: NDArray[np.int32],
    rows: NDArray[np.int32],
    factors: NDArray[np.float64],
    scores: NDArray[np.float64],
) -> None:
    """Does what `sum_dense` does with rows that hold some of their entries."""
    for number in range(len(rows)):
        start = starts[rows[number]]
        factor = factors[number]
        for place in range(start, start + sizes[rows[number]]):
            scores[ids[place]] += factor * weights[place]


@compile_exact
def _weigh(
    recent: NDArray[np.int32],
    recency: NDArray[np.float64],
    norms: NDArray[np.float64],
    factors: NDArray[np.float64],
) -> None:
    for age in range(len(recent)):
        factors[age] = recency[age] * norms[recent[age]]


@compile_exact
def _best(
    scores: NDArray[np.float64],
    excluded: NDArray[np.int32],
    chosen: NDArray[np.float64],
    norms: NDArray[np.float64],
    prior: float,
    best: NDArray[np.int32],
    best_scores: NDArray[np.float64],
) -> int:
    """Fills a list from sums of rows; returns its length."""
    for item in excluded:
        scores[item] = -np.inf
    count = 0
    for item in range(len(scores)):
        score = scores[item] * norms[item] + prior * chosen[item]
        count = keep_best(best_scores, best, count, score, item)
    return count


@compile_exact
def top_n_after_each_dense(
    matrix: NDArray[np.float32],
    items: NDArray[np.int32],
    item_counts: NDArray[np.int32],
    others: NDArray[np.int32],
    other_counts: NDArray[np.int32],
    values: NDArray[np.float32],
    recent: NDArray[np.int32],
    recent_counts: NDArray[np.int32],
    recency: NDArray[np.float64],
    chosen: NDArray[np.float64],
    norms: NDArray[np.float64],
    shrinkage: float,
    total: float,
    prior: float,
    seen: NDArray[np.int32],
    seen_ends: NDArray[np.int64],
    best: NDArray[np.int32],
    best_scores: NDArray[np.float64],
    counts: NDArray[np.int32],
) -> None:
    """Lists as of each of m positives, from the last to the first; restores all at the end.

    Args:
        matrix: As `learn_dense` left it, as are all up to `recent_counts`.
        items: Shape (m,).
        item_counts: How many items there were at each positive, shape (m,).
        others: The log.
        other_counts: The log.
        values: The log.
        recent: The newest items of each history.
        recent_counts: How many of them count.
        recency: The weight of each age in a history.
        chosen: How often each item was chosen after the last positive.
        norms: As in `learn_dense`.
        shrinkage: As in `learn_dense`.
        total: The sum of `chosen`.
        prior: The weight of an item's share of all positives.
        seen: Items that are not listed, end to end.
        seen_ends: Where each positive's begin and the last's end, shape (m + 1,).
        best: Is filled with the lists, shape (m, n).
        best_scores: Is filled with their scores, shape (m, n).
        counts: Is filled with the length of each list, shape (m,).
    """
    buffer = np.empty(len(norms))
    factors = np.empty(len(recency))
    for number in range(len(items) - 1, -1, -1):
        scores = buffer[: item_counts[number]]
        scores[:] = 0.0
        last = recent[number, : recent_counts[number]]
        _weigh(last, recency, norms, factors)
        sum_dense(matrix, last, factors[: len(last)], scores)
        counts[number] = _best(
            scores,
            seen[seen_ends[number] : seen_ends[number + 1]],
            chosen,
            norms,
            prior / total if total > 0.0 else 0.0,
            best[number],
            best_scores[number],
        )
        if items[number] >= 0:
            _swap_dense(matrix, others[number], items[number], other_counts[number], values[number])
            _choose(chosen, norms, items[number], -1.0, shrinkage)
            total -= 1.0
    for number in range(len(items)):
        if items[number] >= 0:
            _swap_dense(matrix, others[number], items[number], other_counts[number], values[number])
            _choose(chosen, norms, items[number], 1.0, shrinkage)


@compile_exact
def top_n_after_each_sparse(
    ids: NDArray[np.int32],
    weights: NDArray[np.float32],
    starts: NDArray[np.int64],
    sizes: NDArray[np.int32],
    items: NDArray[np.int32],
    item_counts: NDArray[np.int32],
    others: NDArray[np.int32],
    other_counts: NDArray[np.int32],
    values: NDArray[np.float32],
    places: NDArray[np.int64],
    recent: NDArray[np.int32],
    recent_counts: NDArray[np.int32],
    recency: NDArray[np.float64],
    chosen: NDArray[np.float64],
    norms: NDArray[np.float64],
    shrinkage: float,
    total: float,
    prior: float,
    seen: NDArray[np.int32],
    seen_ends: NDArray[np.int64],
    best: NDArray[np.int32],
    best_scores: NDArray[np.float64],
    counts: NDArray[np.int32],
) -> None:
    """Does what `top_n_after_each_dense` does with what `learn_sparse` left."""
    buffer = np.empty(len(norms))
    factors = np.empty(len(recency))
    for number in range(len(items) - 1, -1, -1):
        scores = buffer[: item_counts[number]]
        scores[:] = 0.0
        last = recent[number, : recent_counts[number]]
        _weigh(last, recency, norms, factors)
        sum_sparse(ids, weights, starts, sizes, last, factors[: len(last)], scores)
        counts[number] = _best(
            scores,
            seen[seen_ends[number] : seen_ends[number + 1]],
            chosen,
            norms,
            prior / total if total > 0.0 else 0.0,
            best[number],
            best_scores[number],
        )
        item = items[number]
        if number > 0 and item >= 0:
            steps = 2 * other_counts[number]
            _swap_sparse(
                weights, sizes, others[number], item, steps, values[number], places[number], False
            )
            _choose(chosen, norms, item, -1.0, shrinkage)
            total -= 1.0
    for number in range(1, len(items)):
        item = items[number]
        if item >= 0:
            steps = 2 * other_counts[number]
            _swap_sparse(
                weights, sizes, others[number], item, steps, values[number], places[number], True
            )
            _choose(chosen, norms, item, 1.0, shrinkage)
