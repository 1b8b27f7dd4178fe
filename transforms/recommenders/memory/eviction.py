"""Which users and items to keep when there are more than the configured maximum."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from transforms.recommenders.memory.growable import GrowableRows

_KEPT_PERCENT: Final = 90


class LastSeen:
    """When each of many users, or items, was last seen, as a number of ratings.

    What is kept depends on the ratings alone, so a model that is rebuilt evicts the same.

    Args:
        maximum: How many there may be; 0 for no maximum.
    """

    def __init__(self, maximum: int) -> None:
        self.maximum = maximum
        self._at = GrowableRows(dtype=np.int64)

    def __len__(self) -> int:
        return self._at.n

    def add(self) -> None:
        """Adds the next user or item; it counts as seen by rating 0 until `see`."""
        self._at.add()

    def see(self, index: int | NDArray[np.int32], number: int | NDArray[np.int64]) -> None:
        """Notes that `index` was seen by rating `number`; of several, the last one counts."""
        self._at.rows[index] = number

    def kept(self) -> NDArray[np.intp] | None:
        """Returns which to keep, ascending, or None if there are not too many.

        More than the maximum are cut down to 90 % of it, those that were seen last, so that the
        next cut is a tenth of the maximum away and the cost of one is spread over as many.
        """
        n = self._at.n
        if not self.maximum or n <= self.maximum:
            return None
        remaining = max(1, self.maximum * _KEPT_PERCENT // 100)
        # No two are seen first, or last, by the same rating: there are no ties.
        newest = np.argpartition(self._at.used(), n - remaining)[-remaining:]
        return np.sort(newest)

    def keep(self, kept: NDArray[np.intp]) -> None:
        """Drops all but these; `kept[j]` becomes `j`."""
        self._at.keep(kept)

    def latest(self) -> int:
        """Returns the number of the last rating that was noted, -1 if there was none."""
        return int(self._at.used().max(initial=-1))

    def to_array(self) -> NDArray[np.int64]:
        """Returns the numbers as a copy."""
        return self._at.used().copy()

    def load(self, numbers: NDArray[np.int64]) -> None:
        """Takes over what `to_array` returned."""
        self._at.load(numbers)


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
