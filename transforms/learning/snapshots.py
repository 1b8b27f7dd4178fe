"""A model shard's snapshots in state: two bags that take turns, each filled little by little.

Written at once, a snapshot would keep the stream waiting, for most of a second at 25 MB and for
many at a gigabyte, and again at the next checkpoint. So a thread encodes a copy of the model, and
then its numbered chunks go one by one, at a multiple of the log's pace, into the bag that the last
snapshot is not in. Until all of them are there, that one and the log after it are what counts; then
its bag is cleared, and the log goes on with what was learned since the new one was taken.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, NamedTuple, Protocol

from transforms.errors import IncompatibleModelError
from transforms.learning import snapshot_codec
from transforms.learning.snapshot_codec import VERSION

CHUNK_BYTES: Final = 1 << 18
"""What is written at once: 4 ms of a core on Flink."""

THREAD_BYTES: Final = 1 << 20
"""Models smaller than this are encoded at once, in 2 ms of a core."""

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
        self._current: _PendingSnapshot | None = None
        self._since: list[bytes] = []

    @property
    def is_writing(self) -> bool:
        """Whether a snapshot has begun and is not complete."""
        return self._current is not None

    def begin(self, encoded: Future[bytes], sequence: int, bags: SnapshotBags) -> None:
        """Takes up a snapshot; nothing of it is written yet.

        Args:
            encoded: The encoded recommender, at least one byte.
            sequence: How many ratings had changed it.
            bags: Where snapshots are.
        """
        bags[1 - self._bag].clear()
        self._current = _PendingSnapshot(encoded, sequence)
        self._since = []

    def note(self, entry: bytes) -> None:
        """Takes into account that an entry was added to the log."""
        if self._current is not None:
            self._since.append(entry)
            self._current.note(len(entry))

    def write(
        self, bags: SnapshotBags, log: BagState, *, everything: bool = False
    ) -> tuple[int, int] | None:
        """Writes the chunks that are due, or waits for the encoding and writes all.

        Returns:
            After the last chunk, the bytes of the snapshot and of the log that is left; else None.
        """
        current = self._current
        if current is None:
            return None
        for chunk in current.due(everything=everything):
            bags[1 - self._bag].add(chunk)
        if not current.is_complete:
            return None
        self._current = None
        bags[self._bag].clear()
        self._bag = 1 - self._bag
        log.clear()
        for entry in self._since:
            log.add(entry)
        kept, self._since = sum(map(len, self._since)), []
        return current.size, kept


def start_encoding(encode: Callable[[], bytes], size: int) -> Future[bytes]:
    """Calls `encode`, in a new thread if its result is large; returns a future of the result.

    Args:
        encode: What to call.
        size: Approximate size of the result in bytes.
    """
    if size < THREAD_BYTES:
        done: Future[bytes] = Future()
        done.set_result(encode())
        return done
    threads = ThreadPoolExecutor(max_workers=1, thread_name_prefix="snapshot")
    encoded = threads.submit(encode)
    # The thread ends after this task.
    threads.shutdown(wait=False)
    return encoded


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


class _PendingSnapshot:
    """A snapshot that has begun and is not complete.

    Attributes:
        size: Bytes of the encoded recommender; 0 before any chunk is written.
    """

    def __init__(self, encoded: Future[bytes], sequence: int) -> None:
        self.size = 0
        self._encoded = encoded
        self._sequence = sequence
        self._next = 0
        self._due = 1

    @property
    def is_complete(self) -> bool:
        """Whether all chunks are written."""
        return 0 < self.size <= self._next * CHUNK_BYTES

    def note(self, logged: int) -> None:
        """Takes into account that `logged` bytes were added to the log.

        Bytes logged before the encoding is done do not count: they would make many chunks due at
        once.
        """
        if self._encoded.done():
            self._due += _PACE * logged

    def due(self, *, everything: bool) -> Iterator[bytes]:
        """Yields the chunks that are due, none before the encoding is done; or all, and waits.

        A chunk has a version byte, the sequence, its number, and how many there are.
        """
        if not everything and not self._encoded.done():
            return
        view = memoryview(self._encoded.result())
        self.size = len(view)
        chunks = -(-self.size // CHUNK_BYTES)
        while self._next < chunks and (everything or self._due > 0):
            start = self._next * CHUNK_BYTES
            header = _CHUNK.pack(VERSION, self._sequence, self._next, chunks)
            chunk = header + view[start : start + CHUNK_BYTES]
            self._next += 1
            self._due -= len(chunk)
            yield chunk
