"""Kernels that count which item follows which at once, in rows of bounded length.

An item's row has what came right after it and what came right before it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from transforms.recommenders.numerics.cooccurrence_arrays import ColumnArrays, ItemArrays, UpdateLog
from transforms.recommenders.numerics.habit_arrays import (
    AFTER,
    BEFORE,
    Mixture,
    TransitionArrays,
)
from transforms.recommenders.numerics.jit import ZERO, compile_exact
from transforms.recommenders.numerics.ragged_kernels import find
from transforms.recommenders.numerics.top_n import keep_best


@compile_exact
def transition_counts(transitions: TransitionArrays, row: int, item: int) -> tuple[float, float]:
    """Returns how often an item came right after that of a row, and how often right before it."""
    place = find(transitions.ids, transitions.starts[row], transitions.sizes[row], item)
    if place < 0:
        return 0.0, 0.0
    return float(transitions.counts[place, AFTER]), float(transitions.counts[place, BEFORE])


@compile_exact
def find_bridges(
    transitions: TransitionArrays,
    items: ItemArrays,
    newest: int,
    bridges: NDArray[np.int32],
    shares: NDArray[np.float64],
) -> tuple[int, float]:
    """Finds the items that were chosen most often right after or before an item.

    Args:
        transitions: Which item follows which.
        items: Of all items.
        newest: The item.
        bridges: Is filled with them, shape (BRIDGES,).
        shares: Is filled with the share of each one's transitions that were those, same shape.

    Returns:
        How many there are, and the sum over them of the share times all other transitions.
    """
    start = transitions.starts[newest]
    count = ZERO
    for place in range(start, start + transitions.sizes[newest]):
        both = float(transitions.counts[place, AFTER]) + float(transitions.counts[place, BEFORE])
        if both > (shares[-1] if count == len(shares) else 0.0):
            count = keep_best(shares, bridges, count, both, place - start)
    mass = 0.0
    for number in range(count):
        bridge = transitions.ids[start + bridges[number]]
        both = shares[number]
        total = max(both, items.followed[bridge] + items.preceded[bridge])
        bridges[number], shares[number] = bridge, both / total
        mass += shares[number] * (total - both)
    return count, mass


@compile_exact
def bridged_share(
    transitions: TransitionArrays,
    bridges: NDArray[np.int32],
    shares: NDArray[np.float64],
    found: tuple[int, float],
    item: int,
) -> float:
    """Returns the share of the second steps that go to an item, see `find_bridges`."""
    sum_of_steps = 0.0
    for number in range(found[0]):
        after, before = transition_counts(transitions, bridges[number], item)
        sum_of_steps += shares[number] * (after + before)
    return sum_of_steps / found[1]


@compile_exact
def _lightest(counts: NDArray[np.float32], start: int, size: int) -> int:
    lightest = start
    for place in range(start + 1, start + size):
        if counts[place, 0] + counts[place, 1] < counts[lightest, 0] + counts[lightest, 1]:
            lightest = place
    return lightest


@compile_exact
def _count_one(
    transitions: TransitionArrays,
    row: int,
    item: int,
    side: int,
    weight: float,
    log: UpdateLog,
    slot: int,
) -> None:
    """Counts a transition in the row of one of its items, and notes in the log what was there."""
    ids, counts = transitions.ids, transitions.counts
    start, size = transitions.starts[row], transitions.sizes[row]
    place = find(ids, start, size, item)
    is_new, before = place < 0, item
    if is_new and size < transitions.most:
        place, before = start + size, -1
        transitions.sizes[row] += 1
    elif is_new:
        place = _lightest(counts, start, size)
        before = ids[place]
    log.next_rows[slot, side], log.next_places[slot, side] = row, place
    log.next_ids[slot, side] = before
    log.next_counts[slot, side, AFTER] = counts[place, AFTER]
    log.next_counts[slot, side, BEFORE] = counts[place, BEFORE]
    if is_new:
        ids[place] = item
        counts[place, AFTER] = counts[place, BEFORE] = 0.0
    counts[place, side] += np.float32(weight)


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
        transitions: Both items' rows have room for one entry more, or the greatest length.
        items: `followed` and `preceded` change.
        newest: From which item.
        item: To which, another one.
        weight: What to add.
        log: Is filled.
        slot: The row of it.
    """
    items.followed[newest] += weight
    items.preceded[item] += weight
    _count_one(transitions, newest, item, AFTER, weight, log, slot)
    _count_one(transitions, item, newest, BEFORE, weight, log, slot)


@compile_exact
def swap_transition(transitions: TransitionArrays, log: UpdateLog, slot: int) -> None:
    """Swaps what an update changed with what is in the log."""
    for side in range(2):
        row = log.next_rows[slot, side]
        if row < 0:
            return
        place = log.next_places[slot, side]
        before, now = log.next_ids[slot, side], transitions.ids[place]
        log.next_ids[slot, side], transitions.ids[place] = now, before
        for one in range(2):
            count = log.next_counts[slot, side, one]
            log.next_counts[slot, side, one] = transitions.counts[place, one]
            transitions.counts[place, one] = count
        if before < 0:
            transitions.sizes[row] -= 1
        elif now < 0:
            transitions.sizes[row] += 1


@compile_exact
def add_transitions(
    transitions: TransitionArrays,
    columns: ColumnArrays,
    mixture: Mixture,
    slot: int,
    scores: NDArray[np.floating],
) -> None:
    """Adds the weighted transitions of all steps to scores by column, shape (n_column,)."""
    ids, counts = transitions.ids, transitions.counts
    for step in range(mixture.steps[slot]):
        row = mixture.step_rows[slot, step]
        start = transitions.starts[row]
        after, before = mixture.after_weights[slot, step], mixture.before_weights[slot, step]
        for place in range(start, start + transitions.sizes[row]):
            column = columns.of[ids[place]]
            if column >= 0:
                scores[column] += after * counts[place, AFTER] + before * counts[place, BEFORE]
