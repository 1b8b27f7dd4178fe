"""Which setting of `ItemKNN` lists, and how well each did."""

from __future__ import annotations

import logging
from typing import Final

import numpy as np

from transforms.recommenders.arrays import Arrays, SavedArrays
from transforms.recommenders.numerics.cooccurrence_arrays import MEDIUM
from transforms.recommenders.numerics.habit_arrays import (
    EXPERT_SETTING,
    SETTINGS,
    TuningArrays,
    empty_mixture,
)

EXPERTS_LIST: Final = "experts"
"""The name of the setting by which the mixture of experts lists."""

_LOG: Final = logging.getLogger(__name__)


class Tuning:
    """Follows the setting whose lists do best; says so when it changes.

    Args:
        longest: Greatest length of a history.
        half_life: The one in the middle, in items.
    """

    def __init__(self, longest: int, half_life: float) -> None:
        self._names = [f"half_life {half_life * factor:g}" for factor in (1 / 3, 1.0, 3.0)]
        self._names.append(EXPERTS_LIST)
        self._arrays = TuningArrays(
            np.zeros(SETTINGS),
            np.zeros((SETTINGS, SETTINGS)),
            np.array([MEDIUM]),
            np.zeros(SETTINGS),
            np.zeros(0, dtype=np.float32),
            np.zeros(longest, dtype=np.float32),
            np.zeros(0),
            np.zeros(0, dtype=np.int32),
            empty_mixture(SETTINGS, longest),
        )
        self._told = MEDIUM

    @property
    def leader(self) -> str:
        """The setting that lists where items do not repeat."""
        return self._names[int(self._arrays.leader[0])]

    def arrays(self, n_item: int) -> TuningArrays:
        """For kernels, with room for the scores of so many items."""
        if len(self._arrays.sums) < n_item:
            room = 2 * n_item
            self._arrays = self._arrays._replace(
                row_sums=np.zeros(room, dtype=np.float32),
                sums=np.zeros(room),
                touched=np.zeros(room, dtype=np.int32),
            )
        return self._arrays._replace(row_sums=self._arrays.row_sums[:n_item])

    def tell(self) -> None:
        """Logs a line if another setting leads than when it was last called."""
        leader = int(self._arrays.leader[0])
        if leader != self._told:
            before, self._told = self._names[self._told], leader
            _LOG.warning(
                "lists are by %s from now on, no longer by %s, as this stream's choices stand"
                " higher in them; --tune off keeps the half-life",
                self.leader,
                before,
            )

    def state_dict(self) -> Arrays:
        """Returns the sums of the tests and who leads."""
        arrays = self._arrays
        return {
            "tuning.utilities": arrays.utilities.copy(),
            "tuning.noise": arrays.noise.copy(),
            "tuning.leader": arrays.leader.copy(),
        }

    def load_state_dict(self, arrays: SavedArrays) -> None:
        """Takes over what `state_dict` returned.

        Raises:
            IncompatibleModelError: An array is missing or damaged.
        """
        utilities = arrays.counts("tuning.utilities", (SETTINGS,), np.float64)
        noise = arrays.counts("tuning.noise", (SETTINGS, SETTINGS), np.float64)
        leader = arrays.counts("tuning.leader", (1,))
        fits = leader[0] <= EXPERT_SETTING
        arrays.require(fits, "tuning.leader", f"is {leader[0]}, expected at most {EXPERT_SETTING}")
        self._arrays = self._arrays._replace(utilities=utilities, noise=noise, leader=leader)
        self._told = int(leader[0])
