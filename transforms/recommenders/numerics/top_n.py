"""The best N of many scores, without sorting them all."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from transforms.recommenders.numerics.jit import ZERO, compile_allocating, compile_exact

_SHORT: Final = 100
"""Longer lists are partitioned: insertion into a sorted list is quadratic in its length."""


def top_n(scores: NDArray[np.floating], n: int) -> NDArray[np.intp]:
    """Returns the indices of the `n` highest scores, best first.

    A score of minus infinity or NaN is never among them. Of equal scores the lower index comes
    first, so the answer does not depend on how it is found.

    Args:
        scores: Shape (n_item,).
        n: Length of the list.
    """
    if not n:
        return np.empty(0, dtype=np.intp)
    return _inserted(scores, n) if n <= _SHORT else _partitioned(scores, n)


def top_n_excluding(
    scores: NDArray[np.floating], excluded: NDArray[np.int32], n: int
) -> tuple[NDArray[np.intp], NDArray[np.floating]]:
    """Returns what `top_n` does of all items but the excluded ones, and their scores.

    Args:
        scores: Shape (n_item,); those of excluded items are minus infinity afterwards.
        excluded: Indices.
        n: Length of the list.
    """
    scores[excluded] = -np.inf
    best = top_n(scores, n)
    return best, scores[best]


@compile_exact
def keep_best(
    values: NDArray[np.float64],
    best: NDArray[np.integer],
    count: int,
    score: float,
    index: int,
) -> int:
    """Inserts an index where its score belongs among the best so far, highest first.

    One whose score equals another's comes behind it, so indices are to come ascending. Minus
    infinity and NaN are never kept.

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


@compile_allocating
def _inserted(scores: NDArray[np.floating], n: int) -> NDArray[np.intp]:
    best = np.empty(n, dtype=np.intp)
    values = np.empty(n, dtype=np.float64)
    count = ZERO
    for index in range(len(scores)):
        count = keep_best(values, best, count, scores[index], index)
    return best[:count]


def _partitioned(scores: NDArray[np.floating], n: int) -> NDArray[np.intp]:
    candidates = np.flatnonzero(scores > -np.inf)
    if n < len(candidates):
        values = scores[candidates]
        threshold = np.partition(values, len(values) - n)[len(values) - n]
        candidates = candidates[values >= threshold]
    return candidates[np.argsort(-scores[candidates], kind="stable")[:n]]
