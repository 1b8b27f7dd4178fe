"""What a consumer knows of the partitions that it fetches."""

from __future__ import annotations

import math
import threading
import time
from typing import Final

from kafka import TopicPartition

from transforms.kafka.clients.protocols import Polled, Records
from transforms.kafka.record_buffer import RecordBuffer

GATHER_SECONDS: Final = 0.03
"""The shortest round of reads, from its first read on; meanwhile records gather for the next one.

What comes out of one read is a batch to every later step, each of which costs as much as dozens of
ratings; a bundle's output leaves at its end anyhow.
"""
GATHER_SECONDS_EACH: Final = 0.01
"""The least for each partition that has records: at most about a hundred batches of few records
come in a second, up to 50 partitions."""
LONGEST_GATHER_SECONDS: Final = 0.5
"""A round takes no longer, however many partitions there are."""
ENOUGH_RECORDS: Final = 256
"""So many are taken without a wait: a reader that has much to read does not stand still."""


class Assigned:
    """A partition that is being fetched.

    Attributes:
        position: The next offset that a reader gets.
        buffer: What was fetched from there on.
        out_of_range: Whether there is no record at the position.
        end: The end of the partition when records last came; None before that.
        truncated: Whether that is because the broker cut the log off before it.
        read_at: When somebody last read it.
        thread: Who that was.
        taken_at: When records were last taken.
    """

    def __init__(self, position: int) -> None:
        self.position = position
        self.buffer = RecordBuffer()
        self.out_of_range = False
        self.truncated = False
        self.end: int | None = None
        self.read_at = time.monotonic()
        self.thread = threading.get_ident()
        self.taken_at = -math.inf

    def touch(self) -> None:
        """Notes that the calling thread reads it now."""
        self.read_at, self.thread = time.monotonic(), threading.get_ident()


class AssignedPartitions(dict[TopicPartition, Assigned]):
    """The partitions that are being fetched.

    They are read in rounds, each of them once unless it has many records, so that one bundle can
    read them one after the other. The more of them had records in one round, the longer the next.

    Attributes:
        buffered: Bytes of all buffers, as `RecordBuffer` counts them.
    """

    def __init__(self) -> None:
        super().__init__()
        self.buffered = 0
        self._round = -math.inf
        self._read_in_round = self._read_in_last_round = 0

    def start(self, partition: TopicPartition, offset: int) -> None:
        """Begins anew at an offset, with an empty buffer."""
        self.drop(partition)
        self[partition] = Assigned(offset)

    def drop(self, partition: TopicPartition) -> None:
        """Forgets a partition and its buffer, if it is there."""
        before = self.pop(partition, None)
        if before is not None:
            self.buffered -= before.buffer.bytes

    def drop_all(self) -> None:
        """Forgets all."""
        self.clear()
        self.buffered = 0

    def take(self, assigned: Assigned, limit: int) -> Records:
        """Removes and returns up to `limit` records of one, and moves it past them."""
        before = assigned.buffer.bytes
        records = assigned.buffer.take(limit)
        self.buffered -= before - assigned.buffer.bytes
        assigned.position = records.offsets[-1] + 1
        now = time.monotonic()
        if now >= self._end_of_round():
            self._round = now
            self._read_in_last_round, self._read_in_round = self._read_in_round, 0
        self._read_in_round += assigned.taken_at < self._round
        assigned.taken_at = now
        return records

    def gathers_for(self, assigned: Assigned, limit: int) -> float:
        """Returns for how many seconds more to leave a buffer before up to `limit` are taken."""
        enough = len(assigned.buffer) >= min(limit, ENOUGH_RECORDS)
        if enough or assigned.taken_at < self._round:
            return 0.0
        return max(0.0, self._end_of_round() - time.monotonic())

    def is_ready(self, assigned: Assigned, limit: int) -> bool:
        """Returns whether one has records that need not gather."""
        return bool(assigned.buffer) and not self.gathers_for(assigned, limit)

    def add(self, polled: Polled) -> None:
        """Keeps what a poll gave for the partitions that are still here."""
        for partition in polled.out_of_range:
            if partition in self:
                self[partition].out_of_range = True
                self[partition].truncated = partition in polled.truncated
        for partition, records in polled.records.items():
            if partition in self:
                self.buffered += self[partition].buffer.append(records)

    def not_read_since(self, oldest: float) -> list[TopicPartition]:
        """Returns those that nobody has read since then."""
        return [partition for partition, one in self.items() if one.read_at < oldest]

    def to_pause(self, limit: int) -> set[TopicPartition]:
        """Returns those that have so many buffered bytes, or no record where they stand."""
        return {
            partition
            for partition, one in self.items()
            if one.out_of_range or one.buffer.bytes >= limit
        }

    def is_any_ready(self, limit: int) -> bool:
        """Returns whether a partition has records that are to be taken, `limit` at a time."""
        return any(self.is_ready(one, limit) for one in self.values())

    def readers_with_records(self, partition: TopicPartition, limit: int) -> set[int]:
        """Returns the threads that last read the other partitions that are ready."""
        return {
            one.thread
            for which, one in self.items()
            if which != partition and self.is_ready(one, limit)
        }

    def _end_of_round(self) -> float:
        for_all = min(GATHER_SECONDS_EACH * self._read_in_last_round, LONGEST_GATHER_SECONDS)
        return self._round + max(GATHER_SECONDS, for_all)
