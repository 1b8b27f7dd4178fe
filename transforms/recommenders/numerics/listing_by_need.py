"""Kernels that list from sparse co-occurrence counts without a look at most of the items.

Only items that co-occur with a user's last items, and those that the user chose, have a score
beyond their prior, which rises with how often an item was chosen and how recently. So beside
them only the most popular items can be listed, and these are kept at hand, see
`memory.popular_items`. A list costs what the user's rows hold, however many items there are.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from transforms.recommenders.numerics.cooccurrence_arrays import ItemArrays, Mixture
from transforms.recommenders.numerics.jit import compile_exact

INCOMPLETE: Final = -1
"""Length of a list that takes a look at all items."""


class PopularArrays(NamedTuple):
    """The most popular items, as of now or later.

    Attributes:
        items: Their indices, shape (p,).
        chosen: The others' `chosen` is at most this.
        recent: The others' `recent` is at most this.
        all_items: Whether there are no others.
    """

    items: NDArray[np.int32]
    chosen: float
    recent: float
    all_items: bool


class Scratch(NamedTuple):
    """Room for the scores of one list; what it holds between two lists is of no meaning.

    Attributes:
        scores: Of an item, shape (n_item or more,).
        marks: Whether it is of the list that `list_number` counts, shape (n_item or more,).
        touched: The items that have a score, shape (n_item or more,).
        list_number: How many lists were made, shape (1,).
    """

    scores: NDArray[np.float64]
    marks: NDArray[np.int64]
    touched: NDArray[np.int32]
    list_number: NDArray[np.int64]


@compile_exact
def _touch(scratch: Scratch, item: int, mark: int, count: int) -> int:
    """Gives an item a score of 0 unless it has one or is excluded; returns how many have one."""
    if scratch.marks[item] < mark:
        scratch.marks[item] = mark
        scratch.scores[item] = 0.0
        scratch.touched[count] = item
        return count + 1
    return count


@compile_exact
def _sum_rows(
    ids: NDArray[np.int32],
    counts: NDArray[np.float32],
    starts: NDArray[np.int64],
    sizes: NDArray[np.int32],
    mixture: Mixture,
    slot: int,
    mark: int,
    scratch: Scratch,
) -> int:
    """Adds up the weighted rows of the newest items; returns how many items were touched."""
    scores, count = scratch.scores, 0
    for age in range(min(mixture.counts[slot], mixture.factors.shape[1])):
        row, factor = mixture.recent[slot, age], mixture.factors[slot, age]
        for place in range(starts[row], starts[row] + sizes[row]):
            count = _touch(scratch, ids[place], mark, count)
            scores[ids[place]] += factor * counts[place]
    return count


@compile_exact
def _complete(
    items: ItemArrays,
    mixture: Mixture,
    slot: int,
    with_repeats: bool,
    touched: NDArray[np.int32],
    scores: NDArray[np.float64],
) -> None:
    """Makes scores of sums of rows, in the order of `cooccurrence_lists`."""
    prior, recent_prior = mixture.priors[slot, 0], mixture.priors[slot, 1]
    chosen, recent, norms = items.chosen, items.recent, items.norms
    if not with_repeats:
        for item in touched:
            score = scores[item] * norms[item] + prior * chosen[item]
            scores[item] = score + recent_prior * recent[item]
        return
    for item in touched:
        scores[item] += prior * chosen[item] + recent_prior * recent[item]
    for age in range(mixture.counts[slot]):
        item, extra = mixture.recent[slot, age], mixture.extras[slot, age]
        scores[item] = scores[item] + extra if age else extra


@compile_exact
def _keep_better(
    values: NDArray[np.float64], best: NDArray[np.int32], count: int, score: float, index: int
) -> int:
    """Does what `top_n.keep_best` does with indices in any order: the lower of equals is better."""
    n = len(values)
    if count == n and (score < values[n - 1] or (score == values[n - 1] and index > best[n - 1])):
        return count
    place = min(count, n - 1)
    while place > 0 and (
        values[place - 1] < score or (values[place - 1] == score and best[place - 1] > index)
    ):
        values[place] = values[place - 1]
        best[place] = best[place - 1]
        place -= 1
    values[place] = score
    best[place] = index
    return min(count + 1, n)


@compile_exact
def list_by_need(
    ids: NDArray[np.int32],
    counts: NDArray[np.float32],
    starts: NDArray[np.int64],
    sizes: NDArray[np.int32],
    items: ItemArrays,
    mixture: Mixture,
    slot: int,
    with_repeats: bool,
    n_item: int,
    popular: PopularArrays,
    excluded: NDArray[np.int32],
    scratch: Scratch,
    best: NDArray[np.int32],
    best_scores: NDArray[np.float64],
) -> int:
    """Fills a list, to the bit as `score_sparse` and a look at all scores would.

    Args:
        ids: The pool of all rows, as are the next three, see `RaggedRows`.
        counts: The counts.
        starts: Where each row starts.
        sizes: How many entries each row has.
        items: Of all items.
        mixture: What `mix` filled.
        slot: The row of it.
        with_repeats: As in `mix`.
        n_item: Items from this one on did not exist yet.
        popular: The most popular items.
        excluded: Items that are not listed.
        scratch: Is used.
        best: Is filled with the list, shape (n,).
        best_scores: Is filled with its scores, shape (n,).

    Returns:
        The length of the list; `INCOMPLETE` if an item beyond those that were looked at could
        be in it.
    """
    scores, touched = scratch.scores, scratch.touched
    scratch.list_number[0] += 1
    mark = 2 * scratch.list_number[0]
    for item in excluded:
        scratch.marks[item] = mark + 1
    count = _sum_rows(ids, counts, starts, sizes, mixture, slot, mark, scratch)
    if with_repeats:
        for age in range(mixture.counts[slot]):
            count = _touch(scratch, mixture.recent[slot, age], mark, count)
    for item in popular.items:
        if item < n_item:
            count = _touch(scratch, item, mark, count)
    _complete(items, mixture, slot, with_repeats, touched[:count], scores)
    prior, recent_prior = mixture.priors[slot, 0], mixture.priors[slot, 1]
    most = prior * popular.chosen + recent_prior * popular.recent
    length = 0
    for number in range(count):
        item = touched[number]
        length = _keep_better(best_scores, best, length, scores[item], item)
    if popular.all_items or (length == len(best) and best_scores[length - 1] > most):
        return length
    return INCOMPLETE


@compile_exact
def follow_popular(
    chosen: NDArray[np.float64],
    recent: NDArray[np.float64],
    changed: NDArray[np.int32],
    floor: float,
    recent_floor: float,
    is_popular: NDArray[np.bool],
    popular: NDArray[np.int32],
    count: int,
) -> int:
    """Adds items that rose above what the others have to the popular ones; returns how many.

    Args:
        chosen: Of all items.
        recent: Of all items.
        changed: The items that rose; -1 for none.
        floor: The others' `chosen` was at most this.
        recent_floor: The others' `recent` was at most this.
        is_popular: Of all items; changes.
        popular: The popular items, and room for all of `changed`.
        count: How many there are.
    """
    for item in changed:
        if item < 0 or is_popular[item]:
            continue
        if chosen[item] > floor or recent[item] > recent_floor:
            is_popular[item] = True
            popular[count] = item
            count += 1
    return count
