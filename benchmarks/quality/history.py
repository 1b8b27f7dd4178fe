"""What was known of the user and the item of each test: the slices of a cold start."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality.protocols import Stream

NEW_ITEM: Final = 5
"""An item is new as long as it has fewer positives."""

NEW_USER: Final = 3
"""A user is new as long as they have fewer positives."""


class History(NamedTuple):
    """What was known before each test of a stream.

    Attributes:
        users: A number for the user, from 0, shape (n_test,).
        user_positives: Positives of the user, shape (n_test,).
        item_positives: Positives of the tested item, shape (n_test,).
    """

    users: NDArray[np.int64]
    user_positives: NDArray[np.int64]
    item_positives: NDArray[np.int64]

    @property
    def new_items(self) -> NDArray[np.bool]:
        """Whether the item was new, shape (n_test,)."""
        return self.item_positives < NEW_ITEM

    @property
    def new_users(self) -> NDArray[np.bool]:
        """Whether the user was new, shape (n_test,)."""
        return self.user_positives < NEW_USER


def history(stream: Stream) -> History:
    """Counts the positives that were learned before each test."""
    by_item: dict[str, int] = {}
    by_user: dict[str, int] = {}
    numbers: dict[str, int] = {}
    rows: list[tuple[int, int, int]] = []
    for rating, is_tested in zip(stream.ratings, stream.tested, strict=True):
        users, items = by_user.get(rating.user, 0), by_item.get(rating.item, 0)
        if is_tested:
            rows.append((numbers.setdefault(rating.user, len(numbers)), users, items))
        if rating.weight > 0:
            by_user[rating.user] = users + 1
            by_item[rating.item] = items + 1
    return History(*np.array(rows, dtype=np.int64).reshape(-1, 3).T)
