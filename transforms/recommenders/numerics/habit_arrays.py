"""The arrays of how people choose, and of what their lists are made from.

See `cooccurrence_arrays` for what groups of arrays are for.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

LENGTHS: Final = 4
"""Histories of so many items or more count as equally long for how people repeat."""

STREAKS: Final = 3
"""So many choices of the same item in a row, less one, count as equally many."""

EXPERTS: Final = 8
"""How many there are, see `ItemKNN`."""

NEAR, FAR, POPULAR, RECENT, PLACES, NEXT, PREVIOUS, BRIDGED = range(EXPERTS)
"""Similar items by a history that is forgotten fast or slowly, popular items, those popular of
late, items of the history by place, items that followed the newest one at once, those that it
followed, and those that are two such steps away."""

AFTER, BEFORE = range(2)
"""Columns of `TransitionArrays.counts`: how often an item came right after another, or before."""

BRIDGES: Final = 6
"""Over so many items two steps are made."""

EXPERT_SETTING: Final = 3
SETTINGS: Final = 4
"""What `tune` chooses from: cosines by each row of `Constants.recency`, and the experts."""


class TransitionArrays(NamedTuple):
    """How often an item was chosen right after another one: of each item, those next to it.

    Attributes:
        ids: The pool, as are the next three, see `RaggedRows`; what came right after or before.
        counts: How often each was chosen after and before, by weight, shape (pool, 2).
        starts: Where each item's begin.
        sizes: How many each item has.
        most: How many an item can have.
    """

    ids: NDArray[np.int32]
    counts: NDArray[np.float32]
    starts: NDArray[np.int64]
    sizes: NDArray[np.int32]
    most: int


class Mixture(NamedTuple):
    """What a list is made from beside counts, for each of several lists.

    Attributes:
        cosine: Whether sums of counts are multiplied by an item's norm, shape (slots,).
        recent: The newest items of the user's history, the newest first, shape (slots, longest).
        rows: Of how many of them the counts are added up, shape (slots,).
        factors: The weight of each one's counts, shape (slots, longest).
        steps: Of how many items the transitions are added up, shape (slots,).
        step_rows: Which: the newest, and those that bridge two steps from it, shape
            (slots, 1 + BRIDGES).
        after_weights: The weight of what came right after each, same shape.
        before_weights: The weight of what came right before each, same shape.
        places: To how many of them something is added, shape (slots,).
        extras: What that is; of the newest item its whole score. Shape (slots, longest).
        priors: Weight of an item's `chosen`, its `recent` and its `starts`, shape (slots, 3).
        weights: Of each expert, where they list, shape (slots, EXPERTS).
    """

    cosine: NDArray[np.bool]
    recent: NDArray[np.int32]
    rows: NDArray[np.int32]
    factors: NDArray[np.float64]
    steps: NDArray[np.int32]
    step_rows: NDArray[np.int32]
    after_weights: NDArray[np.float64]
    before_weights: NDArray[np.float64]
    places: NDArray[np.int32]
    extras: NDArray[np.float64]
    priors: NDArray[np.float64]
    weights: NDArray[np.float64]


class TuningArrays(NamedTuple):
    """Which setting does best, see `tuning_kernels`.

    Attributes:
        utilities: Decayed sum of the utility of each setting's lists, shape (SETTINGS,).
        noise: Decayed sum of the squared differences between two settings, shape
            (SETTINGS, SETTINGS).
        leader: The setting that lists, shape (1,).
        latest: The utility of each setting in a test, shape (SETTINGS,).
        row_sums: Room for the sums of dense rows, shape (n_item,). Single precision is as good for
            a test, and takes less time.
        row_factors: Room for the factors of these rows, shape (longest,).
        sums: Room for the sums of sparse rows, shape (n_item or more,); zero between tests.
        touched: Room for the columns whose sum is not zero, same shape.
        mixture: Room for a list by each setting.
    """

    utilities: NDArray[np.float64]
    noise: NDArray[np.float64]
    leader: NDArray[np.int64]
    latest: NDArray[np.float64]
    row_sums: NDArray[np.float32]
    row_factors: NDArray[np.float32]
    sums: NDArray[np.float64]
    touched: NDArray[np.int32]
    mixture: Mixture


class HabitArrays(NamedTuple):
    """What is learned of how people choose, beside counts of items, see `ItemKNN`.

    Attributes:
        stays: How often a user chose again, and of these the same item, by the streak before
            and the length of the history, shape (2, STREAKS, LENGTHS).
        places: How often each place of a history was there when another item than the newest
            was chosen, and of these its item, shape (2, history).
        experts: Credit of each expert, by the length of the history and in all, shape
            (LENGTHS + 1, EXPERTS).
        transitions: What follows what.
        bridges: Room for the items between two steps, shape (BRIDGES,).
        tuning: Of the settings.
    """

    stays: NDArray[np.float64]
    places: NDArray[np.float64]
    experts: NDArray[np.float64]
    transitions: TransitionArrays
    bridges: NDArray[np.int32]
    tuning: TuningArrays


def empty_mixture(slots: int, longest: int) -> Mixture:
    """Returns a mixture to be filled."""
    return Mixture(
        np.zeros(slots, dtype=np.bool),
        np.empty((slots, longest), dtype=np.int32),
        np.zeros(slots, dtype=np.int32),
        np.empty((slots, longest)),
        np.zeros(slots, dtype=np.int32),
        np.empty((slots, 1 + BRIDGES), dtype=np.int32),
        np.empty((slots, 1 + BRIDGES)),
        np.empty((slots, 1 + BRIDGES)),
        np.zeros(slots, dtype=np.int32),
        np.empty((slots, longest)),
        np.zeros((slots, 3)),
        np.zeros((slots, EXPERTS)),
    )
