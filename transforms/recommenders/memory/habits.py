"""What `ItemKNN` learns of how people choose, beside what it knows of items."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from transforms.recommenders.arrays import Arrays, SavedArrays
from transforms.recommenders.memory.histories import Histories
from transforms.recommenders.memory.transitions import Transitions
from transforms.recommenders.memory.tuning import Tuning
from transforms.recommenders.numerics.cooccurrence_arrays import Positives
from transforms.recommenders.numerics.experts import FIRST_CREDIT
from transforms.recommenders.numerics.habit_arrays import (
    BRIDGES,
    EXPERTS,
    LENGTHS,
    STREAKS,
    HabitArrays,
)


class Habits:
    """How people repeat, which item follows which, and how much each expert counts.

    Args:
        history: Greatest length of a history.
        half_life: That of a history, in items.
        neighbors: Greatest number of items that are known to be next to another one.

    Attributes:
        transitions: Which item follows which.
        tuning: Which setting lists.
    """

    def __init__(self, history: int, half_life: float, neighbors: int) -> None:
        self._stays = np.zeros((2, STREAKS, LENGTHS))
        self._places = np.zeros((2, history))
        self._experts = np.zeros((LENGTHS + 1, EXPERTS))
        self._experts[LENGTHS] = FIRST_CREDIT
        self._bridges = np.zeros(BRIDGES, dtype=np.int32)
        self.transitions = Transitions(neighbors)
        self.tuning = Tuning(history, half_life)

    def arrays(self, n_item: int) -> HabitArrays:
        """For kernels, until a row of transitions needs room."""
        return HabitArrays(
            self._stays,
            self._places,
            self._experts,
            self.transitions.arrays,
            self._bridges,
            self.tuning.arrays(n_item),
        )

    def reserve(self, histories: Histories, batch: Positives) -> None:
        """Makes room for what positives add, before they are learned."""
        if len(batch.users) == 1:
            for item in (*histories.newest(batch.users), *batch.items):
                self.transitions.reserve_one(int(item))
            return
        newest = histories.newest(np.unique(batch.users))
        # Each is counted in the row of what was chosen before it, and that one in its own.
        self.transitions.reserve(np.concatenate([newest, batch.items, batch.items]))

    def keep_items(self, kept: NDArray[np.intp]) -> None:
        """Drops all items but these."""
        self.transitions.keep_items(kept)

    def state_dict(self) -> Arrays:
        """Returns the arrays by name."""
        return {
            "stays": self._stays.copy(),
            "places": self._places.copy(),
            "experts": self._experts.copy(),
            **self.transitions.state_dict(),
            **self.tuning.state_dict(),
        }

    def load_state_dict(self, arrays: SavedArrays, n_item: int) -> None:
        """Takes over what `state_dict` returned.

        Raises:
            IncompatibleModelError: An array is missing or damaged.
        """
        stays = arrays.counts("stays", self._stays.shape, np.float64)
        places = arrays.counts("places", self._places.shape, np.float64)
        experts = arrays.counts("experts", self._experts.shape, np.float64)
        for name, counts in (("stays", stays), ("places", places)):
            part_of = (counts[1] <= counts[0]).all()
            arrays.require(part_of, name, "counts more of a part than of the whole")
        every = (experts[LENGTHS] > 0).all()
        arrays.require(every, "experts", "gives no credit to one")
        self.transitions.load_state_dict(arrays, n_item)
        self.tuning.load_state_dict(arrays)
        self._stays, self._places, self._experts = stays, places, experts
