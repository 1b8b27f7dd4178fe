"""Kernels over how people repeat: what `ItemKNN` learns of it, and the mixture for a list."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from transforms.recommenders.numerics.cooccurrence_arrays import (
    EXPERTS,
    LENGTHS,
    RECENT_TOTAL,
    STARTS_TOTAL,
    STREAKS,
    TOTAL,
    Constants,
    HabitArrays,
    HistoryArrays,
    ItemArrays,
    Mixture,
)
from transforms.recommenders.numerics.jit import compile_exact
from transforms.recommenders.numerics.ragged_kernels import find

PRIOR: Final = 0.01
"""Weight of an item's share of all positives, beside its similarity to what the user had."""

RECENT_PRIOR: Final = 0.1
"""Weight of an item's share of the recent positives."""

STARTS_PRIOR: Final = 1.0
"""Weight of an item's share of what histories began with, for a user who has none; it halves with
each item of a history."""

_LONGEST_START: Final = 6

FIRST_CREDIT: Final = 7.0
"""What each expert is credited with before the first positive."""

_PAUSE_SECONDS: Final = 600.0
_AFTER_PAUSE: Final = 0.5
_ITEM_PRIOR: Final = 10.0
_LENGTH_PRIOR: Final = 50.0
_MEMORY: Final = 0.9995


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
def _place_weight(habits: HabitArrays, place: int) -> float:
    weight: float = (1.0 + habits.places[1, place]) / (5.0 + habits.places[0, place])
    return weight


@compile_exact
def _places_total(habits: HabitArrays, size: int) -> float:
    total = 0.0
    for place in range(1, size):
        total += _place_weight(habits, place)
    return total


@compile_exact
def _expert_weights(
    habits: HabitArrays, size: int, has_transitions: bool
) -> tuple[float, float, float]:
    """Returns how much each expert counts; one that has nothing to say counts 0."""
    of_all = habits.experts[LENGTHS]
    own = habits.experts[min(size, LENGTHS) - 1]
    share = _LENGTH_PRIOR / (of_all[0] + of_all[1] + of_all[2])
    similar = own[0] + share * of_all[0]
    places = own[1] + share * of_all[1] if size > 1 else 0.0
    following = own[2] + share * of_all[2] if has_transitions else 0.0
    total = similar + places + following
    return similar / total, places / total, following / total


@compile_exact
def _recency_of_ages(
    histories: HistoryArrays, constants: Constants, user: int, weights: NDArray[np.float64]
) -> int:
    """Fills the weight of each age in a user's history; returns how many there are."""
    last = histories.starts[user] + histories.sizes[user] - 1
    count: int = min(histories.sizes[user], len(constants.recency))
    after_pauses = 1.0
    for age in range(count):
        if age and histories.times[last - age + 1] - histories.times[last - age] > _PAUSE_SECONDS:
            after_pauses *= _AFTER_PAUSE
        weights[age] = constants.recency[age] * after_pauses
    return count


@compile_exact
def _mass(
    histories: HistoryArrays,
    items: ItemArrays,
    constants: Constants,
    user: int,
    weights: NDArray[np.float64],
    count: int,
) -> float:
    """Returns the sum of all items' scores by the expert of similar items."""
    last = histories.starts[user] + histories.sizes[user] - 1
    mass = PRIOR + RECENT_PRIOR
    for age in range(count):
        degree = items.degrees[histories.ids[last - age]]
        mass += weights[age] * degree / (degree + constants.shrinkage)
    return mass


@compile_exact
def learn_habits(
    histories: HistoryArrays,
    items: ItemArrays,
    habits: HabitArrays,
    constants: Constants,
    user: int,
    item: int,
    before: NDArray[np.float32],
    weights: NDArray[np.float64],
) -> None:
    """Learns how a user's choice follows from their history, which does not have it yet.

    Args:
        histories: As before the choice, but for `streaks`, which change.
        items: As before the choice, but for `left` and `same`, which change.
        habits: Changes.
        constants: Of the model.
        user: Who chooses; has a history.
        item: What they choose.
        before: The counts of each other item of the history, the newest first, with it; every
            second number.
        weights: Room for the weight of each age in a history.
    """
    size = histories.sizes[user]
    start = histories.starts[user]
    newest = histories.ids[start + size - 1]
    length, streak = min(size, LENGTHS) - 1, histories.streaks[user]
    items.left[newest] += 1.0
    habits.stays[0, streak, length] += 1.0
    if item == newest:
        items.same[newest] += 1.0
        habits.stays[1, streak, length] += 1.0
        histories.streaks[user] = min(streak + 1, STREAKS - 1)
        return
    histories.streaks[user] = 0
    found = find(histories.ids, start, size, item)
    place = start + size - 1 - found if found >= 0 else 0
    if items.chosen[item] > 0.0:
        _credit_experts(histories, items, habits, constants, user, item, place, before, weights)
    for one in range(1, size):
        habits.places[0, one] += 1.0
    if place:
        habits.places[1, place] += 1.0


@compile_exact
def _credit_experts(
    histories: HistoryArrays,
    items: ItemArrays,
    habits: HabitArrays,
    constants: Constants,
    user: int,
    item: int,
    place: int,
    before: NDArray[np.float32],
    weights: NDArray[np.float64],
) -> None:
    """Does a step of expectation maximization: credits experts with their share of a choice."""
    size = histories.sizes[user]
    last = histories.starts[user] + size - 1
    degree = items.degrees[histories.ids[last]]
    similar, places, following = _expert_weights(habits, size, degree > 0.0)
    count = _recency_of_ages(histories, constants, user, weights)
    mass = _mass(histories, items, constants, user, weights, count)
    score = PRIOR * items.chosen[item] / items.totals[TOTAL]
    score += RECENT_PRIOR * items.recent[item] / items.totals[RECENT_TOTAL]
    gap = 0
    for age in range(count):
        other = histories.ids[last - age]
        if other != item:
            share = before[2 * gap] / (items.degrees[other] + constants.shrinkage)
            score += weights[age] * share
            gap += 1
    similar *= score / mass
    places *= _place_weight(habits, place) / _places_total(habits, size) if place else 0.0
    following *= before[0] / degree if degree > 0.0 else 0.0
    total = similar + places + following
    if not total > 0.0:
        return
    for row in (min(size, LENGTHS) - 1, LENGTHS):
        credit = habits.experts[row]
        for expert in range(EXPERTS):
            credit[expert] *= _MEMORY
        credit[0] += similar / total
        credit[1] += places / total
        credit[2] += following / total


@compile_exact
def mix(
    histories: HistoryArrays,
    items: ItemArrays,
    habits: HabitArrays,
    constants: Constants,
    user: int,
    with_repeats: bool,
    mixture: Mixture,
    slot: int,
) -> None:
    """Fills what a user's list is made from, as of now.

    Args:
        histories: Of all users.
        items: Of all items.
        habits: How people repeat.
        constants: Of the model.
        user: Whom the list is for; -1 for one who is not known.
        with_repeats: Whether the list may have items that the user chose before.
        mixture: Is filled.
        slot: The row of it that is filled.
    """
    size = histories.sizes[user] if user >= 0 else 0
    factors = mixture.factors[slot]
    total, recent_total = items.totals[TOTAL], items.totals[RECENT_TOTAL]
    mixture.priors[slot, 0] = PRIOR / total if total > 0.0 else 0.0
    mixture.priors[slot, 1] = RECENT_PRIOR / recent_total if recent_total > 0.0 else 0.0
    mixture.priors[slot, 2] = 0.0
    starts_total = items.totals[STARTS_TOTAL]
    if starts_total > 0.0 and (size == 0 or (not with_repeats and size <= _LONGEST_START)):
        mixture.priors[slot, 2] = STARTS_PRIOR * 0.5**size / starts_total
    mixture.counts[slot] = size
    if not size:
        if with_repeats:
            mixture.priors[slot] /= PRIOR + RECENT_PRIOR + STARTS_PRIOR
        return
    last = histories.starts[user] + size - 1
    count = _recency_of_ages(histories, constants, user, factors)
    mixture.counts[slot] = size if with_repeats else count
    for age in range(mixture.counts[slot]):
        mixture.recent[slot, age] = histories.ids[last - age]
    if not with_repeats:
        for age in range(count):
            factors[age] *= items.norms[histories.ids[last - age]]
        return
    newest = histories.ids[last]
    degree = items.degrees[newest]
    stay = stay_probability(histories, items, habits, user, newest)
    similar, places, following = _expert_weights(habits, size, degree > 0.0)
    similar *= (1.0 - stay) / _mass(histories, items, constants, user, factors, count)
    mixture.priors[slot] *= similar
    for age in range(count):
        degree_there = items.degrees[histories.ids[last - age]]
        factors[age] *= similar / (degree_there + constants.shrinkage)
    if degree > 0.0:
        factors[0] += (1.0 - stay) * following / degree
    extras = mixture.extras[slot]
    extras[0] = stay
    if size > 1:
        total_weight = 0.0
        for place in range(1, size):
            extras[place] = _place_weight(habits, place)
            total_weight += extras[place]
        scale = (1.0 - stay) * places / total_weight
        for place in range(1, size):
            extras[place] *= scale
