"""Kernels over the experts of `ItemKNN`: how much each counts, and the mixture for a list."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from transforms.recommenders.numerics.cooccurrence_arrays import (
    EXPERT_SETTING,
    EXPERTS,
    FAR,
    LENGTHS,
    LONG,
    NEAR,
    NEXT,
    PLACES,
    POPULAR,
    RECENT,
    RECENT_TOTAL,
    SHORT,
    TOTAL,
    Constants,
    HabitArrays,
    HistoryArrays,
    ItemArrays,
    Mixture,
    UpdateLog,
)
from transforms.recommenders.numerics.jit import compile_exact
from transforms.recommenders.numerics.ragged_kernels import find
from transforms.recommenders.numerics.repeat_habits import (
    count_place,
    count_stay,
    place_weight,
    places_total,
    stay_probability,
)
from transforms.recommenders.numerics.transition_kernels import count_transition, transition_share

PRIOR: Final = 0.01
"""Weight of an item's share of all positives, beside its similarity to what the user had."""

RECENT_PRIOR: Final = 0.1
"""Weight of an item's share of the recent positives."""

FIRST_CREDIT: Final = 3.5
"""What each expert is credited with before the first positive."""

_PAUSE_SECONDS: Final = 600.0
_AFTER_PAUSE: Final = 0.5
_LENGTH_PRIOR: Final = 50.0
_MEMORY: Final = 0.999


@compile_exact
def _after_pauses(histories: HistoryArrays, user: int, weights: NDArray[np.float64]) -> None:
    """Fills how much each item of a history counts, by the pauses since then."""
    last = histories.starts[user] + histories.sizes[user] - 1
    weight = 1.0
    for age in range(histories.sizes[user]):
        if age and histories.times[last - age + 1] - histories.times[last - age] > _PAUSE_SECONDS:
            weight *= _AFTER_PAUSE
        weights[age] = weight


@compile_exact
def _masses(
    histories: HistoryArrays,
    items: ItemArrays,
    constants: Constants,
    user: int,
    weights: NDArray[np.float64],
) -> tuple[float, float]:
    """Returns the sums of all items' scores by the experts of similar items."""
    last = histories.starts[user] + histories.sizes[user] - 1
    near = far = 0.0
    for age in range(min(histories.sizes[user], constants.ages[LONG])):
        degree = items.degrees[histories.ids[last - age]]
        share = weights[age] * degree / (degree + constants.shrinkage)
        near += constants.recency[SHORT, age] * share
        far += constants.recency[LONG, age] * share
    return near, far


@compile_exact
def _expert_weights(
    habits: HabitArrays,
    size: int,
    masses: tuple[float, float],
    has_followers: bool,
    weights: NDArray[np.float64],
) -> None:
    """Fills how much each expert counts, shape (EXPERTS,); one with nothing to say counts 0."""
    of_all = habits.experts[LENGTHS]
    own = habits.experts[min(size, LENGTHS) - 1]
    total = 0.0
    for expert in range(EXPERTS):
        total += of_all[expert]
    share = _LENGTH_PRIOR / total
    for expert in range(EXPERTS):
        weights[expert] = own[expert] + share * of_all[expert]
    if not masses[0] > 0.0:
        weights[NEAR] = 0.0
    if not masses[1] > 0.0:
        weights[FAR] = 0.0
    if size < 2:
        weights[PLACES] = 0.0
    if not has_followers:
        weights[NEXT] = 0.0


@compile_exact
def _normalize(weights: NDArray[np.float64]) -> None:
    total = 0.0
    for expert in range(EXPERTS):
        total += weights[expert]
    for expert in range(EXPERTS):
        weights[expert] /= total


@compile_exact
def credit_experts(
    histories: HistoryArrays,
    items: ItemArrays,
    habits: HabitArrays,
    constants: Constants,
    user: int,
    item: int,
    place: int,
    before: NDArray[np.float32],
    scratch: NDArray[np.float64],
) -> None:
    """Does a step of expectation maximization: credits experts with their share of a choice.

    Args:
        histories: As before the choice, as are `items`.
        items: Of all items.
        habits: `experts` changes.
        constants: Of the model.
        user: Who chooses; has a history.
        item: What they choose, another item than the newest of the history; has positives.
        place: Where in the history it is, 0 if it is not there.
        before: The counts of each other item of the history, the newest first, with it; every
            second number.
        scratch: Shape (longest + EXPERTS,).
    """
    size = histories.sizes[user]
    last = histories.starts[user] + size - 1
    newest = histories.ids[last]
    shares, weights = scratch[EXPERTS:], scratch[:EXPERTS]
    _after_pauses(histories, user, shares)
    masses = _masses(histories, items, constants, user, shares)
    has_followers = items.followed[newest] > 0.0
    _expert_weights(habits, size, masses, has_followers, weights)
    _normalize(weights)
    near = far = 0.0
    gap = 0
    for age in range(min(size, constants.ages[LONG])):
        other = histories.ids[last - age]
        if other != item:
            share = shares[age] * before[2 * gap] / (items.degrees[other] + constants.shrinkage)
            near += constants.recency[SHORT, age] * share
            far += constants.recency[LONG, age] * share
            gap += 1
    weights[NEAR] *= near / masses[0] if masses[0] > 0.0 else 0.0
    weights[FAR] *= far / masses[1] if masses[1] > 0.0 else 0.0
    weights[POPULAR] *= items.chosen[item] / items.totals[TOTAL]
    weights[RECENT] *= items.recent[item] / items.totals[RECENT_TOTAL]
    weights[PLACES] *= place_weight(habits, place) / places_total(habits, size) if place else 0.0
    if has_followers:
        weights[NEXT] *= transition_share(habits.transitions, items, newest, item)
    _normalize(weights)
    own, of_all = habits.experts[min(size, LENGTHS) - 1], habits.experts[LENGTHS]
    for expert in range(EXPERTS):
        own[expert] = own[expert] * _MEMORY + weights[expert]
        # No expert is ever forgotten for good.
        of_all[expert] = of_all[expert] * _MEMORY + weights[expert] + (1.0 - _MEMORY)


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
        habits: How people choose.
        constants: Of the model.
        user: Whom the list is for; -1 for one who is not known.
        with_repeats: Whether the list may have items that the user chose before.
        mixture: Is filled.
        slot: The row of it that is filled.
    """
    setting = EXPERT_SETTING if with_repeats else habits.tuning.leader[0]
    mix_by(histories, items, habits, constants, user, with_repeats, setting, mixture, slot)


@compile_exact
def mix_by(
    histories: HistoryArrays,
    items: ItemArrays,
    habits: HabitArrays,
    constants: Constants,
    user: int,
    with_repeats: bool,
    setting: int,
    mixture: Mixture,
    slot: int,
) -> None:
    """Does what `mix` does by a setting, see `SETTINGS`."""
    size = histories.sizes[user] if user >= 0 else 0
    total, recent_total = items.totals[TOTAL], items.totals[RECENT_TOTAL]
    mixture.priors[slot, 0] = 1.0 / total if total > 0.0 else 0.0
    mixture.priors[slot, 1] = 1.0 / recent_total if recent_total > 0.0 else 0.0
    mixture.rows[slot] = mixture.places[slot] = 0
    mixture.following[slot] = 0.0
    mixture.cosine[slot] = setting != EXPERT_SETTING
    for age in range(size):
        mixture.recent[slot, age] = histories.ids[histories.starts[user] + size - 1 - age]
    if size and setting == EXPERT_SETTING:
        _mix_experts(histories, items, habits, constants, user, with_repeats, mixture, slot)
        return
    mixture.priors[slot, 0] *= PRIOR
    mixture.priors[slot, 1] *= RECENT_PRIOR
    if size:
        _mix_cosines(histories, items, constants, user, setting, mixture, slot)
    elif with_repeats:
        mixture.priors[slot] /= PRIOR + RECENT_PRIOR


@compile_exact
def _mix_cosines(
    histories: HistoryArrays,
    items: ItemArrays,
    constants: Constants,
    user: int,
    setting: int,
    mixture: Mixture,
    slot: int,
) -> None:
    factors = mixture.factors[slot]
    _after_pauses(histories, user, factors)
    rows = min(histories.sizes[user], constants.ages[setting])
    mixture.rows[slot] = rows
    for age in range(rows):
        recency = constants.recency[setting, age] * factors[age]
        factors[age] = recency * items.norms[mixture.recent[slot, age]]


@compile_exact
def _mix_experts(
    histories: HistoryArrays,
    items: ItemArrays,
    habits: HabitArrays,
    constants: Constants,
    user: int,
    with_repeats: bool,
    mixture: Mixture,
    slot: int,
) -> None:
    size = histories.sizes[user]
    newest = mixture.recent[slot, 0]
    factors, weights = mixture.factors[slot], np.empty(EXPERTS)
    _after_pauses(histories, user, factors)
    masses = _masses(histories, items, constants, user, factors)
    followed = items.followed[newest]
    _expert_weights(habits, size, masses, followed > 0.0, weights)
    if not with_repeats:
        weights[PLACES] = 0.0
    _normalize(weights)
    stay = stay_probability(histories, items, habits, user, newest) if with_repeats else 0.0
    for expert in range(EXPERTS):
        weights[expert] *= 1.0 - stay
    near = weights[NEAR] / masses[0] if masses[0] > 0.0 else 0.0
    far = weights[FAR] / masses[1] if masses[1] > 0.0 else 0.0
    rows = min(size, constants.ages[LONG])
    mixture.rows[slot] = rows
    for age in range(rows):
        recency = near * constants.recency[SHORT, age] + far * constants.recency[LONG, age]
        norm = items.degrees[mixture.recent[slot, age]] + constants.shrinkage
        factors[age] *= recency / norm
    mixture.priors[slot, 0] *= weights[POPULAR]
    mixture.priors[slot, 1] *= weights[RECENT]
    if followed > 0.0:
        mixture.following[slot] = weights[NEXT] / followed
    if not with_repeats:
        return
    mixture.places[slot] = size
    extras = mixture.extras[slot]
    extras[0] = stay
    scale = weights[PLACES] / places_total(habits, size) if size > 1 else 0.0
    for place in range(1, size):
        extras[place] = scale * place_weight(habits, place)


@compile_exact
def learn_habits(
    histories: HistoryArrays,
    items: ItemArrays,
    habits: HabitArrays,
    constants: Constants,
    user: int,
    item: int,
    weight: float,
    log: UpdateLog,
    slot: int,
    scratch: NDArray[np.float64],
) -> None:
    """Learns how a user's choice follows from their history, which does not have it yet.

    Args:
        histories: As before the choice, but for `streaks`, which change.
        items: As before the choice, but for `left`, `same` and `followed`, which change.
        habits: Changes.
        constants: Of the model.
        user: Who chooses; has a history.
        item: What they choose.
        weight: Of the choice.
        log: Has the counts of each other item of the history with it; is filled with what
            changes in `transitions`.
        slot: The row of it.
        scratch: Shape (longest + EXPERTS,).
    """
    size, start = histories.sizes[user], histories.starts[user]
    newest = histories.ids[start + size - 1]
    count_stay(histories, items, habits, user, item == newest)
    if item == newest:
        return
    found = find(histories.ids, start, size, item)
    place = start + size - 1 - found if found >= 0 else 0
    if items.chosen[item] > 0.0:
        before = log.values[slot]
        credit_experts(histories, items, habits, constants, user, item, place, before, scratch)
    count_place(habits, size, place)
    count_transition(habits.transitions, items, newest, item, weight, log, slot)
