"""One client for all partitions that a source reads in this process, under leases.

A client for each partition would make a runner that works in turns wait at each idle one
while the others have records. Here a wait for one partition fetches for all, and ends when
another has something. Partitions stay assigned between two leases: assigning anew would discard
what was fetched, and can starve a slow reader forever.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Collection, Mapping
from typing import Final

from kafka import TopicPartition

from transforms.kafka.assigned import Assigned, AssignedPartitions
from transforms.kafka.clients.protocols import NO_RECORDS, Consumer
from transforms.kafka.group_offsets import GroupOffsets
from transforms.kafka.lost_records import first_left
from transforms.kafka.partition_lease import Fetched, OpenLeases, PartitionLease
from transforms.kafka.topic_watch import TopicWatch
from transforms.kafka.topics import TopicSelection

PARTITION_BYTES: Final = 16 << 20
"""A partition with this many buffered bytes is paused."""
TOTAL_BYTES: Final = 64 << 20
"""With this many in the whole process, every partition that has buffered records is paused."""
IDLE_SECONDS: Final = 60.0
"""A partition that nobody has read for so long is unassigned."""
_POLL_SECONDS: Final = 0.2
_GRACE_SECONDS: Final = 0.005
_SLICE_SECONDS: Final = 0.01
# For a thread that reads several sources in turns: the others must not wait for an idle one.
_BUSY_WAIT_SECONDS: Final = 0.02
_IDLE_WAIT_SECONDS: Final = 0.25
_RECENT_SECONDS: Final = 5.0


class PartitionConsumer:
    """Reads the partitions of one source. Thread-safe.

    Args:
        client: Used by nobody else.
        neighbors: Returns all consumers of this process, this one included: they share the bound
            on memory.
        watch: Tells when reading cannot go on; None if nobody does.
        group: Whose offsets are committed; None for nobody's.

    Attributes:
        had_records: Whether the last read gave any.
    """

    def __init__(
        self,
        client: Consumer,
        neighbors: Callable[[], Collection[PartitionConsumer]] | None = None,
        watch: TopicWatch | None = None,
        group: str | None = None,
    ) -> None:
        self._client = client
        self._watch = watch
        self._neighbors = neighbors or (lambda: (self,))
        self._condition = threading.Condition()
        self._polling = False
        self._closed = False
        self._assigned = AssignedPartitions()
        self._leases = OpenLeases()
        self._offsets = GroupOffsets(client, group)
        self._read_at = self._polled_at = -math.inf
        self._came_at = time.monotonic()
        self._thread = 0
        self.had_records = False

    @property
    def partitions(self) -> int:
        """Number of partitions that are being read."""
        return max(1, len(self._assigned))

    @property
    def buffered_bytes(self) -> int:
        """Bytes that were fetched and that nobody has read."""
        return self._assigned.buffered

    def require_topic(self, topic: str, topic_id: str) -> None:
        """Makes reads fail when the topic is deleted, or created anew.

        Raises:
            KafkaSetupError: It has been already.
        """
        if self._watch is not None:
            self._watch.require(topic, topic_id)

    def discover(self, selection: TopicSelection) -> Mapping[str, int]:
        """Returns how many partitions each selected topic has, as far as is known by now."""
        return self._watch.discover(selection) if self._watch is not None else {}

    def topic_id(self, topic: str) -> str:
        """Returns the id of a topic that `require_topic` was called for; empty if none is known."""
        return self._watch.topic_id(topic) if self._watch is not None else ""

    def wait(self, seconds: float, limit: int) -> None:
        """Fetches until `limit` records of a partition are to be taken, or the time is over."""
        deadline = time.monotonic() + self._shortened(seconds)
        with self._condition:
            while not self._assigned.is_any_ready(limit):
                if self._watch is not None:
                    self._watch.raise_failure()
                left = deadline - time.monotonic()
                if left <= 0 or self._closed:
                    return
                if self._polling or not self._assigned:
                    self._condition.wait(min(left, _POLL_SECONDS))
                else:
                    self._fetch(min(left, _POLL_SECONDS))

    @property
    def idle_seconds(self) -> float:
        """How long nothing has come, and all that came has been read."""
        return 0.0 if self._assigned.buffered else time.monotonic() - self._came_at

    def is_read_by(self, thread: int) -> bool:
        """Returns whether that thread was the last to read it, within the last seconds."""
        return self._thread == thread and time.monotonic() - self._read_at < _RECENT_SECONDS

    def known_end(self, partition: TopicPartition) -> int | None:
        """Returns the partition's end when records last came; None if none have."""
        assigned = self._assigned.get(partition)
        return assigned.end if assigned is not None else None

    def lease(self, partition: TopicPartition, offset: int) -> PartitionLease:
        """Returns the right to read a partition from an offset on; it ends any earlier one."""
        lease = PartitionLease(self, partition, offset)
        with self._condition:
            self._leases.open(lease)
            self._condition.notify_all()
        return lease

    def read(self, lease: PartitionLease, limit: int, wait_seconds: float) -> Fetched:
        """See `PartitionLease.read`."""
        deadline = time.monotonic() + self._shortened(wait_seconds)
        with self._condition:
            asked = yielded = False
            while (assigned := self._assigned_to(lease)) is not None:
                if self._watch is not None:
                    self._watch.raise_failure()
                assigned.touch()
                if self._assigned.is_ready(assigned, limit):
                    return self._take(lease, assigned, limit)
                if assigned.out_of_range and not assigned.buffer and not self._polling:
                    lost = self._step_over_lost(lease, assigned)
                    if lost:
                        return lost
                left = deadline - time.monotonic()
                if asked and left <= 0:
                    return self._nothing(lease, assigned)
                pause = max(0.0, min(left, _POLL_SECONDS))
                if assigned.buffer:
                    pause = min(pause, self._assigned.gathers_for(assigned, limit))
                others = self._assigned.readers_with_records(lease.partition, limit)
                waiting = others if asked else set()
                if waiting:
                    # Grace is for other threads. Where one reads at a time, whichever it is, the
                    # other partitions get their turn by its return.
                    alone = waiting == {threading.get_ident()}
                    if yielded or alone or not self._leases.were_shared(_RECENT_SECONDS):
                        return self._nothing(lease, assigned)
                    yielded = True
                    self._condition.wait(_GRACE_SECONDS)
                elif self._polling:
                    self._condition.wait(pause + 0.001)
                    asked = True
                else:
                    self._fetch(0.0 if others else pause)
                    asked = True
            return Fetched(NO_RECORDS, lease.position)

    def commit(self, partition: TopicPartition, offset: int, *, final: bool) -> None:
        """See `GroupOffsets.commit`."""
        if self._offsets.is_committed(partition, offset):
            return
        with self._condition:
            self._condition.wait_for(lambda: not self._polling)
            # A runner may call a bundle final after it has torn its DoFns down.
            if not self._closed:
                self._offsets.commit(partition, offset, final=final)

    def commit_is_due(self, partition: TopicPartition) -> bool:
        """See `GroupOffsets.is_due`."""
        return self._offsets.is_due(partition)

    def unassign(self, lease: PartitionLease) -> None:
        """See `PartitionLease.unassign`."""
        with self._condition:
            self._condition.wait_for(lambda: not self._polling)
            if self._leases.get(lease.partition) is lease and lease.partition in self._assigned:
                self._unassign(lease.partition)

    def end(self, lease: PartitionLease) -> None:
        """See `PartitionLease.close`."""
        with self._condition:
            if self._leases.get(lease.partition) is lease:
                del self._leases[lease.partition]

    def close(self) -> None:
        """Disconnects from the brokers."""
        if self._watch is not None:
            self._watch.close()
        with self._condition:
            self._condition.wait_for(lambda: not self._polling)
            self._closed = True
            self._leases.clear()
            self._assigned.drop_all()
            self._client.close()

    def _assigned_to(self, lease: PartitionLease) -> Assigned | None:
        """Returns the partition at the lease's position; None if the lease was taken over."""
        partition = lease.partition
        while self._leases.get(partition) is lease:
            assigned = self._assigned.get(partition)
            if assigned is not None and assigned.position == lease.position:
                return assigned
            if self._polling:
                # Anything may have happened until the lock is back, so it is all checked again.
                self._condition.wait(_POLL_SECONDS)
            else:
                self._seek(partition, lease.position)
        return None

    def _seek(self, partition: TopicPartition, offset: int) -> None:
        self._client.seek(partition, offset)
        self._assigned.start(partition, offset)

    def _unassign(self, partition: TopicPartition) -> None:
        self._assigned.drop(partition)
        self._client.unassign(partition)

    def _take(self, lease: PartitionLease, assigned: Assigned, limit: int) -> Fetched:
        records = self._assigned.take(assigned, limit)
        lease.position = assigned.position
        self.had_records = True
        return Fetched(records, lease.position)

    def _nothing(self, lease: PartitionLease, assigned: Assigned) -> Fetched:
        """Moves past offsets that deliver nothing: aborted, compacted, transaction markers."""
        self.had_records = bool(assigned.buffer)
        if self._polling or assigned.buffer or assigned.out_of_range:
            return Fetched(NO_RECORDS, lease.position)
        position, at_end = self._client.progress(lease.partition)
        lease.position = assigned.position = max(lease.position, position)
        return Fetched(NO_RECORDS, lease.position, at_end=at_end)

    def _shortened(self, wait_seconds: float) -> float:
        """Returns how long to wait if this thread reads other sources as well."""
        thread = threading.get_ident()
        others = [one for one in self._neighbors() if one is not self and one.is_read_by(thread)]
        self._read_at, self._thread = time.monotonic(), thread
        if any(other.had_records for other in others):
            return min(wait_seconds, _BUSY_WAIT_SECONDS)
        return min(wait_seconds, _IDLE_WAIT_SECONDS) if others else wait_seconds

    def _fetch(self, seconds: float) -> None:
        """Polls for that long, or, while records gather, now and then, as a poll ends at one."""
        gathered = self._assigned.buffered
        if not gathered:
            self._poll(seconds)
            return
        # A poll wakes the threads that wait; without this they would make each other poll.
        left = self._polled_at + _SLICE_SECONDS - time.monotonic()
        if left <= 0 or seconds <= 0:
            self._poll(0.0)
            left = _SLICE_SECONDS if self._assigned.buffered == gathered else 0.0
        if left > 0:
            self._condition.wait(min(seconds, left))

    def _poll(self, seconds: float) -> None:
        self._unassign_idle()
        self._client.pause(self._to_pause())
        self._polling = True
        self._polled_at = time.monotonic()
        self._condition.release()
        try:
            polled = self._client.poll(seconds)
        finally:
            self._condition.acquire()
            self._polling = False
            self._condition.notify_all()
        self._assigned.add(polled)
        for partition in self._assigned.keys() & polled.records.keys():
            self._assigned[partition].end = self._client.known_end(partition)
            self._came_at = time.monotonic()

    def _unassign_idle(self) -> None:
        for partition in self._assigned.not_read_since(time.monotonic() - IDLE_SECONDS):
            self._unassign(partition)

    def _to_pause(self) -> set[TopicPartition]:
        full = sum(one.buffered_bytes for one in self._neighbors()) >= TOTAL_BYTES
        return self._assigned.to_pause(1 if full else PARTITION_BYTES)

    def _step_over_lost(self, lease: PartitionLease, assigned: Assigned) -> Fetched | None:
        """Goes on at the first record that is left; None if no record was lost."""
        offset = lease.position
        first = first_left(
            self._client, self._watch, lease.partition, offset, truncated=assigned.truncated
        )
        lease.position = max(offset, first)
        self._seek(lease.partition, lease.position)
        return Fetched(NO_RECORDS, first, lost=first - offset) if first > offset else None
