"""Kernels over minibatches of `MF`: learn positives, and list as of each of them.

One product of all users' factors after their steps and all items' factors as they are at the end,
in single precision, costs a fifth of as many products of a vector and a matrix in double. Lists
are made from the last step to the first, and after each list its step is undone, so only the
scores of the few items that were chosen later in the minibatch have to be corrected. Single
precision only selects candidates, see `Float32Prefilter`; lists, their order and their scores are
computed in double precision.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from transforms.recommenders.numerics.jit import (
    ZERO,
    compile_allocating,
    compile_exact,
    compile_fast,
)
from transforms.recommenders.numerics.mf_steps import step
from transforms.recommenders.numerics.stable_dot import dot
from transforms.recommenders.numerics.top_n import keep_best

_CHUNK: Final = 32
_FAR: Final = np.float32(1e30)
_NOT_SO_FAR: Final = np.float32(1e29)
_ONE: Final = np.float32(1)


@compile_exact
def _longer(longest: float, square: float) -> float:
    # NaN would be lost by the next comparison.
    if square <= longest:
        return longest
    return square if square < np.inf else np.inf


@compile_allocating
def learn_each(
    user_rows: NDArray[np.float64],
    item_rows: NDArray[np.float64],
    copy: NDArray[np.float32],
    users: NDArray[np.int32],
    items: NDArray[np.int32],
    targets: NDArray[np.float64],
    rate: float,
    item_rate: float,
    l2_reg: float,
    p_after: NDArray[np.float64],
    q_before: NDArray[np.float64],
) -> float:
    """Does a step of `MF` for each pair, in order; an item of -1 is none.

    Args:
        user_rows: All users' factors, shape (n_user or more, k), changed in place.
        item_rows: All items', likewise.
        copy: The first so many of them in single precision, changed likewise.
        users: Shape (m,).
        items: Shape (m,).
        targets: Shape (m,).
        rate: Twice users' step size.
        item_rate: Twice items'.
        l2_reg: The regularization.
        p_after: Is filled with the user's factors after each step, shape (m, k).
        q_before: Is filled with the item's before it, shape (m, k).

    Returns:
        The largest squared length of an item's factors, before a step or after.
    """
    longest = 0.0
    for number in range(len(users)):
        p = user_rows[users[number]]
        item = items[number]
        if item >= 0:
            q = item_rows[item]
            q_before[number] = q
            longest = _longer(longest, dot(q, q))
            step(p, q, targets[number], rate, item_rate, l2_reg)
            if item < len(copy):
                copy[item] = q
            longest = _longer(longest, dot(q, q))
        p_after[number] = p
    return longest


@compile_allocating
def top_n_after_each(
    prefiltered: NDArray[np.float32],
    item_rows: NDArray[np.float64],
    copy: NDArray[np.float32],
    items: NDArray[np.int32],
    item_counts: NDArray[np.int32],
    listed: NDArray[np.bool],
    p_after: NDArray[np.float64],
    q_before: NDArray[np.float64],
    excluded: NDArray[np.int32],
    ends: NDArray[np.int64],
    errors: NDArray[np.float64],
    best: NDArray[np.int32],
    scores: NDArray[np.float64],
    counts: NDArray[np.int32],
) -> None:
    """Lists the items whose p . q is nearest to 1, after l of m steps.

    Args:
        prefiltered: Products of `p_after` and `copy`, shape (l, n_item); overwritten.
        item_rows: All items' factors after the last step; changed, and restored.
        copy: The same in single precision, likewise.
        items: As in `learn_each`.
        item_counts: How many items there were at each step, shape (m,).
        listed: Whether a list is made after each step, shape (m,).
        p_after: From `learn_each`.
        q_before: From `learn_each`.
        excluded: Items that lists do not have, ascending for each step, end to end.
        ends: Where each step's begin and the last's end in `excluded`, shape (m + 1,).
        errors: Largest error of a product in single precision, shape (l,); where it is 1 or
            more, or NaN, all items are scored in double precision.
        best: Is filled with the lists, shape (l, n).
        scores: Is filled with 1 - |1 - p . q| of each, shape (l, n).
        counts: Is filled with the length of each list, shape (l,).
    """
    m, k = p_after.shape
    q_after = np.empty((m, k))
    near = np.empty(prefiltered.shape[1], dtype=np.int32)
    slot = len(counts)
    for number in range(m - 1, -1, -1):
        if listed[number]:
            slot -= 1
            p = p_after[number]
            skipped = excluded[ends[number] : ends[number + 1]]
            row = prefiltered[slot, : item_counts[number]]
            if errors[slot] < 1.0:
                for later in range(number + 1, m):
                    if 0 <= items[later] < len(row):
                        row[items[later]] = _product(p, copy[items[later]])
                for item in skipped:
                    row[item] = _FAR
                found = _nearest(row, best.shape[1], np.float32(2.0 * errors[slot]), near)
            else:
                found = _rest(len(row), skipped, near)
            counts[slot] = list_from(near[:found], item_rows, p, best[slot], scores[slot])
        item = items[number]
        if item >= 0:
            q_after[number] = item_rows[item]
            item_rows[item] = q_before[number]
            copy[item] = q_before[number]
    for number in range(m):
        if items[number] >= 0:
            item_rows[items[number]] = q_after[number]
            copy[items[number]] = q_after[number]


@compile_fast
def _product(p: NDArray[np.float64], q: NDArray[np.float32]) -> np.float32:
    total = np.float32(0)
    for at in range(len(p)):
        total += np.float32(p[at]) * q[at]
    return total


@compile_fast
def _least_of_chunks(row: NDArray[np.float32], least: NDArray[np.float32]) -> None:
    for chunk in range(len(least)):
        nearest = _FAR
        for item in range(chunk * _CHUNK, min(len(row), (chunk + 1) * _CHUNK)):
            nearest = min(nearest, abs(_ONE - row[item]))
        least[chunk] = nearest


@compile_allocating
def _nth_least(values: NDArray[np.float32], n: int, beyond: np.float32) -> np.float32:
    """Returns the n-th smallest value, `beyond` if there are not so many."""
    smallest = np.full(n, beyond, dtype=np.float32)
    for value in values:
        _keep_small(smallest, value)
    nth: np.float32 = smallest[n - 1]
    return nth


@compile_exact
def _keep_small(smallest: NDArray[np.float32], value: np.float32) -> None:
    place = len(smallest) - 1
    if not value < smallest[place]:
        return
    while place > 0 and smallest[place - 1] > value:
        smallest[place] = smallest[place - 1]
        place -= 1
    smallest[place] = value


@compile_allocating
def _nearest(row: NDArray[np.float32], n: int, margin: np.float32, near: NDArray[np.int32]) -> int:
    """Fills `near` with all items, ascending, that may be among the n nearest to 1."""
    least = np.empty((len(row) + _CHUNK - 1) // _CHUNK, dtype=np.float32)
    _least_of_chunks(row, least)
    # As many chunks have one that is as near, so the n-th nearest of all is.
    bound = min(_NOT_SO_FAR, _nth_least(least, n, _NOT_SO_FAR) + margin)
    smallest = np.full(n, _NOT_SO_FAR, dtype=np.float32)
    count = 0
    for chunk in range(len(least)):
        if least[chunk] > bound:
            continue
        for item in range(chunk * _CHUNK, min(len(row), (chunk + 1) * _CHUNK)):
            distance = abs(_ONE - row[item])
            if distance <= bound:
                near[count] = item
                count += 1
                _keep_small(smallest, distance)
                bound = min(bound, smallest[n - 1] + margin)
    kept = 0
    for place in range(count):
        if abs(_ONE - row[near[place]]) <= bound:
            near[kept] = near[place]
            kept += 1
    return kept


@compile_exact
def _rest(size: int, skipped: NDArray[np.int32], near: NDArray[np.int32]) -> int:
    """Fills `near` with all items but the skipped ones; returns how many."""
    count = 0
    place = 0
    for item in range(size):
        if place < len(skipped) and skipped[place] == item:
            place += 1
        else:
            near[count] = item
            count += 1
    return count


@compile_exact
def list_from(
    near: NDArray[np.int32],
    item_rows: NDArray[np.float64],
    p: NDArray[np.float64],
    best: NDArray[np.int32],
    scores: NDArray[np.float64],
) -> int:
    """Fills a list from the items in `near`, ascending, as `top_n` does; returns its length."""
    count = ZERO
    for item in near:
        score = 1.0 - abs(1.0 - dot(p, item_rows[item]))
        count = keep_best(scores, best, count, score, item)
    return count
