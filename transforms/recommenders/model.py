"""What a model must do: the mathematics over dense indices.

Names are FluRS's where FluRS has one (`n_user`, `n_item`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from transforms.formats.records import Features, Rating
from transforms.recommenders.arrays import Arrays, SavedArrays
from transforms.recommenders.minibatch import Minibatch, UpdateTrace
from transforms.recommenders.numerics.top_n import top_n_excluding

LARGEST_STRENGTH: Final = 1000.0
"""A rating of more weight counts as this, so that sums stay finite."""


def strength(weight: float) -> float:
    """Returns the weight with which a positive is learned."""
    return min(weight, LARGEST_STRENGTH)


class Model(ABC):
    """Learns from (user, item) pairs of dense 0-based indices, and scores items.

    Everything that a model draws at random derives from its seed and an index or the count of
    updates, so the same ratings in the same order give the same model, bit for bit. Scores are
    finite after any finite input.
    """

    n_user: int
    n_item: int

    @abstractmethod
    def add_user(self) -> None:
        """Makes room for the user with index `n_user`, at amortized constant cost."""

    @abstractmethod
    def add_item(self) -> None:
        """Makes room for the item with index `n_item`, at amortized constant cost."""

    @abstractmethod
    def learn(self, user: int, item: int, rating: Rating, seen: NDArray[np.int32]) -> None:
        """Learns one positive.

        Args:
            user: Has been added.
            item: Has been added.
            rating: What was read; models that use its value, time or features look there, and
                those that use its weight, which is above 0, take its `strength`.
            seen: The items that the user has, this one included, in ascending order.
        """

    def learn_negative(self, user: int, item: int) -> None:
        """Learns that a user does not want an item; does nothing in most models.

        Args:
            user: Has been added.
            item: Has been added.
        """
        del user, item

    def allow_repeats(self, allowed: bool) -> None:
        """Is told whether lists may name items that a user has; of no matter to most models."""
        del allowed

    def lists_by(self) -> str:
        """Returns the setting that the stream chose for lists; nothing in most models."""
        return ""

    def newcomer_scores(self) -> NDArray[np.floating] | None:
        """Returns a score for each item for a user who is not known, shape (n_item,).

        Returns:
            None for the number of positives of each.
        """
        return None

    @abstractmethod
    def item_scores(self, user: int, context: Sequence[float] = ()) -> NDArray[np.floating]:
        """Returns a score for each item, shape (n_item,), the higher the better.

        The array is the caller's to change until the next call.

        Args:
            user: Whom the scores are for.
            context: The circumstances, see `Features`; most models have no use for them.
        """

    def best_items(
        self, user: int, excluded: NDArray[np.int32], n: int, context: Sequence[float] = ()
    ) -> tuple[NDArray[np.integer], NDArray[np.floating]]:
        """Returns the `n` best items, best first, and their scores.

        The order is that of `top_n` over `item_scores`; a model that need not score every item
        to know it overrides this.

        Args:
            user: Whom the list is for.
            excluded: Items that are not to be listed, ascending.
            n: Length of the list; it is shorter if there are not so many items.
            context: As in `item_scores`.
        """
        return top_n_excluding(self.item_scores(user, context), excluded, n)

    @abstractmethod
    def keep_users(self, kept: NDArray[np.intp]) -> None:
        """Drops all users but these, for good.

        Args:
            kept: Indices in ascending order, not empty; user `kept[j]` becomes user `j`, and
                the next user that is added has index `len(kept)` and is drawn afresh, not as an
                earlier user with that index was.
        """

    @abstractmethod
    def keep_items(self, kept: NDArray[np.intp]) -> None:
        """Drops all items but these, as `keep_users` does with users."""

    @abstractmethod
    def state_dict(self) -> Arrays:
        """Returns all that was learned, as named arrays that later learning does not change."""

    @abstractmethod
    def load_state_dict(self, arrays: SavedArrays, n_user: int, n_item: int) -> None:
        """Becomes the model that `state_dict` described.

        Args:
            arrays: What `state_dict` returned, perhaps damaged since.
            n_user: How many users the model has to have.
            n_item: How many items it has to have.

        Raises:
            IncompatibleModelError: An array is missing, damaged, or of a model with other
                hyperparameters.
        """


class ShardedModel(Model):
    """A model whose item shards list, together, exactly what one model of all items does.

    A shard has all users and items, in the same order as every other shard, and learns all
    positives. It keeps what it takes to score the items that it lists; the scores of the others
    are minus infinity.
    """

    @abstractmethod
    def list_some(self, *, score_elsewhere: bool) -> None:
        """Is told, before there is any user or item, that it is an item shard.

        Args:
            score_elsewhere: Whether `score_of` has to know items that are listed elsewhere, and
                whether repeats are ever allowed.
        """

    @abstractmethod
    def add_item_elsewhere(self) -> None:
        """Does what `add_item` does with an item that another shard lists."""

    @abstractmethod
    def score_of(self, user: int, item: int) -> float:
        """Returns the score that a model of all items has for an item, listed here or not.

        Args:
            user: As in `item_scores`; -1 for a newcomer.
            item: The item.
        """


class MinibatchModel(Model):
    """A model that learns and lists for many positives together, faster than one by one.

    The model and the lists are the same either way, to the bit.
    """

    @abstractmethod
    def minibatch_size(self, n: int) -> int:
        """Returns how many positives `learn_batch` is to be given.

        Args:
            n: Length of the lists that will be asked for, 0 if none will be.

        Returns:
            0 where learning one by one is as fast.
        """

    def learns_alone(self, features: Features | None) -> bool:
        """Whether a positive with these features is not to be given to `learn_batch`."""
        del features
        return False

    @abstractmethod
    def learn_batch(self, batch: Minibatch, n: int) -> tuple[int, UpdateTrace]:
        """Learns positives in their order.

        Args:
            batch: At least one; those that are not listed cost no more than learning.
            n: As in `minibatch_size`.

        Returns:
            How many were learned, at least one, and their trace.
        """
