"""Fetched records of one partition that nobody has read yet, counted in bytes."""

from __future__ import annotations

from collections import deque
from typing import Final

from transforms.kafka.clients.protocols import Records

RECORD_BYTES: Final = 100
"""What each record counts for beside key, value and headers: offset, time, Python's objects."""


class RecordBuffer:
    """A queue of records, whose length is how many there are.

    Attributes:
        bytes: What the buffered records count for. Within a chunk that was taken in part, each
            record counts for the chunk's average.
    """

    def __init__(self) -> None:
        self.bytes = 0
        self._count = 0
        self._chunks: deque[tuple[Records, int]] = deque()
        # How many records of the first chunk are taken already.
        self._start = 0

    def __len__(self) -> int:
        return self._count

    def append(self, records: Records) -> int:
        """Adds records that follow; returns what they count for."""
        size = RECORD_BYTES * len(records.offsets)
        size += sum(map(len, filter(None, records.values)))
        size += sum(map(len, filter(None, records.keys)))
        for headers in filter(None, records.headers):
            size += sum(RECORD_BYTES + len(key) + len(value) for key, value in headers)
        self._chunks.append((records, size))
        self._count += len(records.offsets)
        self.bytes += size
        return size

    def take(self, limit: int) -> Records:
        """Removes and returns up to `limit` records, at least one; the buffer is not empty."""
        first, start = self._chunks[0][0], self._start
        if len(first.offsets) - start > limit:
            # A slice of what is taken, not a copy of what is left.
            before = self._left_of_first()
            self._start = start + limit
            self._count -= limit
            self.bytes -= before - self._left_of_first()
            return first.part(start, self._start)
        self._drop_first()
        taken = first.part(start) if start else first
        while self._chunks and len(taken.offsets) + len(self._chunks[0][0].offsets) <= limit:
            taken.extend(self._chunks[0][0])
            self._drop_first()
        return taken

    def _drop_first(self) -> None:
        self.bytes -= self._left_of_first()
        self._count -= len(self._chunks.popleft()[0].offsets) - self._start
        self._start = 0

    def _left_of_first(self) -> int:
        records, size = self._chunks[0]
        count = len(records.offsets)
        return size * (count - self._start) // count
