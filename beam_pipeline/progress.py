"""Progress of a run in this process."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Final

from transforms import counters
from transforms.counters import Totals
from transforms.runtime.worker_context import WORKER

_FIRST_SECONDS: Final = 10.0
_SECONDS: Final = 60.0


class Progress:
    """Prints the counts so far after ten seconds, then each minute in which something was read.

    Args:
        say: Prints a line.
        first_seconds: When the first line is due.
        seconds: When each further one is.
    """

    def __init__(
        self,
        say: Callable[[str], None],
        first_seconds: float = _FIRST_SECONDS,
        seconds: float = _SECONDS,
    ) -> None:
        self._say = say
        self._first_seconds = first_seconds
        self._seconds = seconds
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="progress", daemon=True)

    def _run(self) -> None:
        # A test may run several pipelines in one process.
        before = started_with = WORKER.get(Totals).counts()
        start = last = time.monotonic()
        wait = self._first_seconds
        while not self._ended.wait(wait):
            wait = self._seconds
            now, counts = time.monotonic(), WORKER.get(Totals).counts()
            read = counts[counters.READ] - before[counters.READ]
            if read:
                rate = read / (now - last)
                self._say(f"after {now - start:,.0f} s: {_text(counts - started_with, rate)}")
            before, last = counts, now

    def __enter__(self) -> Progress:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._ended.set()
        self._thread.join()


def _text(counts: Counter[str], rate: float) -> str:
    return (
        f"{counts[counters.READ]:,} read ({rate:,.0f}/s of late),"
        f" {counts[counters.POSITIVES]:,} positives, {counts[counters.FILTERED]:,} filtered,"
        f" {counts[counters.DEAD]:,} dead, {counts[counters.USERS]:,} users,"
        f" {counts[counters.ITEMS]:,} items"
    )
