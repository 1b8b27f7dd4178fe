"""What a key's step keeps in memory between two bundles, valid only for the state it belongs to."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Generic, NamedTuple, TypeVar

_STALE_SECONDS: Final = 600.0

T = TypeVar("T")


class CacheKey(NamedTuple):
    """The job, its step, and the key in the step's state."""

    scope: str
    step: str
    key: tuple[int, ...]


class _Entry(NamedTuple, Generic[T]):
    token: bytes
    value: T
    put_at: float


class TokenCache(Generic[T]):
    """Values by key, each under the token that its bundle wrote to state.

    A bundle that failed, or ran elsewhere, left another token in state, and the value is not
    used. `pop` removes the entry. Thread-safe.
    """

    def __init__(self) -> None:
        self._lock = threading.Condition()
        self._entries: dict[CacheKey, _Entry[T]] = {}
        self._lent: set[CacheKey] = set()

    def pop(self, key: CacheKey, token: bytes) -> T | None:
        """Removes the key's entry; returns its value if `token` is the one it was put under."""
        with self._lock:
            self._lock.wait_for(lambda: key not in self._lent)
            entry = self._entries.pop(key, None)
        return entry.value if entry and entry.token == token else None

    @contextmanager
    def lent(self, key: CacheKey) -> Iterator[T | None]:
        """Lends the key's value between two bundles, None amid one; the next bundle waits."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is not None:
                self._lent.add(key)
        try:
            yield entry.value if entry else None
        finally:
            with self._lock:
                self._lent.discard(key)
                self._lock.notify_all()

    def put(self, key: CacheKey, token: bytes, value: T) -> None:
        """Keeps a value until its key's next bundle; drops other jobs' after ten minutes."""
        now = time.monotonic()
        with self._lock:
            stale = [
                other
                for other, entry in self._entries.items()
                if other.scope != key.scope and now - entry.put_at > _STALE_SECONDS
            ]
            for other in stale:
                del self._entries[other]
            self._entries[key] = _Entry(token, value, now)

    def clear(self) -> None:
        """Drops everything."""
        with self._lock:
            self._entries.clear()
