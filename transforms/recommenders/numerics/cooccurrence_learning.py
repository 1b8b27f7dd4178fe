"""Kernels that learn item-item co-occurrence counts.

A count is in a square matrix, or in a row of a pool, see `RaggedRows`. Both kinds of kernels
perform the same operations in the same order. Learning keeps a log with which the counts as of
each positive of a minibatch can be restored, see `cooccurrence_lists`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from transforms.recommenders.numerics.cooccurrence_arrays import (
    EPOCH,
    POSITIVES,
    RECENT_TOTAL,
    TOTAL,
    Constants,
    HabitArrays,
    HistoryArrays,
    ItemArrays,
    Mixture,
    Positives,
    UpdateLog,
)
from transforms.recommenders.numerics.jit import compile_exact
from transforms.recommenders.numerics.ragged_kernels import find
from transforms.recommenders.numerics.repeat_habits import learn_habits, mix


@compile_exact
def _others(
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
def _end_session(histories: HistoryArrays, user: int, time: float, longest_gap: float) -> None:
    """Empties a history whose newest item was chosen too long ago."""
    size = histories.sizes[user]
    if longest_gap > 0.0 and size:
        newest = histories.times[histories.starts[user] + size - 1]
        if time - newest > longest_gap:
            histories.sizes[user] = 0
            histories.streaks[user] = 0


@compile_exact
def _choose(
    items: ItemArrays, constants: Constants, item: int, weight: float, before: NDArray[np.float64]
) -> None:
    """Counts one positive of an item; notes what was there before."""
    totals, half_life = items.totals, len(constants.growth)
    before[0], before[1] = items.chosen[item], items.recent[item]
    positives = int(totals[POSITIVES])
    half_lives = float(positives // half_life) - totals[EPOCH]
    recent = weight * constants.growth[positives % half_life]
    if half_lives:
        # A power of two, so that another unit gives the same digits.
        recent *= 2.0**half_lives
    items.chosen[item] += weight
    items.norms[item] = 1.0 / np.sqrt(items.chosen[item] + constants.shrinkage)
    items.recent[item] += recent
    totals[TOTAL] += weight
    totals[RECENT_TOTAL] += recent
    totals[POSITIVES] += 1.0


@compile_exact
def _finish(
    histories: HistoryArrays,
    items: ItemArrays,
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
    """Does all of an update but adding to counts, which the log has as they were before."""
    if with_repeats and histories.sizes[user]:
        learn_habits(histories, items, habits, constants, user, item, log.values[slot], scratch)
    sum_of_changes = 0.0
    for gap in range(log.counts[slot]):
        change = np.float32(weight * constants.gap_weights[gap])
        items.degrees[log.others[slot, gap]] += change
        sum_of_changes += float(change)
    items.degrees[item] += sum_of_changes
    _remember(histories, user, item, time, constants.longest)
    _choose(items, constants, item, weight, log.items[slot])


@compile_exact
def learn_dense(
    matrix: NDArray[np.float32],
    histories: HistoryArrays,
    items: ItemArrays,
    habits: HabitArrays,
    constants: Constants,
    batch: Positives,
    with_repeats: bool,
    log: UpdateLog,
    mixture: Mixture,
) -> None:
    """Learns m positives in order.

    Args:
        matrix: The counts, shape (n_item or more,) * 2.
        histories: Each has room for what is added.
        items: Of all items.
        habits: How people repeat.
        constants: Of the model.
        batch: What to learn.
        with_repeats: Whether to learn how people repeat, and to list accordingly.
        log: Is filled.
        mixture: Is filled with what lists are made from after each that is listed, m slots; may
            have none if nothing is listed.
    """
    scratch = np.empty(len(constants.recency))
    for number in range(len(batch.users)):
        slot = min(number, len(log.counts) - 1)
        user, item = batch.users[number], batch.items[number]
        log.counts[slot] = 0
        if item >= 0:
            _end_session(histories, user, batch.times[number], constants.session_gap)
            start, size = histories.starts[user], histories.sizes[user]
            others, values = log.others[slot], log.values[slot]
            count = _others(histories.ids, start, size, item, others)
            log.counts[slot] = count
            for gap in range(count):
                other = others[gap]
                change = np.float32(batch.weights[number] * constants.gap_weights[gap])
                values[2 * gap] = matrix[other, item]
                values[2 * gap + 1] = matrix[item, other]
                matrix[other, item] += change
                matrix[item, other] += change
            _finish(
                histories,
                items,
                habits,
                constants,
                user,
                item,
                batch.weights[number],
                batch.times[number],
                with_repeats,
                log,
                slot,
                scratch,
            )
        if batch.listed[number]:
            mix(histories, items, habits, constants, user, with_repeats, mixture, slot)


@compile_exact
def learn_sparse(
    ids: NDArray[np.int32],
    counts: NDArray[np.float32],
    starts: NDArray[np.int64],
    sizes: NDArray[np.int32],
    room: NDArray[np.int32],
    histories: HistoryArrays,
    items: ItemArrays,
    habits: HabitArrays,
    constants: Constants,
    batch: Positives,
    with_repeats: bool,
    log: UpdateLog,
    mixture: Mixture,
    first_step: int,
) -> tuple[int, int, int]:
    """Does what `learn_dense` does, up to the first positive that needs room in a full row.

    To make room moves or drops entries, so there is no log of a positive during which it was
    made; it has to be the first, whose log is never applied.

    Args:
        ids: The pool of all rows, as are the next four, see `RaggedRows`.
        counts: The counts.
        starts: Where each row starts.
        sizes: How many entries each row has.
        room: How many entries each row can have.
        histories: As in `learn_dense`, as are all up to `mixture`.
        items: As in `learn_dense`.
        habits: As in `learn_dense`.
        constants: As in `learn_dense`.
        batch: As in `learn_dense`.
        with_repeats: As in `learn_dense`.
        log: As in `learn_dense`.
        mixture: As in `learn_dense`.
        first_step: How many of the counts of the first positive have been added already.

    Returns:
        How many positives were learned; the row that is full, -1 if all were learned; and if no
        positive was learned, the `first_step` to go on with.
    """
    scratch = np.empty(len(constants.recency))
    for number in range(len(batch.users)):
        slot = min(number, len(log.counts) - 1)
        user, item = batch.users[number], batch.items[number]
        log.counts[slot] = 0
        if item >= 0:
            _end_session(histories, user, batch.times[number], constants.session_gap)
            start, size = histories.starts[user], histories.sizes[user]
            others, values, places = log.others[slot], log.values[slot], log.places[slot]
            count = _others(histories.ids, start, size, item, others)
            for step in range(first_step if number == 0 else 0, 2 * count):
                row, entry = others[step // 2], item
                if step % 2:
                    row, entry = entry, row
                place = find(ids, starts[row], sizes[row], entry)
                if place < 0 and sizes[row] == room[row]:
                    if number == 0:
                        return 0, row, step
                    swap_sparse(counts, sizes, others, item, step, values, places, False)
                    return number, row, 0
                if place < 0:
                    place = starts[row] + sizes[row]
                    ids[place] = entry
                    counts[place] = 0.0
                    sizes[row] += 1
                    places[step] = -1 - place
                else:
                    places[step] = place
                values[step] = counts[place]
                counts[place] += np.float32(
                    batch.weights[number] * constants.gap_weights[step // 2]
                )
            log.counts[slot] = count
            _finish(
                histories,
                items,
                habits,
                constants,
                user,
                item,
                batch.weights[number],
                batch.times[number],
                with_repeats,
                log,
                slot,
                scratch,
            )
        if batch.listed[number]:
            mix(histories, items, habits, constants, user, with_repeats, mixture, slot)
    return len(batch.users), -1, 0


@compile_exact
def swap_sparse(
    counts: NDArray[np.float32],
    sizes: NDArray[np.int32],
    others: NDArray[np.int32],
    item: int,
    steps: int,
    values: NDArray[np.float32],
    places: NDArray[np.int64],
    forward: bool,
) -> None:
    """Swaps counts with those in the log; what is done again `forward` is as before."""
    for step in range(steps):
        place = places[step]
        if place < 0:
            place = -1 - place
            row = item if step % 2 else others[step // 2]
            sizes[row] += 1 if forward else -1
        before, after = values[step], counts[place]
        counts[place] = before
        values[step] = after
