"""Kernels that learn item-item co-occurrence counts.

A count is in a matrix, or in a row of a pool, see `RaggedRows`. Both kinds of kernels perform the
same operations in the same order. Lists are made from a matrix as its positives are learned; for
rows in a pool, which may have to move in between, learning keeps a log with which the counts as of
each positive of a minibatch are restored, see `cooccurrence_sparse_lists`.

An item shard has columns for the items that it lists alone. The credit of experts needs the
counts of any two items; those of two items that are both listed elsewhere are kept apart, and
those of two of which one is listed here are in the row of the other one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from transforms.recommenders.numerics.cooccurrence_arrays import (
    ColumnArrays,
    Constants,
    HistoryArrays,
    ItemArrays,
    Listing,
    MatrixArrays,
    Positives,
    UpdateLog,
)
from transforms.recommenders.numerics.cooccurrence_dense_lists import list_dense
from transforms.recommenders.numerics.cooccurrence_lists import sum_dense
from transforms.recommenders.numerics.cooccurrence_updates import end_session, finish, others_of
from transforms.recommenders.numerics.experts import SCRATCH
from transforms.recommenders.numerics.habit_arrays import SETTINGS, HabitArrays, Mixture
from transforms.recommenders.numerics.jit import ZERO, compile_allocating, compile_exact
from transforms.recommenders.numerics.mixing import mix, mix_settings
from transforms.recommenders.numerics.transition_kernels import add_transitions
from transforms.recommenders.numerics.tuning_kernels import follow_leader, is_test, judge


@compile_exact
def _add_dense(
    counts: MatrixArrays,
    column_of: NDArray[np.int32],
    item: int,
    others: NDArray[np.int32],
    weight: float,
    gap_weights: NDArray[np.float64],
    values: NDArray[np.float32],
) -> None:
    """Adds to the counts of an item with others, in both directions; notes those before."""
    matrix, largest, elsewhere = counts.values, counts.largest, counts.elsewhere
    column = column_of[item]
    for gap in range(len(others)):
        other = others[gap]
        other_column = column_of[other]
        change = np.float32(weight * gap_weights[gap])
        before = np.float32(0.0)
        if other_column >= 0:
            before = matrix[item, other_column]
            values[2 * gap + 1] = before
            matrix[item, other_column] = before + change
            largest[item] = max(largest[item], before + change)
        elif column < 0 and len(elsewhere):
            high, low = max(-1 - column, -1 - other_column), min(-1 - column, -1 - other_column)
            before = elsewhere[high, low]
            elsewhere[high, low] = before + change
        if column >= 0:
            before = matrix[other, column]
            matrix[other, column] = before + change
            largest[other] = max(largest[other], before + change)
        values[2 * gap] = before


@compile_exact
def _test_dense(
    matrix: NDArray[np.float32],
    histories: HistoryArrays,
    items: ItemArrays,
    columns: ColumnArrays,
    habits: HabitArrays,
    constants: Constants,
    user: int,
    item: int,
) -> None:
    """Tests each setting with a positive that is about to be learned, see `tuning_kernels`."""
    tuning, mixture = habits.tuning, habits.tuning.mixture
    mix_settings(histories, items, habits, constants, user)
    sums, factors = tuning.row_sums, tuning.row_factors
    for setting in range(SETTINGS):
        count = mixture.rows[setting]
        for age in range(count):
            factors[age] = mixture.factors[setting, age]
        sums[:] = 0.0
        sum_dense(matrix, mixture.recent[setting, :count], factors, sums)
        add_transitions(habits.transitions, columns, mixture, setting, sums)
        judge(columns, histories, tuning, user, item, setting)


@compile_allocating
def learn_dense(
    counts: MatrixArrays,
    histories: HistoryArrays,
    items: ItemArrays,
    columns: ColumnArrays,
    habits: HabitArrays,
    constants: Constants,
    batch: Positives,
    with_repeats: bool,
    log: UpdateLog,
    mixture: Mixture,
    listing: Listing,
) -> None:
    """Learns m positives in order, and lists as of each that is listed.

    Args:
        counts: Of each pair of items.
        histories: Each has room for what is added.
        items: Of all items.
        columns: Of those that are listed here.
        habits: How people repeat.
        constants: Of the model.
        batch: What to learn.
        with_repeats: Whether to learn how people repeat, and to list accordingly.
        log: Is used.
        mixture: Is filled with what lists are made from after each that is listed, m slots; may
            have none if nothing is listed.
        listing: Is filled with the lists.
    """
    scratch = np.empty(constants.longest + SCRATCH)
    place = ZERO
    for number in range(len(batch.users)):
        user, item = batch.users[number], batch.items[number]
        end_session(histories, user, batch.times[number], constants.session_gap)
        if not with_repeats and is_test(histories, items, constants, user, item):
            _test_dense(counts.values, histories, items, columns, habits, constants, user, item)
            follow_leader(habits.tuning)
        start, size = histories.starts[user], histories.sizes[user]
        others, values = log.others[0], log.values[0]
        gaps = others_of(histories.ids, start, size, item, others)
        log.counts[0] = gaps
        _add_dense(
            counts,
            columns.of,
            item,
            others[:gaps],
            batch.weights[number],
            constants.gap_weights,
            values,
        )
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
            ZERO,
            scratch,
        )
        if batch.listed[number]:
            mix(histories, items, habits, constants, user, with_repeats, mixture, number)
            list_dense(counts, habits.transitions, columns, mixture, number, listing, place)
            place += 1
