"""The most popular items for everybody: FluRS's baseline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from transforms.formats.records import Rating
from transforms.recommenders.arrays import Arrays, SavedArrays
from transforms.recommenders.memory.growable import GrowableRows
from transforms.recommenders.model import Model


@dataclass(frozen=True)
class PopularConfig:
    """`Popular` has no hyperparameters."""


class Popular(Model):
    """Scores an item by the number of its positives, whoever asks.

    FluRS copies all counts for each new item; here they are in rows that double. Of items with
    the same count the one that came first is listed first, which FluRS leaves to chance.

    References:
        FluRS: `flurs.baseline.Popular`.
    """

    def __init__(self, config: PopularConfig, seed: int) -> None:
        self.config = config
        self.n_user = 0
        self.n_item = 0
        self._positives = GrowableRows()

    def add_user(self) -> None:
        """Counts the user, of whom nothing is kept."""
        self.n_user += 1

    def add_item(self) -> None:
        """Adds the item with index `n_item`."""
        self._positives.add()
        self.n_item = self._positives.n

    def learn(self, user: int, item: int, rating: Rating, seen: NDArray[np.int32]) -> None:
        """Counts one positive."""
        self._positives.rows[item] += 1

    def item_scores(self, user: int, context: Sequence[float] = ()) -> NDArray[np.float64]:
        """Returns how many positives each item has."""
        return self._positives.used().copy()

    def keep_users(self, kept: NDArray[np.intp]) -> None:
        """Counts only these users."""
        self.n_user = len(kept)

    def keep_items(self, kept: NDArray[np.intp]) -> None:
        """Drops all items but these."""
        self._positives.keep(kept)
        self.n_item = self._positives.n

    def state_dict(self) -> Arrays:
        """Returns `positives`, how many each item has, shape (n_item,)."""
        return {"positives": self._positives.used().copy()}

    def load_state_dict(self, arrays: SavedArrays, n_user: int, n_item: int) -> None:
        """Takes over what `state_dict` returned.

        Raises:
            IncompatibleModelError: It is damaged, or of another model.
        """
        self._positives.load(arrays.counts("positives", (n_item,), np.float64))
        self.n_user, self.n_item = n_user, n_item
