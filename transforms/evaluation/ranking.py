"""Where an item stands among all that a user could be shown: the test before the learning."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def rank(scores: Sequence[NDArray[np.floating]], part: int, item: int) -> int | None:
    """Returns an item's place, from 1, in the order in which `top_n` would list all.

    Args:
        scores: Of all items in one part or several, each of shape (n_item,), minus infinity for
            what is no candidate. Of equal scores the one in the earlier part comes first, then
            the one with the lower index.
        part: Which part has the item.
        item: Its index there, -1 if it is not known.

    Returns:
        None if the item is no candidate.
    """
    if item < 0:
        return None
    score = scores[part][item]
    # A model that diverged has no number for it, which compares with nothing.
    if not score > -np.inf:
        return None
    better = sum(int(np.count_nonzero(one > score)) for one in scores)
    equal = sum(int(np.count_nonzero(one == score)) for one in scores[:part])
    return 1 + better + equal + int(np.count_nonzero(scores[part][:item] == score))


def count_candidates(scores: Sequence[NDArray[np.floating]]) -> int:
    """Returns how many scores are not minus infinity."""
    return sum(int(np.count_nonzero(one > -np.inf)) for one in scores)


def count_ahead(scores: NDArray[np.floating], score: float, item: int) -> int | None:
    """Returns how many items come before one whose score is known.

    Args:
        scores: Of all items, minus infinity for what is no candidate here, shape (n_item,).
        score: That of the item, which may be a candidate elsewhere.
        item: Its index; of equal scores the lower index comes first.

    Returns:
        None if the item is no candidate anywhere.
    """
    if not score > -np.inf:
        return None
    return int(np.count_nonzero(scores > score) + np.count_nonzero(scores[:item] == score))
