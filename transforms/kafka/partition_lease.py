"""The right of one reader to read one partition."""

from __future__ import annotations

import math
import threading
import time
from typing import NamedTuple, Protocol

from kafka import TopicPartition

from transforms.kafka.clients.protocols import Records


class Fetched(NamedTuple):
    """The result of one read.

    Attributes:
        records: Empty if none came in time.
        next_offset: Where to go on; past the records, and past offsets that deliver none.
        lost: How many offsets were deleted from the topic before they could be read.
        at_end: Whether the broker has nothing more, as far as is known.
    """

    records: Records
    next_offset: int
    lost: int = 0
    at_end: bool = False


class Lessor(Protocol):
    """Gives leases, and does what they promise: a `PartitionConsumer`."""

    @property
    def partitions(self) -> int:
        """See `PartitionLease.partitions`."""
        ...

    def read(self, lease: PartitionLease, limit: int, wait_seconds: float) -> Fetched:
        """See `PartitionLease.read`."""
        ...

    def unassign(self, lease: PartitionLease) -> None:
        """See `PartitionLease.unassign`."""
        ...

    def end(self, lease: PartitionLease) -> None:
        """See `PartitionLease.close`."""
        ...


class PartitionLease:
    """The right to read one partition, from `position` on, until a newer reader takes it over.

    A reader whose lease was taken over gets nothing, and its `next_offset` stays where it is, so
    that it cannot claim records that went to its successor.

    Attributes:
        partition: The partition.
        position: The next offset that is read.
        thread: Whose lease it is.
    """

    def __init__(self, consumer: Lessor, partition: TopicPartition, offset: int) -> None:
        self.partition = partition
        self.position = offset
        self.thread = threading.get_ident()
        self._consumer = consumer

    @property
    def partitions(self) -> int:
        """Number of partitions that this source reads in this process."""
        return self._consumer.partitions

    def read(self, limit: int, wait_seconds: float) -> Fetched:
        """Returns up to `limit` records from `position` on, and moves it past them.

        Waits up to `wait_seconds` if there are none, but not while other partitions have
        records that nobody takes.

        Raises:
            KafkaSetupError: The position lies behind the end of the partition, the topic is no
                longer the same, or the brokers have been away for too long.
        """
        return self._consumer.read(self, limit, wait_seconds)

    def unassign(self) -> None:
        """Stops fetching: the partition has been read to its end."""
        self._consumer.unassign(self)

    def close(self) -> None:
        """Gives the lease back. What was fetched ahead is kept for the next one."""
        self._consumer.end(self)

    def __enter__(self) -> PartitionLease:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


class OpenLeases(dict[TopicPartition, PartitionLease]):
    """The leases that are valid, by partition."""

    def __init__(self) -> None:
        super().__init__()
        self._shared_at = -math.inf

    def open(self, lease: PartitionLease) -> None:
        """Adds a lease; it ends an earlier one of its partition."""
        if any(one.thread != lease.thread for one in self.values()):
            self._shared_at = time.monotonic()
        self[lease.partition] = lease

    def were_shared(self, seconds: float) -> bool:
        """Returns whether two threads have read at once within the last so many seconds."""
        return time.monotonic() - self._shared_at < seconds
