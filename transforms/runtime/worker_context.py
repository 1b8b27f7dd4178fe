"""What all DoFns of one process share: one instance of each class, and one way to close them all.

Beam makes as many instances of a DoFn as it likes and drops them when it likes. What has to outlive
them (models between two bundles, Kafka clients, readers of files) is kept here, by class, and
nowhere else.
"""

from __future__ import annotations

import threading
from typing import Any, Final, TypeVar

T = TypeVar("T")


class WorkerContext:
    """The shared instances of a process. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._shared: dict[type[Any], Any] = {}

    def get(self, kind: type[T]) -> T:
        """Returns the instance of a class, which is made without arguments at its first use."""
        with self._lock:
            found: T | None = self._shared.get(kind)
            if found is None:
                found = self._shared[kind] = kind()
            return found

    def close(self) -> None:
        """Closes and drops all instances, the newest first; those without `close` are dropped."""
        with self._lock:
            shared = list(self._shared.values())
            self._shared.clear()
        for one in reversed(shared):
            close = getattr(one, "close", None)
            if close is not None:
                close()


WORKER: Final = WorkerContext()
"""This process's."""
