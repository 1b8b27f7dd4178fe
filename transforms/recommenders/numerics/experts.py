"""Kernels over the experts of `ItemKNN`: what they say of a choice, and how much each counts.

With the notation of `ItemKNN`, and d(i) the sum of c(i, j) over all j, each gives a probability
that a user with the last items h_0, h_1, ... chooses j, if it is another one than h_0:

    near, far: sum_g a_g c(h_g, j) / (d(h_g) + shrinkage), over its sum over all j, a_g with a
        third of the half-life and with three times it
    popular: n(j) / sum n
    recent: r(j) / sum r
    places: q(g_j) / sum q, for items of the history alone; q(g) is the share of choices of another
        item than h_0 that went to place g, (1 + choices) / (5 + times that the place was there)
    next: the share of such choices right after h_0 that were of j
    previous: the share of such choices right before h_0 that were of j
    bridged: sum_a u_a t(a, j), over its sum over all j but h_0

with t(a, j), how often j was chosen right after a or right before it, the six items a with the
greatest t(h_0, a), and u_a = t(h_0, a) / sum_j t(a, j). So bridged finds items that never were in
a history with h_0. A mixture of all sums to at most 1.

The weights are the experts' shares of past choices, by expectation maximization that forgets: a
choice adds to each expert's credit its part in the probability of the item by the mixture, and all
credit falls by 0.001 of itself. Among the first 8,192 positives each choice does; later, for the
cost of it, one of four, which counts for four, and where items do not repeat one of 16. There is
credit by the length of the history (1, 2, 3, or more) and of all choices; the weights are those by
length, smoothed by 50 choices of all. An expert that has nothing to say counts nothing.

References:
    R. Neal, G. Hinton. A View of the EM Algorithm that Justifies Incremental, Sparse, and other
    Variants. Learning in Graphical Models, 1998. Two steps: Z. Huang, H. Chen, D. Zeng. Applying
    Associative Retrieval Techniques to Alleviate the Sparsity Problem in Collaborative Filtering.
    ACM TOIS 22, 2004.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from transforms.recommenders.numerics.cooccurrence_arrays import (
    LONG,
    POSITIVES,
    RECENT_TOTAL,
    SHORT,
    TOTAL,
    Constants,
    HistoryArrays,
    ItemArrays,
    UpdateLog,
)
from transforms.recommenders.numerics.habit_arrays import (
    BRIDGED,
    BRIDGES,
    EXPERTS,
    FAR,
    LENGTHS,
    NEAR,
    NEXT,
    PLACES,
    POPULAR,
    PREVIOUS,
    RECENT,
    HabitArrays,
)
from transforms.recommenders.numerics.jit import compile_exact
from transforms.recommenders.numerics.ragged_kernels import find
from transforms.recommenders.numerics.repeat_habits import (
    count_place,
    count_stay,
    place_weight,
    places_total,
)
from transforms.recommenders.numerics.sampling import is_sampled
from transforms.recommenders.numerics.transition_kernels import (
    bridged_share,
    count_transition,
    find_bridges,
    transition_counts,
)

FIRST_CREDIT: Final = 3.5
"""What each expert is credited with before the first positive."""

SCRATCH: Final = EXPERTS + BRIDGES
"""How much longer than a history the scratch of `learn_habits` is."""

_PAUSE_SECONDS: Final = 600.0
_AFTER_PAUSE: Final = 0.5
_LENGTH_PRIOR: Final = 50.0
_MEMORY: Final = 0.999

_ALL_OF_FIRST: Final = 8192.0
_STANDS_FOR: Final = 4.0
_STANDS_FOR_WITHOUT_REPEATS: Final = 16.0


@compile_exact
def after_pauses(histories: HistoryArrays, user: int, weights: NDArray[np.float64]) -> None:
    """Fills how much each item of a history counts, by the pauses since then."""
    last = histories.starts[user] + histories.sizes[user] - 1
    weight = 1.0
    for age in range(histories.sizes[user]):
        if age and histories.times[last - age + 1] - histories.times[last - age] > _PAUSE_SECONDS:
            weight *= _AFTER_PAUSE
        weights[age] = weight


@compile_exact
def masses_of(
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
def expert_weights(
    items: ItemArrays,
    habits: HabitArrays,
    size: int,
    newest: int,
    masses: tuple[float, float],
    bridged: float,
    weights: NDArray[np.float64],
) -> None:
    """Fills how much each expert counts, shape (EXPERTS,); one with nothing to say counts 0.

    Args:
        items: Of all items.
        habits: How people choose.
        size: The length of the history.
        newest: Its newest item.
        masses: What `masses_of` returned.
        bridged: The sum that `find_bridges` returned.
        weights: Is filled.
    """
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
    if not items.followed[newest] > 0.0:
        weights[NEXT] = 0.0
    if not items.preceded[newest] > 0.0:
        weights[PREVIOUS] = 0.0
    if not bridged > 0.0:
        weights[BRIDGED] = 0.0


@compile_exact
def normalize(weights: NDArray[np.float64]) -> None:
    """Makes weights sum to 1."""
    total = 0.0
    for expert in range(EXPERTS):
        total += weights[expert]
    for expert in range(EXPERTS):
        weights[expert] /= total


@compile_exact
def credited_choices(positives: float, with_repeats: bool) -> float:
    """Returns for how many choices the credit of one stands after so many positives; 0 for none."""
    if positives < _ALL_OF_FIRST:
        return 1.0
    stands_for = _STANDS_FOR if with_repeats else _STANDS_FOR_WITHOUT_REPEATS
    return stands_for if is_sampled(positives, stands_for) else 0.0


@compile_exact
def credit_experts(
    histories: HistoryArrays,
    items: ItemArrays,
    habits: HabitArrays,
    constants: Constants,
    user: int,
    item: int,
    place: int,
    choices: float,
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
        choices: For how many its credit stands, see `credited_choices`.
        before: The counts of each other item of the history, the newest first, with it; every
            second number.
        scratch: Shape (longest + SCRATCH,).
    """
    size = histories.sizes[user]
    last = histories.starts[user] + size - 1
    newest = histories.ids[last]
    weights, steps, shares = scratch[:EXPERTS], scratch[EXPERTS:SCRATCH], scratch[SCRATCH:]
    after_pauses(histories, user, shares)
    masses = masses_of(histories, items, constants, user, shares)
    transitions, bridges = habits.transitions, habits.bridges
    found = find_bridges(transitions, items, newest, bridges, steps)
    expert_weights(items, habits, size, newest, masses, found[1], weights)
    normalize(weights)
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
    followed, preceded = transition_counts(transitions, newest, item)
    weights[NEXT] *= followed / items.followed[newest] if followed > 0.0 else 0.0
    weights[PREVIOUS] *= preceded / items.preceded[newest] if preceded > 0.0 else 0.0
    if weights[BRIDGED] > 0.0:
        weights[BRIDGED] *= bridged_share(transitions, bridges, steps, found, item)
    total = 0.0
    for expert in range(EXPERTS):
        total += weights[expert]
    if not 0.0 < total < np.inf:
        return
    for expert in range(EXPERTS):
        weights[expert] /= total
    own, of_all = habits.experts[min(size, LENGTHS) - 1], habits.experts[LENGTHS]
    memory = _MEMORY**choices
    for expert in range(EXPERTS):
        own[expert] = own[expert] * memory + choices * weights[expert]
        # No expert is ever forgotten for good.
        credit = of_all[expert] * memory + choices * weights[expert]
        of_all[expert] = credit + (1.0 - memory)


@compile_exact
def learn_habits(
    histories: HistoryArrays,
    items: ItemArrays,
    habits: HabitArrays,
    constants: Constants,
    user: int,
    item: int,
    weight: float,
    with_repeats: bool,
    log: UpdateLog,
    slot: int,
    scratch: NDArray[np.float64],
) -> None:
    """Learns how a user's choice follows from their history, which does not have it yet.

    Args:
        histories: As before the choice, but for `streaks`, which change.
        items: As before the choice, but for `left`, `same`, `followed` and `preceded`, which
            change.
        habits: Changes.
        constants: Of the model.
        user: Who chooses; has a history.
        item: What they choose.
        weight: Of the choice.
        with_repeats: Whether lists may have items that the user chose before.
        log: Has the counts of each other item of the history with it; is filled with what
            changes in `transitions`.
        slot: The row of it.
        scratch: Shape (longest + SCRATCH,).
    """
    size, start = histories.sizes[user], histories.starts[user]
    newest = histories.ids[start + size - 1]
    count_stay(histories, items, habits, user, item == newest)
    if item == newest:
        return
    found = find(histories.ids, start, size, item)
    place = start + size - 1 - found if found >= 0 else 0
    choices = credited_choices(items.totals[POSITIVES], with_repeats)
    if choices > 0.0 and items.chosen[item] > 0.0:
        credit_experts(
            histories,
            items,
            habits,
            constants,
            user,
            item,
            place,
            choices,
            log.values[slot],
            scratch,
        )
    count_place(habits, size, place)
    count_transition(habits.transitions, items, newest, item, weight, log, slot)
