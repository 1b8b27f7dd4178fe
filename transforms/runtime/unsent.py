"""Which sinks of a process have taken what they have yet to send."""

from __future__ import annotations

import threading


class Unsent:
    """The sinks that have. Thread-safe.

    A sink that fails stays among them, as what it took is lost to this process.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sinks: set[int] = set()

    def add(self, sink: object) -> None:
        """Notes that a sink has taken something."""
        with self._lock:
            self._sinks.add(id(sink))

    def remove(self, sink: object) -> None:
        """Notes that it has sent everything."""
        with self._lock:
            self._sinks.discard(id(sink))

    def is_empty(self) -> bool:
        """Whether all have sent everything."""
        with self._lock:
            return not self._sinks
