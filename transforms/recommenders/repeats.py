"""Whether lists may name items that their user has: as it was said, or as the stream shows."""

from __future__ import annotations

import logging
from typing import Final

import numpy as np
from numpy.typing import NDArray

from transforms.recommenders.arrays import Arrays, SavedArrays
from transforms.recommenders.numerics.repeat_share import MOST, follow_share

AUTO, NEVER, ALLOW = "auto", "never", "allow"
REPEATS: Final = (AUTO, NEVER, ALLOW)
"""What `RecommenderSpec.repeats` may be."""

_LOG: Final = logging.getLogger(__name__)

_TOLD_AFTER: Final = 1000


class RepeatPolicy:
    """Decides from the share of choices that repeat an earlier one, if it was not decided.

    The share is the posterior mean with a prior of 1 repeat in 40 choices, of all choices but
    each user's first; beyond 10,000 choices all counts are halved, so that a stream may change.
    Repeats are allowed when the share reaches 10 %, and no longer when it falls below 5 %. So
    they are never allowed where nothing repeats, and after some ten clicks of a shop's sessions.
    It depends on the choices alone, in their order. Says once what it took, and when it changes.

    Args:
        repeats: One of `REPEATS`.
    """

    def __init__(self, repeats: str) -> None:
        self._auto = repeats == AUTO
        # Choices, those that repeat, and whether repeats are allowed.
        self._counts = np.array([0, 0, repeats == ALLOW], dtype=np.int64)
        self._told = False

    @property
    def allowed(self) -> bool:
        """Whether lists may name items that their user has."""
        return bool(self._counts[2])

    def see(self, kinds: NDArray[np.int64]) -> NDArray[np.bool]:
        """Counts choices, in order.

        Args:
            kinds: As in `follow_share`, shape (m,).

        Returns:
            Whether repeats are allowed just after each, shape (m,).
        """
        allowed = np.full(len(kinds), self.allowed)
        if not self._auto:
            return allowed
        before = self.allowed
        follow_share(kinds, self._counts, allowed)
        told_enough = self._told or self._counts[0] < _TOLD_AFTER
        if (allowed != before).any() or not told_enough:
            self._tell()
        return allowed

    def _tell(self) -> None:
        self._told = True
        choices, again, allowed = self._counts.tolist()
        _LOG.warning(
            "%d of the last %d choices repeat an earlier one of their user: lists %s items that"
            " their user has; --repeats never or allow settles it",
            again,
            choices,
            "may name" if allowed else "do not name",
        )

    def state_dict(self) -> Arrays:
        """Returns `counts`: choices, repeats, and whether they are allowed, shape (3,)."""
        return {"counts": self._counts * self._auto}

    def load_state_dict(self, arrays: SavedArrays) -> None:
        """Takes over what `state_dict` returned; what was said counts more.

        Raises:
            IncompatibleModelError: It is damaged.
        """
        counts = arrays.counts("counts", (3,))
        fits = counts[1] <= counts[0] < MOST and counts[2] <= 1
        arrays.require(fits, "counts", "is not that of repeats among choices")
        if self._auto:
            self._counts = counts
