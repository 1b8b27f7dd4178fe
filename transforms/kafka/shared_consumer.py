"""One consumer for all partitions that this process reads, shared by its threads.

A consumer for each partition would make a runner that works in turns wait at each idle one
while the others have records. Here a wait for one partition fetches for all, and ends when
another has something. Nothing is assigned anew at each turn: that would throw away what was
fetched, and can starve for ever.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Iterable
from typing import Final, NamedTuple

from kafka import TopicPartition

from transforms.errors import KafkaSetupError
from transforms.kafka.client import consumer
from transforms.kafka.protocols import NO_RECORDS, Records
from transforms.kafka.settings import KafkaSettings

_FETCHED_LIMIT: Final = 50_000
_POLL_SECONDS: Final = 0.2
_GRACE_SECONDS: Final = 0.005
_COMMIT_SECONDS: Final = 1.0


class Fetched(NamedTuple):
    """What one read gave.

    Attributes:
        records: None if none came in time.
        next_offset: Where to go on; past the records, and past what has none to deliver.
        lost: How many offsets were deleted from the topic before they could be read.
        at_end: Whether the broker has nothing more, as far as is known.
    """

    records: Records
    next_offset: int
    lost: int = 0
    at_end: bool = False


class SharedConsumer:
    """Reads any partition from any offset. Thread-safe.

    Args:
        settings: Of the brokers.
        group: Whose offsets `commit` sets; None if nothing is ever committed.
    """

    def __init__(self, settings: KafkaSettings, group: str | None) -> None:
        self._client = consumer(settings, group)
        self._condition = threading.Condition()
        self._polling = False
        self._fetched: dict[TopicPartition, deque[Records]] = {}
        self._out_of_range: set[TopicPartition] = set()
        self._next: dict[TopicPartition, int] = {}
        self._committed: dict[TopicPartition, int] = {}
        self._asked: dict[TopicPartition, float] = {}

    @property
    def partitions(self) -> int:
        """How many partitions are being read."""
        return max(1, len(self._next))

    def read(
        self, partition: TopicPartition, offset: int, limit: int, wait_seconds: float
    ) -> Fetched:
        """Returns up to `limit` records from `offset` on.

        Waits up to `wait_seconds` if there are none, but not while other partitions have
        records that nobody takes.

        Raises:
            KafkaSetupError: The offset lies behind the end of the partition.
        """
        deadline = time.monotonic() + wait_seconds
        with self._condition:
            self._stand_at(partition, offset)
            fetched = self._fetched[partition]
            asked = yielded = False
            while not fetched:
                left = deadline - time.monotonic()
                if partition in self._out_of_range and not self._polling:
                    lost = self._step_over_lost(partition)
                    if lost:
                        return lost
                if asked and left <= 0:
                    return self._nothing(partition)
                if asked and self._others_wait(partition):
                    if yielded:
                        return self._nothing(partition)
                    yielded = True
                    self._condition.wait(_GRACE_SECONDS)
                elif self._polling:
                    self._condition.wait(max(0.0, min(left, _POLL_SECONDS)) + 0.001)
                    asked = True
                else:
                    wait = 0.0 if self._others_wait(partition) else max(0.0, left)
                    self._poll(min(wait, _POLL_SECONDS))
                    asked = True
            records = _taken(fetched, limit)
            self._next[partition] = records.offsets[-1] + 1
            return Fetched(records, self._next[partition])

    def commit(self, partition: TopicPartition, offset: int, *, final: bool) -> None:
        """Sets the group's offset, and waits until it is set if it is the final one.

        A failure is logged: these offsets are for monitoring and for `committed` starts.
        """
        if offset == self._committed.get(partition):
            return
        with self._condition:
            self._condition.wait_for(lambda: not self._polling)
            if self._client.commit(partition, offset, wait=final):
                self._committed[partition] = offset

    def commit_is_due(self, partition: TopicPartition) -> bool:
        """Whether a second has passed since this was last true for the partition."""
        now = time.monotonic()
        if now - self._asked.get(partition, -math.inf) < _COMMIT_SECONDS:
            return False
        self._asked[partition] = now
        return True

    def release(self, partition: TopicPartition) -> None:
        """Forgets a partition that has been read to its end, until somebody reads it again."""
        with self._condition:
            self._condition.wait_for(lambda: not self._polling)
            if self._next.pop(partition, None) is not None:
                del self._fetched[partition]
                self._out_of_range.discard(partition)
                self._client.leave(partition)

    def close(self) -> None:
        """Leaves the brokers."""
        with self._condition:
            self._condition.wait_for(lambda: not self._polling)
            self._client.close()

    def _stand_at(self, partition: TopicPartition, offset: int) -> None:
        if self._next.get(partition) == offset:
            return
        self._condition.wait_for(lambda: not self._polling)
        self._fetched[partition] = deque()
        self._move(partition, offset)

    def _move(self, partition: TopicPartition, offset: int) -> None:
        self._next[partition] = offset
        self._out_of_range.discard(partition)
        self._client.stand_at(partition, offset)

    def _others_wait(self, partition: TopicPartition) -> bool:
        return any(other != partition and queue for other, queue in self._fetched.items())

    def _nothing(self, partition: TopicPartition) -> Fetched:
        """Moves past offsets that deliver nothing: aborted, compacted, transaction markers."""
        if self._polling or self._fetched[partition]:
            return Fetched(NO_RECORDS, self._next[partition])
        position, at_end = self._client.progress(partition)
        self._next[partition] = max(self._next[partition], position)
        return Fetched(NO_RECORDS, self._next[partition], at_end=at_end)

    def _poll(self, seconds: float) -> None:
        full = {p for p, queue in self._fetched.items() if _count(queue) > _FETCHED_LIMIT}
        self._client.hold(full | self._out_of_range)
        self._polling = True
        self._condition.release()
        try:
            polled = self._client.poll(seconds)
        finally:
            self._condition.acquire()
            self._polling = False
            self._condition.notify_all()
        self._out_of_range.update(polled.out_of_range)
        for partition, records in polled.records.items():
            if partition in self._fetched:
                self._fetched[partition].append(records)

    def _step_over_lost(self, partition: TopicPartition) -> Fetched | None:
        """Goes on at the first record that there still is; None if the offset is none of those."""
        offset = self._next[partition]
        first = self._client.beginning_offsets([partition])[partition]
        end = self._client.end_offsets([partition])[partition]
        if offset > end:
            msg = (
                f"offset {offset} lies behind the end, {end}, of {partition.topic}-"
                f"{partition.partition}: was the topic made anew? Start from earliest or latest"
            )
            raise KafkaSetupError(msg)
        self._move(partition, max(offset, first))
        return Fetched(NO_RECORDS, first, lost=first - offset) if first > offset else None


def _count(queue: Iterable[Records]) -> int:
    return sum(len(records.offsets) for records in queue)


def _taken(queue: deque[Records], limit: int) -> Records:
    """Takes up to `limit` records from the front of a queue that has some."""
    first = queue.popleft()
    while queue and len(first.offsets) < limit:
        first.extend(queue.popleft())
    if len(first.offsets) > limit:
        queue.appendleft(first.part(limit))
        first = first.part(0, limit)
    return first


_CONSUMERS: Final[dict[tuple[KafkaSettings, str | None], SharedConsumer]] = {}
_CONSUMERS_LOCK: Final = threading.Lock()


def shared_consumer(settings: KafkaSettings, group: str | None) -> SharedConsumer:
    """Returns this process's consumer for these settings."""
    key = (settings, group)
    with _CONSUMERS_LOCK:
        found = _CONSUMERS.get(key)
        if found is None:
            found = _CONSUMERS[key] = SharedConsumer(settings, group)
        return found
