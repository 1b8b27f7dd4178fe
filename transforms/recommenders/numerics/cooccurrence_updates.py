"""Kernels for what a positive changes beside counts: histories, statistics of items, habits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from transforms.recommenders.numerics.cooccurrence_arrays import (
    EPOCH,
    POSITIVES,
    RECENT_TOTAL,
    STARTS,
    STARTS_EPOCH,
    STARTS_TOTAL,
    TOTAL,
    ColumnArrays,
    Constants,
    HistoryArrays,
    ItemArrays,
    UpdateLog,
)
from transforms.recommenders.numerics.experts import learn_habits
from transforms.recommenders.numerics.habit_arrays import HabitArrays
from transforms.recommenders.numerics.jit import compile_exact
from transforms.recommenders.numerics.ragged_kernels import find


@compile_exact
def others_of(
    ids: NDArray[np.int32], start: int, size: int, item: int, others: NDArray[np.int32]
) -> int:
    """Fills `others` with a history, the newest first, without an item; returns how many."""
    count = 0
    for place in range(start + size - 1, start - 1, -1):
        if ids[place] != item:
            others[count] = ids[place]
            count += 1
    return count


@compile_exact
def _remember(histories: HistoryArrays, user: int, item: int, time: float, longest: int) -> None:
    """Makes an item the newest of a user's history, which has room or its greatest length."""
    ids, times = histories.ids, histories.times
    start, size = histories.starts[user], histories.sizes[user]
    gap = find(ids, start, size, item)
    if gap < 0:
        if size < longest:
            ids[start + size] = item
            times[start + size] = time
            histories.sizes[user] += 1
            return
        gap = start
    for place in range(gap, start + size - 1):
        ids[place] = ids[place + 1]
        times[place] = times[place + 1]
    ids[start + size - 1] = item
    times[start + size - 1] = time


@compile_exact
def end_session(histories: HistoryArrays, user: int, time: float, longest_gap: float) -> None:
    """Empties a history whose newest item was chosen too long ago."""
    size = histories.sizes[user]
    if longest_gap > 0.0 and size:
        newest = histories.times[histories.starts[user] + size - 1]
        if time - newest > longest_gap:
            histories.sizes[user] = 0
            histories.streaks[user] = 0


@compile_exact
def _growing(constants: Constants, number: float, epoch: float) -> float:
    """Returns how much the positive after `number` others adds where they have a half-life."""
    half_life = len(constants.growth)
    added: float = constants.growth[int(number) % half_life]
    half_lives = float(int(number) // half_life) - epoch
    # A power of two, so that another unit gives the same digits.
    return added * 2.0**half_lives if half_lives else added


@compile_exact
def _choose(
    items: ItemArrays,
    columns: ColumnArrays,
    constants: Constants,
    item: int,
    weight: float,
    starts_history: bool,
    before: NDArray[np.float64],
) -> None:
    """Counts one positive of an item; notes what was there before."""
    totals = items.totals
    before[0], before[1], before[2] = items.chosen[item], items.recent[item], items.starts[item]
    recent = weight * _growing(constants, totals[POSITIVES], totals[EPOCH])
    items.chosen[item] += weight
    items.norms[item] = 1.0 / np.sqrt(items.chosen[item] + constants.shrinkage)
    items.recent[item] += recent
    if starts_history:
        start = weight * _growing(constants, totals[STARTS], totals[STARTS_EPOCH])
        items.starts[item] += start
        totals[STARTS_TOTAL] += start
        totals[STARTS] += 1.0
    column = columns.of[item]
    if column >= 0:
        columns.chosen[column] = items.chosen[item]
        columns.norms[column] = items.norms[item]
        columns.recent[column] = items.recent[item]
        columns.starts[column] = items.starts[item]
    totals[TOTAL] += weight
    totals[RECENT_TOTAL] += recent
    totals[POSITIVES] += 1.0


@compile_exact
def finish(
    histories: HistoryArrays,
    items: ItemArrays,
    columns: ColumnArrays,
    habits: HabitArrays,
    constants: Constants,
    user: int,
    item: int,
    weight: float,
    time: float,
    with_repeats: bool,
    log: UpdateLog,
    slot: int,
    scratch: NDArray[np.float64],
) -> None:
    """Does all of an update but adding to counts.

    Args:
        histories: Of all users.
        items: Of all items.
        columns: Of those that are listed here.
        habits: How people choose.
        constants: Of the model.
        user: Who chose.
        item: What.
        weight: Its strength.
        time: When, in seconds.
        with_repeats: Whether lists have items that the user chose before.
        log: Has the other items and the counts as they were before; what else changes is noted.
        slot: The row of it.
        scratch: As in `learn_habits`.
    """
    log.next_rows[slot, :] = -1
    if (with_repeats or constants.learns_habits) and histories.sizes[user]:
        learn_habits(
            histories,
            items,
            habits,
            constants,
            user,
            item,
            weight,
            with_repeats,
            log,
            slot,
            scratch,
        )
    sum_of_changes = 0.0
    for gap in range(log.counts[slot]):
        change = np.float32(weight * constants.gap_weights[gap])
        items.degrees[log.others[slot, gap]] += change
        sum_of_changes += float(change)
    items.degrees[item] += sum_of_changes
    starts_history = histories.sizes[user] == 0
    _remember(histories, user, item, time, constants.longest)
    _choose(items, columns, constants, item, weight, starts_history, log.items[slot])
