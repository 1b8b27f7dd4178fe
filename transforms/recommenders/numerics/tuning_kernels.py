"""Kernels that find the setting whose lists do best, as positives come."""

from __future__ import annotations

from typing import Final

import numpy as np

from transforms.recommenders.numerics.cooccurrence_arrays import (
    POSITIVES,
    ColumnArrays,
    Constants,
    HistoryArrays,
    ItemArrays,
    RowArrays,
)
from transforms.recommenders.numerics.habit_arrays import (
    AFTER,
    BEFORE,
    SETTINGS,
    Mixture,
    TransitionArrays,
    TuningArrays,
)
from transforms.recommenders.numerics.jit import ZERO, compile_exact
from transforms.recommenders.numerics.ragged_kernels import find
from transforms.recommenders.numerics.sampling import is_sampled

_ALL_OF_FIRST: Final = 512
_OFTEN_UNTIL: Final = 8192
_OFTEN: Final = 8
_LESS_OFTEN_UNTIL: Final = 65536
_LESS_OFTEN: Final = 32
_RARELY: Final = 64
_CHEAP: Final = 4096.0
"""Entries of rows; a test of fewer costs no more than learning a few positives."""

_HALF_RANK: Final = 10.0
_MEMORY: Final = 0.5 ** (1.0 / 1000.0)
_DEVIATIONS: Final = 2.5


@compile_exact
def _one_of(positives: float) -> int:
    if positives < _ALL_OF_FIRST:
        return 1
    if positives < _OFTEN_UNTIL:
        return _OFTEN
    return _LESS_OFTEN if positives < _LESS_OFTEN_UNTIL else _RARELY


@compile_exact
def is_test(
    histories: HistoryArrays, items: ItemArrays, constants: Constants, user: int, item: int
) -> bool:
    """Whether settings are tested with a positive before it is learned.

    It has to be of a user with a history and of an item with positives that is not in it; of
    those all among the first 512 positives of the stream, one of 8 among the first 8,192, one of
    32 among the first 65,536, and one of 64 from then on, as by then a setting leads.
    """
    positives = items.totals[POSITIVES]
    due = is_sampled(positives, _one_of(positives))
    if not constants.tunes or not due or not items.chosen[item] > 0.0:
        return False
    start, size = histories.starts[user], histories.sizes[user]
    return size > 0 and find(histories.ids, start, size, item) < 0


@compile_exact
def is_affordable(
    rows: RowArrays,
    histories: HistoryArrays,
    items: ItemArrays,
    constants: Constants,
    user: int,
) -> bool:
    """Whether a test by sparse rows is worth what it costs.

    A test adds up all entries of the rows of a history, once for each setting. The more entries
    there may be, the fewer positives are tested, so that the mean cost of a positive stays about
    the same. Their number is estimated from `chosen`, which changes only when a positive is
    learned: a positive that has to be learned again, for lack of room, gets the same answer.
    """
    start, entries = histories.starts[user], 0.0
    for place in range(start, start + histories.sizes[user]):
        chosen = items.chosen[histories.ids[place]]
        entries += min(float(rows.most), 2.0 * constants.longest * chosen)
    if entries < _CHEAP:
        return True
    positives = items.totals[POSITIVES]
    return is_sampled(positives, _one_of(positives) * (1 + int(entries / _CHEAP)))


@compile_exact
def _score(
    columns: ColumnArrays, mixture: Mixture, setting: int, sum_of_rows: float, column: int
) -> float:
    score = float(sum_of_rows)
    if mixture.cosine[setting]:
        score *= columns.norms[column]
    score += mixture.priors[setting, 0] * columns.chosen[column]
    score += mixture.priors[setting, 1] * columns.recent[column]
    completed: float = score + mixture.priors[setting, 2] * columns.starts[column]
    return completed


@compile_exact
def judge(
    columns: ColumnArrays,
    histories: HistoryArrays,
    tuning: TuningArrays,
    user: int,
    item: int,
    setting: int,
) -> None:
    """Takes the utility of a setting from `tuning.row_sums`. All items are listed here.

    With `rank` items above the chosen one that are not in the history it is 10 / (10 + rank).
    """
    mixture, sums = tuning.mixture, tuning.row_sums
    chosen = _score(columns, mixture, setting, sums[item], item)
    rank = 0
    for column in range(len(sums)):
        rank += _score(columns, mixture, setting, sums[column], column) > chosen
    start = histories.starts[user]
    for place in range(start, start + histories.sizes[user]):
        column = histories.ids[place]
        rank -= _score(columns, mixture, setting, sums[column], column) > chosen
    tuning.latest[setting] = _HALF_RANK / (_HALF_RANK + rank)


@compile_exact
def _touch(tuning: TuningArrays, column: int, weight: float, count: int) -> int:
    """Adds to a sum, which is 0 if it is new; returns how many there are."""
    if weight > 0.0:
        if tuning.sums[column] == 0.0:
            tuning.touched[count] = column
            count += 1
        tuning.sums[column] += weight
    return count


@compile_exact
def judge_by_need(
    rows: RowArrays,
    transitions: TransitionArrays,
    columns: ColumnArrays,
    histories: HistoryArrays,
    tuning: TuningArrays,
    user: int,
    item: int,
    setting: int,
) -> None:
    """Takes the utility of a setting from sparse rows without a look at all items.

    It is that of `judge` among the items that go together with the history, or are one or two
    transitions from its newest;
    0 if the chosen item is none of them. Leaves `tuning.sums` zero.
    """
    mixture, count = tuning.mixture, ZERO
    for age in range(mixture.rows[setting]):
        row, factor = mixture.recent[setting, age], mixture.factors[setting, age]
        for place in range(rows.starts[row], rows.starts[row] + rows.sizes[row]):
            count = _touch(tuning, rows.ids[place], factor * rows.values[place], count)
    counts = transitions.counts
    for step in range(mixture.steps[setting]):
        row = mixture.step_rows[setting, step]
        start = transitions.starts[row]
        after, before = mixture.after_weights[setting, step], mixture.before_weights[setting, step]
        for place in range(start, start + transitions.sizes[row]):
            both = after * counts[place, AFTER] + before * counts[place, BEFORE]
            count = _touch(tuning, columns.of[transitions.ids[place]], both, count)
    start = histories.starts[user]
    for place in range(start, start + histories.sizes[user]):
        tuning.sums[columns.of[histories.ids[place]]] = 0.0
    column = columns.of[item]
    known = tuning.sums[column] > 0.0
    chosen = _score(columns, mixture, setting, tuning.sums[column], column)
    rank = 0
    for number in range(count):
        column = tuning.touched[number]
        if tuning.sums[column] > 0.0:
            rank += _score(columns, mixture, setting, tuning.sums[column], column) > chosen
            tuning.sums[column] = 0.0
    tuning.latest[setting] = _HALF_RANK / (_HALF_RANK + rank) if known else 0.0


@compile_exact
def follow_leader(tuning: TuningArrays) -> None:
    """Adds a test whose utilities are in `latest`, and lets a setting lead that is surely better.

    With u_a the utility of setting a, and sums that halve every 1,000 tests, a takes over from
    the leader b if it has the greatest sum and

        sum (u_a - u_b) > 2.5 sqrt(sum (u_a - u_b)^2)
    """
    utilities, noise, latest = tuning.utilities, tuning.noise, tuning.latest
    best = 0
    for one in range(SETTINGS):
        utilities[one] = utilities[one] * _MEMORY + latest[one]
        for other in range(SETTINGS):
            difference = latest[one] - latest[other]
            noise[one, other] = noise[one, other] * _MEMORY + difference * difference
        if utilities[one] > utilities[best]:
            best = one
    leader = tuning.leader[0]
    ahead = utilities[best] - utilities[leader]
    if ahead > _DEVIATIONS * np.sqrt(noise[best, leader]):
        tuning.leader[0] = best
