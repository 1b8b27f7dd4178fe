"""Kernels that learn co-occurrence counts in sparse rows, see `cooccurrence_learning`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from transforms.recommenders.numerics.cooccurrence_arrays import (
    ColumnArrays,
    Constants,
    HistoryArrays,
    ItemArrays,
    Positives,
    RowArrays,
    UpdateLog,
)
from transforms.recommenders.numerics.cooccurrence_updates import end_session, finish, others_of
from transforms.recommenders.numerics.experts import SCRATCH
from transforms.recommenders.numerics.habit_arrays import SETTINGS, HabitArrays, Mixture
from transforms.recommenders.numerics.jit import compile_allocating, compile_exact
from transforms.recommenders.numerics.mixing import mix, mix_settings
from transforms.recommenders.numerics.ragged_kernels import FIRST_ROOM, find, move_to_end
from transforms.recommenders.numerics.tuning_kernels import (
    follow_leader,
    is_affordable,
    is_test,
    judge_by_need,
)


@compile_exact
def _test_sparse(
    rows: RowArrays,
    histories: HistoryArrays,
    items: ItemArrays,
    columns: ColumnArrays,
    habits: HabitArrays,
    constants: Constants,
    user: int,
    item: int,
) -> None:
    """Does what `_test_dense` does with sparse rows."""
    tuning, transitions = habits.tuning, habits.transitions
    mix_settings(histories, items, habits, constants, user)
    for setting in range(SETTINGS):
        judge_by_need(rows, transitions, columns, histories, tuning, user, item, setting)


@compile_allocating
def learn_sparse(
    rows: RowArrays,
    elsewhere: RowArrays,
    histories: HistoryArrays,
    items: ItemArrays,
    columns: ColumnArrays,
    habits: HabitArrays,
    constants: Constants,
    batch: Positives,
    with_repeats: bool,
    log: UpdateLog,
    mixture: Mixture,
    first_step: int,
) -> tuple[int, int, int]:
    """Does what `learn_dense` does, up to the first positive for which a full row has no room.

    A row that is full moves to the end of the pool, with twice the room. Where the pool is full,
    or the row as long as it may be, entries are moved or dropped elsewhere, so there is no log of
    a positive during which that was done; it has to be the first, whose log is never applied.

    Args:
        rows: The counts, a row for each item.
        elsewhere: The counts of items that are both listed elsewhere, a row for each number
            among those; without rows if they are not kept.
        histories: As in `learn_dense`, as are all up to `mixture`.
        items: As in `learn_dense`.
        columns: As in `learn_dense`.
        habits: As in `learn_dense`.
        constants: As in `learn_dense`.
        batch: As in `learn_dense`.
        with_repeats: As in `learn_dense`.
        log: As in `learn_dense`.
        mixture: As in `learn_dense`.
        first_step: How many of the counts of the first positive have been added already.

    Returns:
        How many positives were learned; the row that is full, -1 if all were learned, and
        `-2 - row` for one of `elsewhere`; and if no positive was learned, the `first_step` to go
        on with.
    """
    scratch = np.empty(constants.longest + SCRATCH)
    for number in range(len(batch.users)):
        slot = min(number, len(log.counts) - 1)
        user, item = batch.users[number], batch.items[number]
        end_session(histories, user, batch.times[number], constants.session_gap)
        tests = not with_repeats and is_test(histories, items, constants, user, item)
        tests = tests and is_affordable(rows, histories, items, constants, user)
        if tests and (number or not first_step):
            _test_sparse(rows, histories, items, columns, habits, constants, user, item)
        start, size = histories.starts[user], histories.sizes[user]
        count = others_of(histories.ids, start, size, item, log.others[slot])
        log.counts[slot] = count
        for step in range(first_step if number == 0 else 0, 2 * count):
            change = np.float32(batch.weights[number] * constants.gap_weights[step // 2])
            full = _add_sparse(rows, elsewhere, columns, item, change, log, slot, step)
            if full == -1:
                continue
            if number == 0:
                return 0, full, step
            swap_sparse(rows, columns.of, item, log, slot, step, False)
            _take_back(elsewhere, columns.of, item, log, slot, step)
            return number, full, 0
        if tests:
            # Not before, as a positive that needs room comes again.
            follow_leader(habits.tuning)
        finish(
            histories,
            items,
            columns,
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
def _add_sparse(
    rows: RowArrays,
    elsewhere: RowArrays,
    columns: ColumnArrays,
    item: int,
    change: np.float32,
    log: UpdateLog,
    slot: int,
    step: int,
) -> int:
    """Adds to one count, if it is kept here; notes what was there before.

    Returns:
        The row that is full, as `learn_sparse` does; -1 if none is.
    """
    values, other = log.values[slot], log.others[slot, step // 2]
    column, other_column = columns.of[item], columns.of[other]
    if step % 2 == 0 and column < 0 and other_column < 0:
        values[step] = 0.0
        if not len(elsewhere.starts):
            return -1
        high, low = max(-1 - column, -1 - other_column), min(-1 - column, -1 - other_column)
        place = _place_for(elsewhere, high, low)
        if place == len(elsewhere.ids):
            return int(-2 - high)
        _add_at(elsewhere, high, place, change, log, slot, step)
        return -1
    row, entry = (item, other_column) if step % 2 else (other, column)
    if entry < 0:
        return -1
    place = _place_for(rows, row, entry)
    if place == len(rows.ids):
        return int(row)
    _add_at(rows, row, place, change, log, slot, step)
    if column < 0:
        values[step - 1] = values[step]
    return -1


@compile_exact
def _widened(rows: RowArrays, row: int) -> bool:
    """Moves a full row to where the pool is free, as `RaggedRows.widen` does, if it can."""
    wider = min(rows.most, max(FIRST_ROOM, 2 * rows.room[row]))
    if wider == rows.room[row]:
        return False
    size = rows.sizes[row]
    if not move_to_end(rows.ids, rows.values, 1, rows.starts, rows.free, row, size, wider):
        return False
    rows.room[row] = wider
    return True


@compile_exact
def _place_for(rows: RowArrays, row: int, entry: int) -> int:
    """Returns the place of an entry, which is new if it is beyond its row.

    Returns:
        The length of the pool if the entry is new and the row is full.
    """
    place = find(rows.ids, rows.starts[row], rows.sizes[row], entry)
    if place >= 0:
        return place
    if rows.sizes[row] == rows.room[row] and not _widened(rows, row):
        return len(rows.ids)
    new: int = rows.starts[row] + rows.sizes[row]
    rows.ids[new] = entry
    rows.values[new] = 0.0
    return new


@compile_exact
def _add_at(
    rows: RowArrays,
    row: int,
    place: int,
    change: np.float32,
    log: UpdateLog,
    slot: int,
    step: int,
) -> None:
    from_start = place - rows.starts[row]
    log.places[slot, step] = from_start
    if from_start == rows.sizes[row]:
        log.places[slot, step] = -1 - from_start
        rows.sizes[row] += 1
    log.values[slot, step] = rows.values[place]
    rows.values[place] += change


@compile_exact
def swap_sparse(
    rows: RowArrays,
    column_of: NDArray[np.int32],
    item: int,
    log: UpdateLog,
    slot: int,
    steps: int,
    forward: bool,
) -> None:
    """Swaps counts with those in the log; what is done again `forward` is as before."""
    for step in range(steps):
        other = log.others[slot, step // 2]
        row, listed = (item, other) if step % 2 else (other, item)
        if column_of[listed] < 0:
            continue
        place = log.places[slot, step]
        if place < 0:
            place = -1 - place
            rows.sizes[row] += 1 if forward else -1
        place += rows.starts[row]
        before, after = log.values[slot, step], rows.values[place]
        rows.values[place] = before
        log.values[slot, step] = after


@compile_exact
def _take_back(
    elsewhere: RowArrays,
    column_of: NDArray[np.int32],
    item: int,
    log: UpdateLog,
    slot: int,
    steps: int,
) -> None:
    """Undoes what a positive added to the counts of items that are both listed elsewhere."""
    if column_of[item] >= 0 or not len(elsewhere.starts):
        return
    for step in range(0, steps, 2):
        other_column = column_of[log.others[slot, step // 2]]
        if other_column >= 0:
            continue
        row = max(-1 - column_of[item], -1 - other_column)
        place = log.places[slot, step]
        if place < 0:
            place = -1 - place
            elsewhere.sizes[row] -= 1
        place += elsewhere.starts[row]
        elsewhere.values[place] = log.values[slot, step]
