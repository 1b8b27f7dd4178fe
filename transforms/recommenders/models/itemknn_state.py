"""What the item-item model remembers: counts of pairs, single items, histories and habits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from transforms.recommenders.arrays import Arrays, SavedArrays
from transforms.recommenders.memory.cooccurrence import DenseCounts
from transforms.recommenders.memory.cooccurrence_rows import (
    NO_COUNTS,
    NO_COUNTS_OF_PAIRS,
    load_counts,
)
from transforms.recommenders.memory.cooccurrence_sparse import SparseCounts, in_memory
from transforms.recommenders.memory.habits import Habits
from transforms.recommenders.memory.histories import Histories
from transforms.recommenders.memory.item_features import ItemFeatures
from transforms.recommenders.memory.item_statistics import ItemStatistics
from transforms.recommenders.models.itemknn_config import ItemKNNConfig


class ItemKNNState:
    """The state of `ItemKNN`, which learns into it and lists from it.

    While there are no more items than `neighbors` c is a square matrix; beyond, a row has at most
    2 x `neighbors` entries, the heaviest, of 8 bytes each. Of each item at most 64 are known to
    come right after or before it. An item that is evicted or dropped from a row still counts in d.

    Item shards list, together, what one model does, to the bit, but for tuning: each has all
    histories, what follows what, all that is known of single items, and the columns c(., j) of
    the items j that it lists. The weights w need c of any chosen item with its user's history;
    c(i, j) of two items that are both listed elsewhere is kept for them, once, unless repeats
    never come. Each shard drops entries of its rows by itself, so lists may differ once one model
    would have dropped any.

    Attributes:
        counts: c, of each pair of items: a matrix while there are few items, then sparse rows.
        items: What is known of each item by itself.
        histories: The last items of each user.
        habits: How users repeat, and which expert or setting is right how often.
        features: Of the items that came with some.
    """

    counts: DenseCounts | SparseCounts

    def __init__(self, config: ItemKNNConfig) -> None:
        self._neighbors = config.neighbors
        self._sharded = self._scores_elsewhere = False
        self.items = ItemStatistics(config.shrinkage)
        self.counts = in_memory(NO_COUNTS, self.items.columns, config.neighbors)
        self.histories = Histories(config.history)
        self.habits = Habits(config.history, config.half_life, config.neighbors)
        self.features = ItemFeatures(config.feature_weight)

    def list_some(self, *, score_elsewhere: bool) -> None:
        """Keeps the columns of some items alone; with `score_elsewhere` pairs of others, too."""
        self._sharded, self._scores_elsewhere = True, score_elsewhere
        counts = NO_COUNTS_OF_PAIRS if score_elsewhere else NO_COUNTS
        self.counts = in_memory(counts, self.items.columns, self._neighbors)

    def add_item(self, *, listed: bool) -> None:
        """Adds an item after the others; another shard lists it unless `listed`."""
        self.items.add_item(listed=listed)
        self.habits.transitions.add_item()
        self.counts.make_room()
        self.features.add_item()

    def make_sparse(self) -> None:
        """Turns the matrix of counts into sparse rows, if it is not turned yet."""
        if isinstance(self.counts, DenseCounts):
            self.counts = SparseCounts(self._neighbors, self.items.columns, self.counts.rows())

    def keep_items(self, kept: NDArray[np.intp], n_item: int) -> None:
        """Drops all of `n_item` items but those whose indices are in `kept`, in that order."""
        self.histories.keep_items(kept, n_item)
        counts = self.counts.rows().keep(kept)
        self.items.keep(kept)
        self.features.keep_items(kept)
        self.habits.keep_items(kept)
        self.counts = in_memory(counts, self.items.columns, self._neighbors)

    def state_dict(self) -> Arrays:
        """Returns counts as rows end to end, numbers of items, habits, and histories."""
        return {
            **self.counts.rows().state_dict(),
            **self.histories.state_dict(),
            **self.items.state_dict(),
            **self.habits.state_dict(),
            **self.features.state_dict(),
        }

    def load_state_dict(self, arrays: SavedArrays, n_user: int, n_item: int) -> None:
        """Takes over what `state_dict` returned.

        Raises:
            IncompatibleModelError: An array is missing or damaged, or a history or a row of
                counts is longer than the hyperparameters allow.
        """
        columns, neighbors = self.items.columns, self._neighbors
        self.items.load_state_dict(arrays, n_item, sharded=self._sharded)
        self.habits.load_state_dict(arrays, n_item)
        self.features.load_state_dict(arrays, n_item)
        self.histories.load_state_dict(arrays, n_user, n_item)
        counts = load_counts(arrays, columns, neighbors, with_elsewhere=self._scores_elsewhere)
        self.counts = in_memory(counts, columns, neighbors)
