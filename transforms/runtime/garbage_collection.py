"""Raises the thresholds of Python's garbage collector in worker processes.

Ratings and lists are many small objects that live for one batch and are in no cycle. The
collector's defaults make it go through all of them, and through the 300,000 objects of Beam's own
modules, several times a batch: a third of the time of the whole job (benchmarks/README.md).
"""

from __future__ import annotations

import gc
from typing import Final

_YOUNG: Final = 50_000
_THRESHOLDS: Final = (_YOUNG, 20, 50)


def reduce_frequency() -> None:
    """Exempts all current objects from collection, and makes collections rare in this process.

    Cycles are still collected, later. A process that collects as rarely already, or never, stays
    as it is.
    """
    if gc.isenabled() and gc.get_threshold()[0] < _YOUNG:
        gc.collect()
        gc.freeze()
        gc.set_threshold(*_THRESHOLDS)
