"""Positives that are learned together, and the lists as of each of them."""

from __future__ import annotations

from typing import Final, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

LONGEST_LIST: Final = 100
"""The longest list that is made for a minibatch."""


class Minibatch(NamedTuple):
    """Positives that are learned together, m of them, in their order, as columns.

    If no lists are asked for, `seen` and `excluded` are empty, their ends zero and `listed` False.

    Attributes:
        users: int32, shape (m,); have been added.
        items: int32, shape (m,); have been added. -1 where the item is learned elsewhere.
        item_counts: How many items there were when each was learned, int32, shape (m,); items
            that were added by then have the lower indices.
        weights: Strengths, above 0, float64, shape (m,).
        times: Event times in seconds, float64, shape (m,).
        seen: The items that each user had by then, ascending, end to end, int32.
        seen_ends: Where each begins and the last ends in `seen`, int64, shape (m + 1,).
        listed: Whether a list as of each is asked for, shape (m,).
        excluded: The items that the list as of each does not have, as `seen`.
        excluded_ends: As `seen_ends`.
    """

    users: NDArray[np.int32]
    items: NDArray[np.int32]
    item_counts: NDArray[np.int32]
    weights: NDArray[np.float64]
    times: NDArray[np.float64]
    seen: NDArray[np.int32]
    seen_ends: NDArray[np.int64]
    listed: NDArray[np.bool]
    excluded: NDArray[np.int32]
    excluded_ends: NDArray[np.int64]

    def part(self, start: int, stop: int) -> Minibatch:
        """Returns the positives from `start` up to, not including, `stop`."""
        return Minibatch(
            self.users[start:stop],
            self.items[start:stop],
            self.item_counts[start:stop],
            self.weights[start:stop],
            self.times[start:stop],
            self.seen,
            self.seen_ends[start : stop + 1],
            self.listed[start:stop],
            self.excluded,
            self.excluded_ends[start : stop + 1],
        )


class TopNLists(NamedTuple):
    """Lists for the l listed positives of a minibatch.

    Attributes:
        items: Of each positive's user, best first, shape (l, n).
        scores: Theirs, shape (l, n).
        counts: The length of each list, shape (l,).
    """

    items: NDArray[np.int32]
    scores: NDArray[np.float64]
    counts: NDArray[np.int32]


def empty_lists(listed: NDArray[np.bool], n: int) -> TopNLists:
    """Returns a list of at most n items, to be filled, for each listed positive."""
    count = np.count_nonzero(listed)
    return TopNLists(
        np.empty((count, n), dtype=np.int32), np.empty((count, n)), np.empty(count, dtype=np.int32)
    )


class UpdateTrace(Protocol):
    """What it takes to list as of each update of a minibatch, after all of them."""

    @property
    def listing_seconds(self) -> float:
        """How long it took to make lists while learning, about."""
        ...

    def top_n_after_each(self, n: int) -> TopNLists:
        """Returns what `Model.best_items` would have returned after each listed positive.

        To be called before the model learns anything else.

        Args:
            n: Length of the lists, as it was said to `learn_batch`.
        """
        ...


class ListedAlready:
    """An `UpdateTrace` whose lists were made while learning.

    Args:
        lists: The lists.
        seconds: See `listing_seconds`.
    """

    def __init__(self, lists: TopNLists, seconds: float) -> None:
        self._lists = lists
        self.listing_seconds = seconds

    def top_n_after_each(self, n: int) -> TopNLists:
        """Returns them."""
        del n
        return self._lists
