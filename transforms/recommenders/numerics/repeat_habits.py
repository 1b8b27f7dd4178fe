"""Kernels over how people repeat: the same item again, or one from earlier in their history."""

from __future__ import annotations

from typing import Final

from transforms.recommenders.numerics.cooccurrence_arrays import HistoryArrays, ItemArrays
from transforms.recommenders.numerics.habit_arrays import LENGTHS, STREAKS, HabitArrays
from transforms.recommenders.numerics.jit import compile_exact

_ITEM_PRIOR: Final = 10.0


@compile_exact
def stay_probability(
    histories: HistoryArrays, items: ItemArrays, habits: HabitArrays, user: int, newest: int
) -> float:
    """Returns the probability that a user chooses their newest item again."""
    length = min(histories.sizes[user], LENGTHS) - 1
    streak = histories.streaks[user]
    of_all = (habits.stays[1, streak, length] + 0.4) / (habits.stays[0, streak, length] + 2.0)
    stay: float = (items.same[newest] + _ITEM_PRIOR * of_all) / (items.left[newest] + _ITEM_PRIOR)
    return stay


@compile_exact
def place_weight(habits: HabitArrays, place: int) -> float:
    """Returns the smoothed share of choices that went to a place of a history."""
    weight: float = (1.0 + habits.places[1, place]) / (5.0 + habits.places[0, place])
    return weight


@compile_exact
def places_total(habits: HabitArrays, size: int) -> float:
    """Returns the sum of the weights of all places of a history but the newest."""
    total = 0.0
    for place in range(1, size):
        total += place_weight(habits, place)
    return total


@compile_exact
def count_stay(
    histories: HistoryArrays, items: ItemArrays, habits: HabitArrays, user: int, stays: bool
) -> None:
    """Counts whether a user, who has a history, chooses their newest item again."""
    size, streak = histories.sizes[user], histories.streaks[user]
    newest = histories.ids[histories.starts[user] + size - 1]
    length = min(size, LENGTHS) - 1
    items.left[newest] += 1.0
    habits.stays[0, streak, length] += 1.0
    if stays:
        items.same[newest] += 1.0
        habits.stays[1, streak, length] += 1.0
        histories.streaks[user] = min(streak + 1, STREAKS - 1)
    else:
        histories.streaks[user] = 0


@compile_exact
def count_place(habits: HabitArrays, size: int, place: int) -> None:
    """Counts a choice of another item than the newest; `place` is 0 for one not in the history."""
    for one in range(1, size):
        habits.places[0, one] += 1.0
    if place:
        habits.places[1, place] += 1.0
