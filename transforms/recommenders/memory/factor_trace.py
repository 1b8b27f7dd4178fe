"""What a minibatch of matrix factorization leaves behind, to list from afterwards."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from transforms.recommenders.memory.factor_matrix import FactorMatrix
from transforms.recommenders.memory.float32_prefilter import Float32Prefilter
from transforms.recommenders.memory.longest_items import LongestItems
from transforms.recommenders.minibatch import Minibatch, TopNLists, empty_lists
from transforms.recommenders.numerics import mf_longest, mf_minibatch

_ANY_USER: Final = np.zeros(1, dtype=np.int32)
_NO_ITEM: Final = np.full(1, -1, dtype=np.int32)
_NO_WEIGHT: Final = np.zeros(1)
_LISTED: Final = np.ones(1, dtype=np.bool)


class FactorTrace:
    """An `UpdateTrace` of factors.

    Args:
        batch: What is learned.
        items: All items' factors.
        prefilter: Theirs.
        longest: Theirs.

    Attributes:
        listing_seconds: 0, as lists are made afterwards.
        p_after: The user's factors after each step, shape (m, k), to be filled.
        q_before: The item's factors before each step, shape (m, k), to be filled where there
            is an item.
    """

    listing_seconds = 0.0

    def __init__(
        self,
        batch: Minibatch,
        items: FactorMatrix,
        prefilter: Float32Prefilter,
        longest: LongestItems,
    ) -> None:
        self._batch = batch
        self._items = items
        self._prefilter = prefilter
        self._longest = longest
        shape = (len(batch.users), items.rows.shape[1])
        self.p_after: NDArray[np.float64] = np.empty(shape)
        self.q_before: NDArray[np.float64] = np.empty(shape)

    def top_n_after_each(self, n: int) -> TopNLists:
        """Returns what `MF.best_items` would have returned after each listed step."""
        batch, prefilter = self._batch, self._prefilter
        prefilter.follow(self._items.used())
        found = empty_lists(batch.listed, n)
        p_listed = self.p_after[batch.listed]
        errors = prefilter.errors(p_listed)
        complete = self._complete(found, errors)
        if complete.all():
            return found
        if not complete.any():
            self._look_at_all(found, batch.listed, p_listed, errors)
        else:
            left, listed = ~complete, batch.listed.copy()
            listed[batch.listed] = left
            rest = empty_lists(listed, n)
            self._look_at_all(rest, listed, p_listed[left], errors[left])
            found.items[left], found.scores[left] = rest.items, rest.scores
            found.counts[left] = rest.counts
        return found

    def _look_at_all(
        self,
        lists: TopNLists,
        listed: NDArray[np.bool],
        p_listed: NDArray[np.float64],
        errors: NDArray[np.float64],
    ) -> None:
        """Fills the lists of some of the steps from all items, screened in single precision."""
        batch, prefilter = self._batch, self._prefilter
        mf_minibatch.top_n_after_each(
            p_listed.astype(np.float32) @ prefilter.copy.T,
            self._items.rows,
            prefilter.copy,
            batch.items,
            batch.item_counts,
            listed,
            self.p_after,
            self.q_before,
            batch.excluded,
            batch.excluded_ends,
            errors,
            *lists,
        )

    def _complete(self, found: TopNLists, errors: NDArray[np.float64]) -> NDArray[np.bool]:
        """Fills the lists that the longest items are enough for; returns which, shape (l,)."""
        batch, items = self._batch, self._items
        complete = np.zeros(len(errors), dtype=np.bool)
        longest = self._longest.items()
        # Where factors are not finite, lengths say nothing.
        if len(longest) and (errors < 1.0).all():
            mf_longest.top_n_of_longest(
                longest,
                self._longest.floor,
                items.rows,
                batch.items,
                batch.item_counts,
                batch.listed,
                self.p_after,
                self.q_before,
                batch.excluded,
                batch.excluded_ends,
                *found,
                complete,
            )
        return complete


def top_n_of_user(
    p: NDArray[np.float64],
    excluded: NDArray[np.int32],
    n: int,
    items: FactorMatrix,
    prefilter: Float32Prefilter,
    longest: LongestItems,
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Returns what `MF.best_items` does for one user's factors, as a trace of no step."""
    sizes = np.array([items.n], dtype=np.int32)
    ends = np.array([0, len(excluded)], dtype=np.int64)
    step = Minibatch(
        _ANY_USER,
        _NO_ITEM,
        sizes,
        _NO_WEIGHT,
        _NO_WEIGHT,
        excluded,
        ends,
        _LISTED,
        excluded,
        ends,
    )
    longest.follow(items.used())
    trace = FactorTrace(step, items, prefilter, longest)
    trace.p_after[0] = p
    best, scores, counts = trace.top_n_after_each(n)
    return best[0, : counts[0]], scores[0, : counts[0]]
