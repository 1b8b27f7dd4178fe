"""Elements back in the order of their numbers, at a constant cost for each.

One step numbers the batches of a user shard; from there they reach each of its model shards, and
the shards' results reach the step that merges them, possibly in another order and long after
each other. `InOrder` holds back what comes early, in state and in memory:

* `meta`: a version, a token that is new in each bundle, the next number, counts;
* `waiting`: an append-only bag of what came early.

The bag is read only when the elements in memory are not those of state, which the token tells: a
bundle failed, or the key moved to another worker. An element leaves the bag when half of the
bag is obsolete and it is rewritten, so an element is written at most twice on average, however
many wait. An element that completes its set is never written.

Nothing here imports Beam: state is whatever has Beam's `read`, `write`, `add`, `clear`.
"""

from __future__ import annotations

import secrets
import struct
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final, Generic, NamedTuple, TypeVar

from transforms.errors import IncompatibleModelError, OutOfSequenceError
from transforms.learning.snapshots import BagState
from transforms.learning.state import ValueState
from transforms.learning.token_cache import CacheKey, TokenCache

VERSION: Final = 2
FIRST: Final = 1
"""Number of the first element."""

_META: Final = struct.Struct(">B16sQQI")
_ENTRY: Final = struct.Struct(">QI")

T = TypeVar("T")


class OrderState(NamedTuple):
    """One key's state, valid while its element is processed."""

    meta: ValueState
    waiting: BagState


@dataclass(frozen=True)
class OrderMeta:
    """What is read first.

    Attributes:
        token: Names the only copy in memory that has the same elements as state.
        expected: The number that is due.
        stored: How many elements the bag holds, obsolete ones included.
        senders: How many elements share a number.
    """

    token: bytes = b""
    expected: int = FIRST
    stored: int = 0
    senders: int = 1

    def encode(self) -> bytes:
        """Returns a version byte, the token and three numbers."""
        return _META.pack(VERSION, self.token, self.expected, self.stored, self.senders)

    @classmethod
    def decode(cls, encoded: bytes) -> OrderMeta:
        """Returns what `encode` wrote.

        Raises:
            IncompatibleModelError: It was written by another version.
        """
        require_version(encoded, VERSION)
        return cls(*_META.unpack(encoded)[1:])


@dataclass
class _Waiting(Generic[T]):
    """The elements that wait, by number and sender, and how many they are."""

    sets: dict[int, dict[int, T]] = field(default_factory=dict)
    size: int = 0

    def add(self, number: int, sender: int, element: T) -> bool:
        """Returns False if there is one of that number and sender already."""
        of_number = self.sets.setdefault(number, {})
        if sender in of_number:
            return False
        of_number[sender] = element
        self.size += 1
        return True

    def pop(self, number: int, senders: int) -> list[T] | None:
        """Removes a set; returns it by sender, or None if it is not complete."""
        if len(self.sets.get(number, ())) < senders:
            return None
        whole = self.sets.pop(number)
        self.size -= senders
        return [whole[sender] for sender in range(senders)]


Waiting = _Waiting[Any]


class QueueCache(TokenCache[Waiting]):
    """Elements that wait, between two bundles."""


class InOrder(Generic[T]):
    """A key's elements in order, while a bundle works on it.

    Args:
        state: The key's state.
        cache: Where the elements that wait are kept between bundles.
        key: The key in the cache.
        encode: Returns an element as bytes.
        decode: Returns what `encode` wrote.
        senders: How many elements share each number.

    Raises:
        IncompatibleModelError: State was written by another version or for another number of
            senders, or does not hold every element that `meta` counts.
    """

    def __init__(
        self,
        state: OrderState,
        cache: TokenCache[Waiting],
        key: CacheKey,
        encode: Callable[[T], bytes],
        decode: Callable[[bytes], T],
        senders: int = 1,
    ) -> None:
        self._cache = cache
        self._key = key
        self._encode = encode
        self._decode = decode
        encoded = state.meta.read()
        self._meta = OrderMeta(senders=senders) if encoded is None else OrderMeta.decode(encoded)
        if self._meta.senders != senders:
            msg = f"state is of {self._meta.senders} item shard(s), this job has {senders}"
            raise IncompatibleModelError(msg)
        self._waiting: _Waiting[T] = cache.pop(key, self._meta.token) or self._rebuilt(state)
        self._renewed = False

    def offer(self, number: int, sender: int, element: T, state: OrderState) -> list[list[T]]:
        """Takes an element; returns the sets whose turn has come, in order, each by sender.

        Args:
            number: The element's number, from 1 without a gap.
            sender: Which of those with that number it is, from 0.
            element: Is returned now or by a later call.
            state: The key's state.

        Raises:
            OutOfSequenceError: The element came before.
        """
        expected = self._meta.expected
        if number < expected or not self._waiting.add(number, sender, element):
            msg = f"batch {number} of item shard {sender} came twice, expected batch {expected}"
            raise OutOfSequenceError(msg)
        ready = []
        while (whole := self._waiting.pop(expected, self._meta.senders)) is not None:
            ready.append(whole)
            expected += 1
        stored = self._meta.stored
        if not ready:
            state.waiting.add(self._entry(number, sender, element))
            stored += 1
        elif stored >= 2 * self._waiting.size:
            stored = self._rewritten(state)
        token = self._meta.token if self._renewed else secrets.token_bytes(16)
        self._meta = replace(self._meta, token=token, expected=expected, stored=stored)
        self._renewed = True
        state.meta.write(self._meta.encode())
        return ready

    def close(self) -> None:
        """Leaves the elements that wait in the cache for the next bundle."""
        if self._meta.token:
            self._cache.put(self._key, self._meta.token, self._waiting)

    def _rebuilt(self, state: OrderState) -> _Waiting[T]:
        waiting: _Waiting[T] = _Waiting()
        if not self._meta.stored:
            return waiting
        found = 0
        for entry in state.waiting.read():
            found += 1
            number, sender = _ENTRY.unpack_from(entry)
            if number >= self._meta.expected:
                waiting.add(number, sender, self._decode(entry[_ENTRY.size :]))
        if found != self._meta.stored:
            msg = f"state holds {found} waiting batches, expected {self._meta.stored}"
            raise IncompatibleModelError(msg)
        return waiting

    def _rewritten(self, state: OrderState) -> int:
        """Removes obsolete entries from the bag; returns how many it holds."""
        if self._meta.stored:
            state.waiting.clear()
        for number, elements in self._waiting.sets.items():
            for sender, element in elements.items():
                state.waiting.add(self._entry(number, sender, element))
        return self._waiting.size

    def _entry(self, number: int, sender: int, element: T) -> bytes:
        return _ENTRY.pack(number, sender) + self._encode(element)


def require_version(encoded: bytes, version: int) -> None:
    """Checks the first byte of what was read from state.

    Raises:
        IncompatibleModelError: It is another version.
    """
    if encoded[:1] != bytes([version]):
        found = encoded[0] if encoded else "none"
        msg = f"state has version {found}, expected {version}: start without the savepoint"
        raise IncompatibleModelError(msg)
