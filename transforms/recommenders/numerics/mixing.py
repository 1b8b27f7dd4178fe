"""Kernels that fill what a user's list is made from beside counts, see `Mixture`."""

from __future__ import annotations

from typing import Final

from transforms.recommenders.numerics.cooccurrence_arrays import (
    LONG,
    RECENT_TOTAL,
    SHORT,
    STARTS_TOTAL,
    TOTAL,
    Constants,
    HistoryArrays,
    ItemArrays,
)
from transforms.recommenders.numerics.experts import (
    after_pauses,
    expert_weights,
    masses_of,
    normalize,
)
from transforms.recommenders.numerics.habit_arrays import (
    BRIDGED,
    EXPERT_SETTING,
    EXPERTS,
    FAR,
    NEAR,
    NEXT,
    PLACES,
    POPULAR,
    PREVIOUS,
    RECENT,
    SETTINGS,
    HabitArrays,
    Mixture,
)
from transforms.recommenders.numerics.jit import FALSE, compile_exact
from transforms.recommenders.numerics.repeat_habits import (
    place_weight,
    places_total,
    stay_probability,
)
from transforms.recommenders.numerics.transition_kernels import find_bridges

PRIOR: Final = 0.01
"""Weight of an item's share of all positives, beside its similarity to what the user had."""

RECENT_PRIOR: Final = 0.1
"""Weight of an item's share of the recent positives."""

STARTS_PRIOR: Final = 1.0
"""Weight of an item's share of what histories began with, for a user who has none; it halves with
each item of a history."""

_LONGEST_START: Final = 6


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
def mix_settings(
    histories: HistoryArrays,
    items: ItemArrays,
    habits: HabitArrays,
    constants: Constants,
    user: int,
) -> None:
    """Does what `mix` does without repeats by each setting, into its row of `tuning.mixture`."""
    mixture = habits.tuning.mixture
    for setting in range(SETTINGS):
        mix_by(histories, items, habits, constants, user, FALSE, setting, mixture, setting)


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
    mixture.priors[slot, 2] = 0.0
    mixture.rows[slot] = mixture.places[slot] = 0
    mixture.steps[slot] = 0
    mixture.cosine[slot] = setting != EXPERT_SETTING
    for age in range(size):
        mixture.recent[slot, age] = histories.ids[histories.starts[user] + size - 1 - age]
    if size and setting == EXPERT_SETTING:
        _mix_experts(histories, items, habits, constants, user, with_repeats, mixture, slot)
        return
    mixture.priors[slot, 0] *= PRIOR
    mixture.priors[slot, 1] *= RECENT_PRIOR
    starts_total = items.totals[STARTS_TOTAL]
    if starts_total > 0.0 and size <= _LONGEST_START:
        mixture.priors[slot, 2] = STARTS_PRIOR * 0.5**size / starts_total
    if size:
        _mix_cosines(histories, items, constants, user, setting, mixture, slot)
    elif with_repeats:
        for one in range(3):
            mixture.priors[slot, one] /= PRIOR + RECENT_PRIOR + STARTS_PRIOR


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
    after_pauses(histories, user, factors)
    rows = min(histories.sizes[user], constants.ages[setting])
    mixture.rows[slot] = rows
    for age in range(rows):
        recency = constants.recency[setting, age] * factors[age]
        factors[age] = recency * items.norms[mixture.recent[slot, age]]


@compile_exact
def _mix_steps(items: ItemArrays, found: tuple[int, float], mixture: Mixture, slot: int) -> None:
    """Fills the weights of transitions from the newest item and those that `find_bridges` found."""
    newest, weights = mixture.recent[slot, 0], mixture.weights[slot]
    after, before = mixture.after_weights[slot], mixture.before_weights[slot]
    followed, preceded = items.followed[newest], items.preceded[newest]
    mixture.step_rows[slot, 0] = newest
    after[0] = weights[NEXT] / followed if followed > 0.0 else 0.0
    before[0] = weights[PREVIOUS] / preceded if preceded > 0.0 else 0.0
    bridges = found[0] if weights[BRIDGED] > 0.0 else 0
    mixture.steps[slot] = 1 + bridges
    for step in range(1, 1 + bridges):
        after[step] *= weights[BRIDGED] / found[1]
        before[step] = after[step]


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
    factors, weights = mixture.factors[slot], mixture.weights[slot]
    after_pauses(histories, user, factors)
    masses = masses_of(histories, items, constants, user, factors)
    bridges, steps = mixture.step_rows[slot, 1:], mixture.after_weights[slot, 1:]
    found = find_bridges(habits.transitions, items, newest, bridges, steps)
    expert_weights(items, habits, size, newest, masses, found[1], weights)
    if not with_repeats:
        weights[PLACES] = 0.0
    normalize(weights)
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
    _mix_steps(items, found, mixture, slot)
    if not with_repeats:
        return
    mixture.places[slot] = size
    extras = mixture.extras[slot]
    extras[0] = stay
    scale = weights[PLACES] / places_total(habits, size) if size > 1 else 0.0
    for place in range(1, size):
        extras[place] = scale * place_weight(habits, place)
