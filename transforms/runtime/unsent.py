"""Sinks of a process with unsent output."""

from __future__ import annotations

import threading
import time


class Unsent:
    """The sinks with unsent output, and since when. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._since: dict[int, float] = {}

    def add(self, sink: object) -> None:
        """Notes that a sink has output to send."""
        with self._lock:
            self._since.setdefault(id(sink), time.monotonic())

    def remove(self, sink: object) -> None:
        """Notes that a sink has sent all its output."""
        with self._lock:
            self._since.pop(id(sink), None)

    def is_sent(self, moment: float) -> bool:
        """Whether all output taken up to a moment of the monotonic clock is sent."""
        with self._lock:
            return all(since > moment for since in self._since.values())
