"""How much of the time of learning and listing together the lists take."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

_MEASURED_EACH: Final = 256


class ListingTime:
    """Estimates by making the lists of one minibatch in many once more."""

    def __init__(self) -> None:
        self._seconds = 0.0
        self._minibatches = 0

    def seconds(self, whole: float, scores: int, again: Callable[[], None]) -> float:
        """Returns about how many seconds the lists of a minibatch took.

        Args:
            whole: How long learning and listing took.
            scores: How many scores the lists were made from, at least one.
            again: Makes the same lists again.
        """
        if self._minibatches % _MEASURED_EACH == 0:
            start = time.perf_counter()
            again()
            self._seconds = (time.perf_counter() - start) / scores
        self._minibatches += 1
        return min(whole, scores * self._seconds)
