"""A kernel that lists for `MF` from the items whose factors are longest."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from transforms.recommenders.numerics.jit import compile_allocating
from transforms.recommenders.numerics.mf_minibatch import list_from
from transforms.recommenders.numerics.stable_dot import dot

_ROUNDING = 2.0**-52


@compile_allocating
def top_n_of_longest(
    longest: NDArray[np.int32],
    floor: float,
    item_rows: NDArray[np.float64],
    items: NDArray[np.int32],
    item_counts: NDArray[np.int32],
    listed: NDArray[np.bool],
    p_after: NDArray[np.float64],
    q_before: NDArray[np.float64],
    excluded: NDArray[np.int32],
    ends: NDArray[np.int64],
    best: NDArray[np.int32],
    scores: NDArray[np.float64],
    counts: NDArray[np.int32],
    complete: NDArray[np.bool],
) -> None:
    """Lists as `mf_minibatch.top_n_after_each` does, where some items are enough for it.

    By Cauchy and Schwarz the product of p and any other item's factors is at most |p| floor. Where
    that is at most 1, so is the other's score, and a full list whose scores are all higher has
    none of them.

    Args:
        longest: The items that are looked at, ascending.
        floor: At least the length of all others' factors, at each of the m steps.
        item_rows: As in `mf_minibatch.top_n_after_each`, as are the arguments up to `ends`.
        items: Shape (m,).
        item_counts: Shape (m,).
        listed: Shape (m,).
        p_after: Shape (m, k).
        q_before: Shape (m, k).
        excluded: Shape (ends[-1],).
        ends: Shape (m + 1,).
        best: Is filled with the lists, shape (l, n).
        scores: Is filled with their scores, shape (l, n).
        counts: Is filled with their lengths, shape (l,).
        complete: Is filled with whether a list is right, shape (l,); what others hold is of no
            meaning.
    """
    m, k = p_after.shape
    q_after = np.empty((m, k))
    near = np.empty(len(longest), dtype=np.int32)
    # Beyond the rounding of either product, of the lengths and of the score.
    slack = _ROUNDING * (2 * k + 16)
    slot = len(counts)
    for number in range(m - 1, -1, -1):
        if listed[number]:
            slot -= 1
            p = p_after[number]
            place, end, found = ends[number], ends[number + 1], 0
            for item in longest:
                if item >= item_counts[number]:
                    break
                while place < end and excluded[place] < item:
                    place += 1
                if place < end and excluded[place] == item:
                    continue
                near[found] = item
                found += 1
            count = list_from(near[:found], item_rows, p, best[slot], scores[slot])
            counts[slot] = count
            most = np.sqrt(dot(p, p)) * floor * (1.0 + slack) + slack
            n = best.shape[1]
            complete[slot] = count == n and most <= 1.0 and scores[slot, n - 1] > most
        item = items[number]
        if item >= 0:
            q_after[number] = item_rows[item]
            item_rows[item] = q_before[number]
    for number in range(m):
        if items[number] >= 0:
            item_rows[items[number]] = q_after[number]
