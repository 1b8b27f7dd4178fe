"""Whether lists may name items that their user has: as it was said, or as the stream shows."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from transforms.recommenders.arrays import Arrays, SavedArrays

AUTO, NEVER, ALLOW = "auto", "never", "allow"
REPEATS: Final = (AUTO, NEVER, ALLOW)
"""What `RecommenderSpec.repeats` may be."""

FIRST, OTHER, AGAIN = range(3)
"""A user's first item; an item that the user does not have; one that the user has."""

_LOG: Final = logging.getLogger(__name__)

_ALLOW_FROM: Final = 0.1
_STOP_BELOW: Final = 0.05
_PRIOR_AGAIN: Final = 1
_PRIOR: Final = 40
_MOST: Final = 10_000
_TOLD_AFTER: Final = 1000


class RepeatPolicy:
    """Decides from the share of choices that repeat an earlier one, if it was not decided.

    The share is the posterior mean with a prior of 1 repeat in 40 choices, of all choices but
    each user's first; beyond 10,000 choices all counts are halved, so that a stream may change.
    Repeats are allowed when the share reaches 10 %, and no longer when it falls below 5 %. So
    they are never allowed where nothing repeats, and after some ten clicks of a shop's sessions.
    It depends on the choices alone, in their order.

    Args:
        repeats: One of `REPEATS`.

    Attributes:
        allowed: Whether lists may name items that their user has.
    """

    def __init__(self, repeats: str) -> None:
        self._auto = repeats == AUTO
        self.allowed = repeats == ALLOW
        self._choices = self._again = 0
        self._told = False

    def see(self, kinds: Iterable[int]) -> NDArray[np.bool]:
        """Counts choices, in order.

        Args:
            kinds: `FIRST`, `OTHER` or `AGAIN` for each.

        Returns:
            Whether repeats are allowed just after each.
        """
        return np.array([self.see_one(kind) for kind in kinds], dtype=np.bool)

    def see_one(self, kind: int) -> bool:
        """Counts a choice; returns whether repeats are allowed from now on."""
        if not self._auto or kind == FIRST:
            return self.allowed
        self._choices += 1
        self._again += kind == AGAIN
        share = (self._again + _PRIOR_AGAIN) / (self._choices + _PRIOR)
        before, self.allowed = self.allowed, share >= (_STOP_BELOW if self.allowed else _ALLOW_FROM)
        if self.allowed != before or (self._choices >= _TOLD_AFTER and not self._told):
            self._tell()
        if self._choices >= _MOST:
            self._choices //= 2
            self._again //= 2
        return self.allowed

    def _tell(self) -> None:
        self._told = True
        _LOG.warning(
            "%d of the last %d choices repeat an earlier one of their user: lists %s items that"
            " their user has; --repeats never or allow settles it",
            self._again,
            self._choices,
            "may name" if self.allowed else "do not name",
        )

    def state_dict(self) -> Arrays:
        """Returns `counts`: choices, repeats, and whether they are allowed, shape (3,)."""
        counts = (self._choices, self._again, self.allowed) if self._auto else (0, 0, 0)
        return {"counts": np.array(counts, dtype=np.int64)}

    def load_state_dict(self, arrays: SavedArrays) -> None:
        """Takes over what `state_dict` returned; what was said counts more.

        Raises:
            IncompatibleModelError: It is damaged.
        """
        choices, again, allowed = arrays.counts("counts", (3,)).tolist()
        fits = again <= choices < _MOST and allowed <= 1
        arrays.require(fits, "counts", "is not that of repeats among choices")
        if self._auto:
            self._choices, self._again, self.allowed = choices, again, bool(allowed)
