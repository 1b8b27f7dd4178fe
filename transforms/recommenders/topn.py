"""The best N of many scores, without sorting them all."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from transforms.recommenders import compiled

_SHORT: Final = 100


def top_n(scores: NDArray[np.floating], n: int) -> NDArray[np.intp]:
    """Returns the indices of the `n` highest scores, best first.

    A score of minus infinity is never among them. Of equal scores the lower index comes first,
    so the answer does not depend on how it is found.

    Args:
        scores: Shape (n_item,).
        n: How many.
    """
    if not n:
        return np.empty(0, dtype=np.intp)
    if n <= _SHORT and compiled.AVAILABLE:
        return compiled.best_indices(scores, n)
    return partitioned(scores, n)


def best_of_rest(
    scores: NDArray[np.floating], left_out: NDArray[np.int32], n: int
) -> tuple[NDArray[np.intp], NDArray[np.floating]]:
    """Returns what `top_n` does of all but some, and their scores.

    Args:
        scores: Shape (n_item,); of those that are left out it is minus infinity afterwards.
        left_out: Indices.
        n: How many.
    """
    if 0 < n <= _SHORT and compiled.AVAILABLE:
        return compiled.best_of_rest(scores, left_out, n)
    scores[left_out] = -np.inf
    best = top_n(scores, n)
    return best, scores[best]


def partitioned(scores: NDArray[np.floating], n: int) -> NDArray[np.intp]:
    """Does what `top_n` does for an `n` above 0, with numpy alone."""
    if n < len(scores):
        threshold = np.partition(scores, len(scores) - n)[len(scores) - n]
        candidates = np.flatnonzero(scores >= threshold)
    else:
        candidates = np.arange(len(scores))
    best = candidates[np.argsort(-scores[candidates], kind="stable")[:n]]
    return best[scores[best] > -np.inf]
