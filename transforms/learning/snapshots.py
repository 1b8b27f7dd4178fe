"""A model shard's snapshots in state: two bags that take turns, each filled little by little.

Written at once, a snapshot would keep the stream waiting, for most of a second at 25 MB and for
many at a gigabyte, and again at the next checkpoint. So its numbered chunks go one by one, at a
multiple of the log's pace, into the bag that the last snapshot is not in. Until all of them are
there, that one and the log after it are what counts; then its bag is cleared, and the log goes on
with what was learned since the new one was taken.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple, Protocol

from transforms.errors import IncompatibleModelError
from transforms.learning import snapshot_codec
from transforms.learning.snapshot_codec import VERSION

CHUNK_BYTES: Final = 1 << 18
"""What is written at once: 4 ms of a core on Flink."""

_PACE: Final = 4
"""Bytes of a snapshot for each of the log, which so grows by a quarter of it meanwhile."""

_CHUNK: Final = struct.Struct(">BQII")


class BagState(Protocol):
    """Beam's Bag state of bytes, in any order."""

    def read(self) -> Iterable[bytes]:
        """Returns what was added."""
        ...

    def add(self, value: bytes) -> None:
        """Adds one."""

    def clear(self) -> None:
        """Removes all."""


SnapshotBags = tuple[BagState, BagState]


class SnapshotWriter:
    """Writes one snapshot after the other. Keep it as long as the recommender, or read anew.

    Args:
        bag: Which bag has the last snapshot.
    """

    def __init__(self, bag: int = 0) -> None:
        self._bag = bag
        self._left: deque[bytes] = deque()
        self._due = 0
        self._bytes = 0
        self._since: list[bytes] = []

    @property
    def is_writing(self) -> bool:
        """Whether there are chunks of a snapshot that are not written yet."""
        return bool(self._left)

    def begin(self, whole: bytes, sequence: int, bags: SnapshotBags) -> None:
        """Takes up a snapshot; nothing of it is written yet.

        Args:
            whole: The encoded recommender, at least one byte.
            sequence: How many ratings had changed it.
            bags: Where snapshots are.
        """
        bags[1 - self._bag].clear()
        self._left.extend(_chunks(whole, sequence))
        self._due = 1
        self._bytes = len(whole)
        self._since = []

    def note(self, entry: bytes) -> None:
        """Takes into account that an entry was added to the log."""
        if self.is_writing:
            self._since.append(entry)
            self._due += _PACE * len(entry)

    def write(
        self, bags: SnapshotBags, log: BagState, *, everything: bool = False
    ) -> tuple[int, int] | None:
        """Writes the chunks that are due, or all.

        Returns:
            After the last chunk, the bytes of the snapshot and of the log that is left; else None.
        """
        while self._left and (everything or self._due > 0):
            chunk = self._left.popleft()
            bags[1 - self._bag].add(chunk)
            self._due -= len(chunk)
        if self._left:
            return None
        bags[self._bag].clear()
        self._bag = 1 - self._bag
        log.clear()
        for entry in self._since:
            log.add(entry)
        kept, self._since = sum(map(len, self._since)), []
        return self._bytes, kept


def read_snapshot(bags: SnapshotBags) -> tuple[bytes, int]:
    """Returns the encoded recommender of the last snapshot, and which bag has it.

    Raises:
        IncompatibleModelError: There is none of which all chunks are there.
    """
    found = [_Found.of(bag.read()) for bag in bags]
    last = max(range(len(bags)), key=lambda at: (found[at].is_whole, found[at].sequence))
    one = found[last]
    if not one.is_whole:
        msg = f"the snapshot has {len(one.parts)} chunk(s), expected {one.chunks}"
        raise IncompatibleModelError(msg)
    return b"".join(one.parts[number] for number in range(one.chunks)), last


class _Found(NamedTuple):
    """The chunks of a bag."""

    parts: dict[int, memoryview]
    sequence: int
    chunks: int

    @classmethod
    def of(cls, chunks: Iterable[bytes]) -> _Found:
        parts: dict[int, memoryview] = {}
        kinds = set()
        for chunk in chunks:
            snapshot_codec.require_version(chunk[0])
            _, sequence, number, count = _CHUNK.unpack_from(chunk)
            kinds.add((sequence, count))
            parts[number] = memoryview(chunk)[_CHUNK.size :]
        return cls(parts, *(kinds.pop() if len(kinds) == 1 else (0, 0)))

    @property
    def is_whole(self) -> bool:
        return 0 < self.chunks == len(self.parts)


def _chunks(whole: bytes, sequence: int) -> Sequence[bytes]:
    """Returns chunks with a version byte, the sequence, their number, and how many there are."""
    view = memoryview(whole)
    starts = range(0, len(view), CHUNK_BYTES)
    return [
        _CHUNK.pack(VERSION, sequence, number, len(starts)) + view[start : start + CHUNK_BYTES]
        for number, start in enumerate(starts)
    ]
