"""The most popular items for everybody: FluRS's baseline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from transforms.formats.records import Rating
from transforms.recommenders.arrays import Arrays, SavedArrays
from transforms.recommenders.memory.growable import GrowableRows
from transforms.recommenders.memory.item_columns import ItemColumns
from transforms.recommenders.model import ShardedModel


@dataclass(frozen=True)
class PopularConfig:
    """`Popular` has no hyperparameters."""


class Popular(ShardedModel):
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
        self._columns = ItemColumns()
        self._sharded = False

    def add_user(self) -> None:
        """Counts the user, of whom nothing is kept."""
        self.n_user += 1

    def add_item(self) -> None:
        """Adds the item with index `n_item`."""
        self._add_item(listed=True)

    def list_some(self, *, score_elsewhere: bool) -> None:
        """Counts the positives of all items, whatever is listed."""
        self._sharded = True

    def add_item_elsewhere(self) -> None:
        """Adds the item with index `n_item`, which another shard lists."""
        self._add_item(listed=False)

    def _add_item(self, *, listed: bool) -> None:
        self._positives.add()
        self._columns.add(listed=listed)
        self.n_item = self._positives.n

    def learn(self, user: int, item: int, rating: Rating, seen: NDArray[np.int32]) -> None:
        """Counts one positive."""
        self._positives.rows[item] += 1

    def item_scores(self, user: int, context: Sequence[float] = ()) -> NDArray[np.float64]:
        """Returns how many positives each item has."""
        return self._columns.hide_elsewhere(self._positives.used().copy())

    def score_of(self, user: int, item: int) -> float:
        """Returns how many positives an item has."""
        return float(self._positives.rows[item])

    def keep_users(self, kept: NDArray[np.intp]) -> None:
        """Counts only these users."""
        self.n_user = len(kept)

    def keep_items(self, kept: NDArray[np.intp]) -> None:
        """Drops all items but these."""
        self._positives.keep(kept)
        self._columns.keep(kept)
        self.n_item = self._positives.n

    def state_dict(self) -> Arrays:
        """Returns `positives`, how many each item has, shape (n_item,), and which are listed."""
        return {"positives": self._positives.used().copy(), **self._columns.state_dict()}

    def load_state_dict(self, arrays: SavedArrays, n_user: int, n_item: int) -> None:
        """Takes over what `state_dict` returned.

        Raises:
            IncompatibleModelError: It is damaged, or of another model.
        """
        self._positives.load(arrays.counts("positives", (n_item,), np.float64))
        self._columns.load_state_dict(arrays, n_item, sharded=self._sharded)
        self.n_user, self.n_item = n_user, n_item
