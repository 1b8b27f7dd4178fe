"""A Kafka client without a broker, for tests of what stands behind the clients."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from kafka import TopicPartition

from transforms.kafka.clients.protocols import Polled, Records


class FakeConsumer:
    """A `protocols.Consumer` of a fixed log; refuses to be used by two threads at once.

    The first poll after a seek gives nothing for that partition, as a fetch takes its time.

    Args:
        log: The offsets of each partition's records.
        value: Returns the value of the record at an offset.
        chunk: Most records of a partition in one poll.
        pause_seconds: How long each poll takes.

    Attributes:
        polled: How many records were handed out.
        assigned: Positions of the partitions that are assigned.
        paused: Partitions that are paused.
        closed: Whether it was closed.
        commits: The offsets that were committed.
    """

    def __init__(
        self,
        log: Mapping[TopicPartition, Sequence[int]],
        value: Callable[[int], bytes] = lambda offset: b"%d" % offset,
        chunk: int = 7,
        pause_seconds: float = 0.0,
    ) -> None:
        self.log = log
        self.polled = 0
        self.assigned: dict[TopicPartition, int] = {}
        self.paused: set[TopicPartition] = set()
        self.closed = False
        self.commits: list[int] = []
        self._value = value
        self._chunk = chunk
        self._pause_seconds = pause_seconds
        self._sought: set[TopicPartition] = set()
        self._used = threading.Lock()

    @contextmanager
    def _alone(self) -> Any:
        assert self._used.acquire(blocking=False), "two threads use one client"
        try:
            yield
        finally:
            self._used.release()

    def partitions_for_topic(self, topic: str) -> list[int]:
        return sorted(one.partition for one in self.log if one.topic == topic)

    def beginning_offsets(
        self, partitions: Collection[TopicPartition]
    ) -> dict[TopicPartition, int]:
        return dict.fromkeys(partitions, 0)

    def end_offsets(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        return {one: self._end(one) for one in partitions}

    def offsets_at(
        self, partitions: Collection[TopicPartition], seconds: float
    ) -> dict[TopicPartition, int | None]:
        return dict.fromkeys(partitions)

    def committed(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int | None]:
        return dict.fromkeys(partitions)

    def seek(self, partition: TopicPartition, offset: int) -> None:
        with self._alone():
            self.assigned[partition] = offset
            self._sought.add(partition)

    def unassign(self, partition: TopicPartition) -> None:
        with self._alone():
            del self.assigned[partition]
            self.paused.discard(partition)

    def pause(self, partitions: Collection[TopicPartition]) -> None:
        with self._alone():
            self.paused = set(partitions)

    def poll(self, seconds: float) -> Polled:
        with self._alone():
            time.sleep(self._pause_seconds)
            found = {}
            for partition, position in self.assigned.items():
                offsets = [at for at in self.log[partition] if at >= position][: self._chunk]
                if offsets and partition not in self.paused | self._sought:
                    found[partition] = Records(
                        offsets,
                        [self._value(at) for at in offsets],
                        [0] * len(offsets),
                        [None] * len(offsets),
                        [()] * len(offsets),
                    )
                    self.polled += len(offsets)
            self._sought.clear()
            for partition, records in found.items():
                self.assigned[partition] = records.offsets[-1] + 1
            if not found and seconds > 0:
                time.sleep(min(seconds, 0.01))
            return Polled(found)

    def known_end(self, partition: TopicPartition) -> int | None:
        return self._end(partition)

    def progress(self, partition: TopicPartition) -> tuple[int, bool]:
        with self._alone():
            position = self.assigned[partition]
            if any(at >= position for at in self.log[partition]):
                return position, False
            return max(position, self._end(partition)), True

    def commit(self, partition: TopicPartition, offset: int, *, wait: bool) -> bool:
        self.commits.append(offset)
        return True

    def close(self) -> None:
        self.closed = True

    def _end(self, partition: TopicPartition) -> int:
        return self.log[partition][-1] + 1 if self.log[partition] else 0
