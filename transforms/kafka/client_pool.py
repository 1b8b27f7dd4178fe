"""Clients that all DoFns of a process share."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Hashable
from typing import Generic, Protocol, TypeVar


class _Closeable(Protocol):
    def close(self) -> None:
        """Disconnects."""
        ...


K = TypeVar("K", bound=Hashable)
C = TypeVar("C", bound=_Closeable)


class ClientPool(Generic[K, C]):
    """Clients by key, opened at their first use and closed with their last user. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._open: dict[K, C] = {}
        self._users: Counter[K] = Counter()

    def add_user(self, key: K) -> None:
        """Keeps a client open, once it is, until `remove_user`."""
        with self._lock:
            self._users[key] += 1

    def remove_user(self, key: K) -> None:
        """Takes an `add_user` back; the last one closes the client."""
        with self._lock:
            self._users[key] -= 1
            if self._users[key] > 0:
                return
            del self._users[key]
            closing = self._open.pop(key, None)
        if closing is not None:
            closing.close()

    def close(self) -> None:
        """Closes all clients."""
        with self._lock:
            closing = list(self._open.values())
            self._open.clear()
        for one in closing:
            one.close()

    def _get(self, key: K, connect: Callable[[], C]) -> C:
        """Returns the client of a key, which is made now if there is none."""
        with self._lock:
            found = self._open.get(key)
            if found is None:
                found = self._open[key] = connect()
            return found
