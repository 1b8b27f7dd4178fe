from __future__ import annotations

import threading
from typing import Any

from kafka import TopicPartition

from transforms.kafka.partition_lease import OpenLeases, PartitionLease

FIRST, SECOND = TopicPartition("topic", 0), TopicPartition("topic", 1)
NO_LESSOR: Any = None


def opened_elsewhere(partition: TopicPartition) -> PartitionLease:
    made = []
    thread = threading.Thread(target=lambda: made.append(PartitionLease(NO_LESSOR, partition, 0)))
    thread.start()
    thread.join()
    return made[0]


def test_leases_are_shared_while_two_threads_have_one() -> None:
    leases = OpenLeases()
    leases.open(PartitionLease(NO_LESSOR, FIRST, 0))
    leases.open(PartitionLease(NO_LESSOR, SECOND, 0))
    assert not leases.were_shared(60.0)
    leases.open(opened_elsewhere(SECOND))
    assert leases.were_shared(60.0)
    assert not leases.were_shared(0.0)


def test_leases_that_follow_each_other_are_not_shared() -> None:
    leases = OpenLeases()
    leases.open(PartitionLease(NO_LESSOR, FIRST, 0))
    del leases[FIRST]
    leases.open(opened_elsewhere(SECOND))
    assert not leases.were_shared(60.0)
