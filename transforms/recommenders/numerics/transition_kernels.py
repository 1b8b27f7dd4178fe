"""Kernels that count which item follows which at once, in rows of bounded length."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from transforms.recommenders.numerics.cooccurrence_arrays import ColumnArrays, ItemArrays, UpdateLog
from transforms.recommenders.numerics.habit_arrays import TransitionArrays
from transforms.recommenders.numerics.jit import compile_exact
from transforms.recommenders.numerics.ragged_kernels import find


@compile_exact
def transition_share(
    transitions: TransitionArrays, items: ItemArrays, newest: int, item: int
) -> float:
    """Returns the share of the transitions from `newest` that went to `item`."""
    start, size = transitions.starts[newest], transitions.sizes[newest]
    place = find(transitions.ids, start, size, item)
    if place < 0:
        return 0.0
    share: float = transitions.counts[place] / items.followed[newest]
    return share


@compile_exact
def _lightest(counts: NDArray[np.float32], start: int, size: int) -> int:
    lightest = start
    for place in range(start + 1, start + size):
        if counts[place] < counts[lightest]:
            lightest = place
    return lightest


@compile_exact
def count_transition(
    transitions: TransitionArrays,
    items: ItemArrays,
    newest: int,
    item: int,
    weight: float,
    log: UpdateLog,
    slot: int,
) -> None:
    """Counts one transition; where a row is full, its first lightest entry gives way.

    Args:
        transitions: The row of `newest` has room for one entry more, or the greatest length.
        items: `followed` changes.
        newest: From which item.
        item: To which.
        weight: What to add.
        log: Is filled.
        slot: The row of it.
    """
    ids, counts = transitions.ids, transitions.counts
    start, size = transitions.starts[newest], transitions.sizes[newest]
    items.followed[newest] += weight
    place = find(ids, start, size, item)
    log.next_rows[slot] = newest
    if place < 0 and size < transitions.most:
        place = start + size
        transitions.sizes[newest] += 1
        log.next_ids[slot], log.next_counts[slot] = -1, 0.0
        ids[place], counts[place] = item, weight
    elif place < 0:
        place = _lightest(counts, start, size)
        log.next_ids[slot], log.next_counts[slot] = ids[place], counts[place]
        ids[place], counts[place] = item, weight
    else:
        log.next_ids[slot], log.next_counts[slot] = item, counts[place]
        counts[place] += np.float32(weight)
    log.next_places[slot] = place


@compile_exact
def swap_transition(transitions: TransitionArrays, log: UpdateLog, slot: int) -> None:
    """Swaps what an update changed with what is in the log."""
    row = log.next_rows[slot]
    if row < 0:
        return
    place = log.next_places[slot]
    before, count = log.next_ids[slot], log.next_counts[slot]
    now = transitions.ids[place]
    log.next_ids[slot], log.next_counts[slot] = now, transitions.counts[place]
    transitions.ids[place], transitions.counts[place] = before, count
    if before < 0:
        transitions.sizes[row] -= 1
    elif now < 0:
        transitions.sizes[row] += 1


@compile_exact
def add_transitions(
    transitions: TransitionArrays,
    columns: ColumnArrays,
    newest: int,
    weight: float,
    scores: NDArray[np.float64],
) -> None:
    """Adds the weighted transitions from an item to scores by column, shape (n_column,)."""
    start = transitions.starts[newest]
    for place in range(start, start + transitions.sizes[newest]):
        column = columns.of[transitions.ids[place]]
        if column >= 0:
            scores[column] += weight * transitions.counts[place]
