"""The inner loops as machine code, where numba is installed (the extra `compiled`).

Without numba nothing here is called, and numpy does the same work in the same order. What a
kernel promises next to numpy is said at its name: the same bits, or the same but for rounding.
The first call of each compiles it, a second or so; the result is cached on disk.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

try:
    import numba
except ImportError:
    numba = None

AVAILABLE: bool = numba is not None and not numba.config.DISABLE_JIT

_F = TypeVar("_F", bound=Callable[..., Any])


def compile_loop(function: _F) -> _F:
    """Makes a function of plain loops machine code at its first call, where numba is installed."""
    # A sum keeps its order, and with it its bits.
    return _compile(function, fastmath=False)


def compile_loosely(function: _F) -> _F:
    """Does what `compile_loop` does, but sums come in any order; for what needs no exact bits."""
    return _compile(function, fastmath={"nnan", "nsz", "reassoc", "contract"})


def _compile(function: _F, fastmath: bool | set[str]) -> _F:
    if numba is None:
        return function
    try:
        compiled: _F = numba.njit(cache=True, nogil=True, fastmath=fastmath)(function)
    except RuntimeError:
        # No folder for the cache can be written, as in some containers.
        compiled = numba.njit(nogil=True, fastmath=fastmath)(function)
    return compiled


@compile_loop
def keep_best(
    values: NDArray[np.float64],
    best: NDArray[np.integer],
    count: int,
    score: float,
    index: int,
) -> int:
    """Puts an index where its score belongs among the best so far, highest first.

    One whose score equals another's comes behind it, so indices are to come ascending. Minus
    infinity and what is no number are never kept.

    Args:
        values: The scores of the best so far, shape (n,).
        best: Their indices, shape (n,).
        count: How many there are.
        score: Of the newcomer.
        index: The newcomer's.

    Returns:
        How many there are now.
    """
    n = len(values)
    if not score > (-np.inf if count < n else values[n - 1]):
        return count
    place = min(count, n - 1)
    while place > 0 and values[place - 1] < score:
        values[place] = values[place - 1]
        best[place] = best[place - 1]
        place -= 1
    values[place] = score
    best[place] = index
    return min(count + 1, n)


@compile_loop
def best_indices(scores: NDArray[np.floating], n: int) -> NDArray[np.intp]:
    """Does what `top_n` does, in one pass; meant for a small `n`. Same bits."""
    best = np.empty(n, dtype=np.intp)
    values = np.empty(n, dtype=np.float64)
    count = 0
    for index in range(len(scores)):
        count = keep_best(values, best, count, scores[index], index)
    return best[:count]


@compile_loop
def best_of_rest(
    scores: NDArray[np.floating], left_out: NDArray[np.int32], n: int
) -> tuple[NDArray[np.intp], NDArray[np.floating]]:
    """Does what `topn.best_of_rest` does; meant for a small `n`. Same bits."""
    for item in left_out:
        scores[item] = -np.inf
    best = best_indices(scores, n)
    return best, scores[best]


@compile_loop
def add_dense(
    counts: NDArray[np.float32],
    history: NDArray[np.int32],
    weights: NDArray[np.float32],
    item: int,
) -> None:
    """Adds an item's weight with each of a history to a square matrix. Same bits."""
    newest = len(history) - 1
    for gap in range(len(history)):
        other = history[newest - gap]
        counts[other, item] += weights[gap]
        counts[item, other] += weights[gap]


@compile_loop
def sum_dense(
    counts: NDArray[np.float32],
    rows: NDArray[np.int32],
    factors: NDArray[np.float64],
    scores: NDArray[np.float64],
) -> None:
    """Adds rows of a matrix, each times its factor, to the scores. Same bits."""
    # Four at a time, as a score is then read and written once for them.
    whole = len(rows) // 4 * 4
    for number in range(0, whole, 4):
        a, b = counts[rows[number]], counts[rows[number + 1]]
        c, d = counts[rows[number + 2]], counts[rows[number + 3]]
        e, f, g, h = factors[number], factors[number + 1], factors[number + 2], factors[number + 3]
        for item in range(len(scores)):
            score = scores[item] + e * a[item]
            score += f * b[item]
            score += g * c[item]
            scores[item] = score + h * d[item]
    for number in range(whole, len(rows)):
        row = counts[rows[number]]
        factor = factors[number]
        for item in range(len(scores)):
            scores[item] += factor * row[item]


@compile_loop
def sum_sparse(
    ids: NDArray[np.int32],
    weights: NDArray[np.float32],
    starts: NDArray[np.int64],
    sizes: NDArray[np.int32],
    rows: NDArray[np.int32],
    factors: NDArray[np.float64],
    scores: NDArray[np.float64],
) -> None:
    """Does what `sum_dense` does with rows that hold some of their entries. Same bits."""
    for number in range(len(rows)):
        start = starts[rows[number]]
        factor = factors[number]
        for place in range(start, start + sizes[rows[number]]):
            scores[ids[place]] += factor * weights[place]


@compile_loop
def find(ids: NDArray[np.int32], start: int, size: int, item: int) -> int:
    """Returns where an item stands in a row, -1 if it does not."""
    for place in range(start, start + size):
        if ids[place] == item:
            return place
    return -1


@compile_loop
def add_sparse(
    ids: NDArray[np.int32],
    weights: NDArray[np.float32],
    starts: NDArray[np.int64],
    sizes: NDArray[np.int32],
    room: NDArray[np.int32],
    history: NDArray[np.int32],
    gap_weights: NDArray[np.float32],
    item: int,
    first: int,
) -> int:
    """Does what `add_dense` does where both rows have room, as far as it comes. Same bits.

    Args:
        ids: Items of all rows, end to end with gaps between.
        weights: Theirs.
        starts: Where each row starts.
        sizes: How many entries each row has.
        room: How many it can have.
        history: Whom the item is added to, the newest last.
        gap_weights: By how long ago each of them was, from the newest.
        item: The item.
        first: The gap to go on with, times two, plus one if its first half is done.

    Returns:
        Where it came to, in the form of `first`: a row is full there, or all is done.
    """
    newest = len(history) - 1
    for step in range(first, 2 * len(history)):
        gap = step // 2
        row, entry = history[newest - gap], item
        if step % 2:
            row, entry = entry, row
        place = find(ids, starts[row], sizes[row], entry)
        if place < 0:
            if sizes[row] == room[row]:
                return step
            place = starts[row] + sizes[row]
            ids[place] = entry
            weights[place] = 0.0
            sizes[row] += 1
        weights[place] += gap_weights[gap]
    return 2 * len(history)


@compile_loop
def dot(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Does what `dots.dot` does. Same bits."""
    k = len(first)
    whole = k // 8 * 8
    a = b = c = d = e = f = g = h = 0.0
    for at in range(0, whole, 8):
        a += first[at] * second[at]
        b += first[at + 1] * second[at + 1]
        c += first[at + 2] * second[at + 2]
        d += first[at + 3] * second[at + 3]
        e += first[at + 4] * second[at + 4]
        f += first[at + 5] * second[at + 5]
        g += first[at + 6] * second[at + 6]
        h += first[at + 7] * second[at + 7]
    total = ((a + b) + (c + d)) + ((e + f) + (g + h))
    for at in range(whole, k):
        total += first[at] * second[at]
    return total


@compile_loop
def dots(rows: NDArray[np.float64], vector: NDArray[np.float64]) -> NDArray[np.float64]:
    """Does what `dots.dots` does. Same bits."""
    found = np.empty(len(rows))
    for number in range(len(rows)):
        found[number] = dot(rows[number], vector)
    return found


@compile_loop
def step(
    p: NDArray[np.float64], q: NDArray[np.float64], target: float, rate: float, l2_reg: float
) -> None:
    """Moves a user's and an item's factors by one step of `MF`. Same bits."""
    error = target - dot(p, q)
    for at in range(len(p)):
        before = p[at]
        p[at] = before + rate * (error * q[at] - l2_reg * before)
        q[at] += rate * (error * before - l2_reg * q[at])


@compile_loop
def step_from_zeros(
    p: NDArray[np.float64],
    items: NDArray[np.float64],
    zeros: NDArray[np.int32],
    rate: float,
    l2_reg: float,
) -> None:
    """Moves a user's factors away from those of items, one after the other. Same bits."""
    for zero in zeros:
        q = items[zero]
        error = 0.0 - dot(p, q)
        for at in range(len(p)):
            p[at] += rate * (error * q[at] - l2_reg * p[at])
