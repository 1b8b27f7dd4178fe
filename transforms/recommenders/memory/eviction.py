"""Which users and items to keep when there are more than the configured maximum."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from transforms.recommenders.arrays import Arrays, SavedArrays
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


class Expiry:
    """When each user was last seen, in event time; who was not for long enough is evicted.

    Time is the latest that any rating had by then, so a late rating counts as just seen. Users
    are looked through each time it has moved on by a tenth of the time to live, so one is evicted
    within 1.1 times that, and the cost is spread.

    Args:
        time_to_live: In seconds; 0 to keep users forever.
    """

    def __init__(self, time_to_live: float) -> None:
        self.time_to_live = time_to_live
        self._at = GrowableRows()
        self._now = self._looked = 0.0

    def add(self) -> None:
        """Adds the next user."""
        self._at.add()

    def see(self, index: int, time: float) -> None:
        """Notes that a user was seen by a rating of this event time, if it matters."""
        if not self.time_to_live:
            return
        self._now = max(self._now, time)
        self._at.rows[index] = self._now

    def kept(self) -> NDArray[np.intp] | None:
        """Returns which users to keep, ascending, or None for all of them."""
        if not self.time_to_live or self._now - self._looked < self.time_to_live / 10:
            return None
        self._looked = self._now
        last_seen = self._at.used()
        kept = np.flatnonzero(last_seen >= self._now - self.time_to_live)
        return None if len(kept) == len(last_seen) else kept

    def keep(self, kept: NDArray[np.intp]) -> None:
        """Drops all but these; `kept[j]` becomes `j`."""
        self._at.keep(kept)

    def state_dict(self) -> Arrays:
        """Returns when each was seen, and the times of the last rating and the last look."""
        return {
            "last_seen": self._at.used().copy(),
            "clock": np.array([self._now, self._looked]),
        }

    def load_state_dict(self, arrays: SavedArrays, n: int) -> None:
        """Takes over what `state_dict` returned.

        Raises:
            IncompatibleModelError: It is damaged.
        """
        self._at.load(arrays.finite("last_seen", (n,), largest=np.inf))
        self._now, self._looked = arrays.finite("clock", (2,), largest=np.inf).tolist()


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
