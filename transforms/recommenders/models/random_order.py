"""Items in random order: FluRS's baseline that anything else has to beat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from transforms.formats.records import Rating
from transforms.recommenders.arrays import Arrays, SavedArrays
from transforms.recommenders.memory.item_columns import ItemColumns
from transforms.recommenders.model import ShardedModel
from transforms.recommenders.numerics.counter_rng import draw, uniforms


@dataclass(frozen=True)
class RandomOrderConfig:
    """`RandomOrder` has no hyperparameters but the seed."""


class RandomOrder(ShardedModel):
    """Scores each item by a number drawn uniformly from [0, 1).

    FluRS draws from a generator that goes on with each list. Here the numbers are a function of
    the seed, the user and how many positives were learned: a list is another after each positive
    and for each user, and the same when a model that was rebuilt makes it again.

    References:
        FluRS: `flurs.baseline.Random`.
    """

    def __init__(self, config: RandomOrderConfig, seed: int) -> None:
        self.config = config
        self.n_user = 0
        self.n_item = 0
        self._seed = seed
        self._learned = 0
        self._columns = ItemColumns()
        self._sharded = False

    def add_user(self) -> None:
        """Counts the user."""
        self.n_user += 1

    def add_item(self) -> None:
        """Counts the item."""
        self._add_item(listed=True)

    def list_some(self, *, score_elsewhere: bool) -> None:
        """Counts all items and positives, whatever is listed."""
        self._sharded = True

    def add_item_elsewhere(self) -> None:
        """Counts an item that another shard lists."""
        self._add_item(listed=False)

    def _add_item(self, *, listed: bool) -> None:
        self._columns.add(listed=listed)
        self.n_item += 1

    def learn(self, user: int, item: int, rating: Rating, seen: NDArray[np.int32]) -> None:
        """Counts one positive, after which all lists are others."""
        self._learned += 1

    def item_scores(self, user: int, context: Sequence[float] = ()) -> NDArray[np.float64]:
        """Returns a random number in [0, 1) for each item."""
        return self._columns.hide_elsewhere(self._draw(user))

    def score_of(self, user: int, item: int) -> float:
        """Returns the random number of an item."""
        return float(self._draw(user)[item])

    def _draw(self, user: int) -> NDArray[np.float64]:
        return uniforms(draw(self._seed, self._learned, user), self.n_item)

    def keep_users(self, kept: NDArray[np.intp]) -> None:
        """Counts only these users."""
        self.n_user = len(kept)

    def keep_items(self, kept: NDArray[np.intp]) -> None:
        """Counts only these items."""
        self._columns.keep(kept)
        self.n_item = len(kept)

    def state_dict(self) -> Arrays:
        """Returns `learned`, how many positives were learned, shape (1,), and what is listed."""
        return {"learned": np.array([self._learned]), **self._columns.state_dict()}

    def load_state_dict(self, arrays: SavedArrays, n_user: int, n_item: int) -> None:
        """Takes over what `state_dict` returned.

        Raises:
            IncompatibleModelError: It is damaged, or of another model.
        """
        self._learned = arrays.count("learned")
        self._columns.load_state_dict(arrays, n_item, sharded=self._sharded)
        self.n_user, self.n_item = n_user, n_item
