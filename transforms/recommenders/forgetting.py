"""Which users and items to keep when there are more than memory is meant for."""

from __future__ import annotations

from array import array
from typing import Final

import numpy as np
from numpy.typing import NDArray

_KEPT_PERCENT: Final = 90


class LastSeen:
    """When each of many users, or items, was last seen, by the number of the rating.

    What is kept depends on the ratings alone, so a model that is rebuilt forgets the same.

    Args:
        bound: How many there may be; 0 for no bound.
    """

    def __init__(self, bound: int) -> None:
        self.bound = bound
        self._at = array("q")

    def see(self, index: int, number: int) -> None:
        """Notes that `index`, a new one if it is the next, was seen by rating `number`."""
        if index == len(self._at):
            self._at.append(number)
        else:
            self._at[index] = number

    def kept(self) -> NDArray[np.intp] | None:
        """Returns which to keep, ascending, or None if there are not too many.

        More than the bound are cut down to 90 % of it, those that were seen last, so that the
        next cut is a tenth of the bound away and the cost of one is spread over as many.
        """
        if not self.bound or len(self._at) <= self.bound:
            return None
        remaining = max(1, self.bound * _KEPT_PERCENT // 100)
        # No two are seen first, or last, by the same rating: there are no ties.
        newest = np.argpartition(self.to_array(), len(self._at) - remaining)[-remaining:]
        return np.sort(newest)

    def keep(self, kept: NDArray[np.intp]) -> None:
        """Forgets all but these; `kept[j]` becomes `j`."""
        self.load(self.to_array()[kept])

    def latest(self) -> int:
        """Returns the number of the last rating that was noted, -1 if there was none."""
        return max(self._at, default=-1)

    def to_array(self) -> NDArray[np.int64]:
        """Returns the numbers as a copy, int64."""
        return np.array(self._at, dtype=np.int64)

    def load(self, numbers: NDArray[np.generic]) -> None:
        """Takes over what `to_array` returned."""
        self._at = array("q", numbers.astype(np.int64).tobytes())


def renumbered(indices: NDArray[np.int32], kept: NDArray[np.intp], n: int) -> NDArray[np.int32]:
    """Returns the new number of each old index, -1 for what is not kept.

    Args:
        indices: Old indices.
        kept: Ascending; `kept[j]` becomes `j`.
        n: How many there were.
    """
    numbers = np.full(n, -1, dtype=np.int32)
    numbers[kept] = np.arange(len(kept), dtype=np.int32)
    return numbers[indices]
