"""The kernel that follows the share of choices that repeat an earlier one."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from transforms.recommenders.numerics.jit import compile_exact

FIRST, OTHER, AGAIN = range(3)
"""A user's first item; an item that the user does not have; one that the user has."""

MOST: Final = 10_000
"""Counts are halved when there are so many choices."""

_ALLOW_FROM: Final = 0.1
_STOP_BELOW: Final = 0.05
_PRIOR_AGAIN: Final = 1
_PRIOR: Final = 40


@compile_exact
def follow_share(
    kinds: NDArray[np.int64], counts: NDArray[np.int64], allowed: NDArray[np.bool]
) -> None:
    """Counts choices, in order, and decides after each.

    Args:
        kinds: `FIRST`, `OTHER` or `AGAIN` for each, shape (m,).
        counts: Choices, those that repeat, and whether repeats are allowed; changed in place.
        allowed: Is filled with whether repeats are allowed just after each, shape (m,).
    """
    for number in range(len(kinds)):
        if kinds[number] != FIRST:
            counts[0] += 1
            counts[1] += kinds[number] == AGAIN
            share = (counts[1] + _PRIOR_AGAIN) / (counts[0] + _PRIOR)
            counts[2] = share >= (_STOP_BELOW if counts[2] else _ALLOW_FROM)
            if counts[0] >= MOST:
                counts[0] //= 2
                counts[1] //= 2
        allowed[number] = counts[2] == 1
