"""What a model must do: the mathematics over dense indices.

In FluRS's words where FluRS has one (`n_user`, `n_item`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from transforms.formats.records import Rating
from transforms.recommenders.topn import best_of_rest

Arrays = dict[str, NDArray[np.generic]]


class Model(ABC):
    """Learns from (user, item) pairs of dense 0-based indices, and scores items.

    Everything that a model draws at random derives from its seed and an index or the count of
    updates, so the same ratings in the same order give the same model, bit for bit.
    """

    n_user: int
    n_item: int

    @abstractmethod
    def add_user(self) -> None:
        """Makes room for the user with index `n_user`, at amortised constant cost."""

    @abstractmethod
    def add_item(self) -> None:
        """Makes room for the item with index `n_item`, at amortised constant cost."""

    @abstractmethod
    def learn(self, user: int, item: int, rating: Rating, known: Sequence[int]) -> None:
        """Learns one positive.

        Args:
            user: Has been added.
            item: Has been added.
            rating: What was read; models that use its value, time or features look there.
            known: The items that the user has, this one included, in ascending order.
        """

    @abstractmethod
    def item_scores(self, user: int, context: Sequence[float] = ()) -> NDArray[np.floating]:
        """Returns a score for each item, shape (n_item,), the higher the better.

        The array is the caller's to change until the next call.

        Args:
            user: Whom the scores are for.
            context: The circumstances, see `Features`; most models have no use for them.
        """

    def best_items(
        self, user: int, left_out: NDArray[np.int32], n: int, context: Sequence[float] = ()
    ) -> tuple[NDArray[np.integer], NDArray[np.floating]]:
        """Returns the `n` best items, best first, and their scores.

        The order is that of `top_n` over `item_scores`; a model that need not score every item
        to know it overrides this.

        Args:
            user: Whom the list is for.
            left_out: Items that are not to be listed, ascending.
            n: How many; fewer come if there are not so many.
            context: As in `item_scores`.
        """
        return best_of_rest(self.item_scores(user, context), left_out, n)

    @abstractmethod
    def keep_users(self, kept: NDArray[np.intp]) -> None:
        """Forgets all users but these, for good.

        Args:
            kept: Indices in ascending order, not empty; user `kept[j]` becomes user `j`, and
                the next user that is added has index `len(kept)` and is drawn afresh, not as an
                earlier user with that index was.
        """

    @abstractmethod
    def keep_items(self, kept: NDArray[np.intp]) -> None:
        """Forgets all items but these, as `keep_users` does with users."""

    @abstractmethod
    def state_dict(self) -> Arrays:
        """Returns all that was learned, as named arrays."""

    @abstractmethod
    def load_state_dict(self, arrays: Arrays) -> None:
        """Becomes the model that `state_dict` described.

        Raises:
            IncompatibleModelError: The arrays are of a model with other hyperparameters.
        """


LONGEST_LIST: Final = 100
"""The longest that is made along a stretch."""


class Stretch(NamedTuple):
    """Positives that are learned at once, m of them, in their order, as columns.

    If no lists are asked for, only `users` and `items` are filled.

    Attributes:
        users: int32, shape (m,); have been added.
        items: int32, shape (m,); have been added. -1 where the item is learned elsewhere.
        sizes: How many items there were when each was learned, int32, shape (m,); items that
            were added by then have the lower indices.
        known: The items that each user had by then, ascending, end to end, int32.
        ends: Where each begins and the last ends in `known`, int64, shape (m + 1,).
    """

    users: NDArray[np.int32]
    items: NDArray[np.int32]
    sizes: NDArray[np.int32]
    known: NDArray[np.int32]
    ends: NDArray[np.int64]


class Listed(NamedTuple):
    """Lists of a stretch.

    Attributes:
        items: Of each positive's user, best first, shape (m, n).
        scores: Theirs, shape (m, n).
        counts: How many of a row count, shape (m,).
    """

    items: NDArray[np.int32]
    scores: NDArray[np.float64]
    counts: NDArray[np.int32]


class Trail(Protocol):
    """What a stretch has left behind."""

    def best_items(self, n: int, *, leave_out: bool) -> Listed:
        """Returns what `Model.best_items` would have said after each positive of the stretch.

        To be asked before the model learns anything else.

        Args:
            n: How many, at most `LONGEST_LIST`.
            leave_out: Whether a list leaves out what the user has.
        """


class StretchModel(Model):
    """A model that can learn and list for many positives at once, faster than one by one.

    The numbers are the same either way.
    """

    @abstractmethod
    def stretch(self, n: int) -> int:
        """Returns how many positives to learn at once; 0 if it can not, as without numba.

        Args:
            n: Length of the lists that will be asked for, 0 if none will be.
        """

    @abstractmethod
    def learn_many(self, stretch: Stretch) -> Trail:
        """Learns positives in their order."""
