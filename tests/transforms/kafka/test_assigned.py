from __future__ import annotations

import pytest
from kafka import TopicPartition

from transforms.kafka import assigned
from transforms.kafka.assigned import AssignedPartitions
from transforms.kafka.clients.protocols import Polled, Records

FIRST, SECOND = TopicPartition("topic", 0), TopicPartition("topic", 1)


def records(start: int, count: int) -> Records:
    offsets = list(range(start, start + count))
    none: list[bytes | None] = [None] * count
    return Records(offsets, none, offsets, list(none), [()] * count)


def partitions() -> AssignedPartitions:
    """Two, of which the first had a record taken just now."""
    made = AssignedPartitions()
    made.start(FIRST, 0)
    made.start(SECOND, 0)
    made.add(Polled({FIRST: records(0, 1)}))
    assert made[FIRST].is_ready(10)
    made.take(made[FIRST], 10)
    return made


def test_after_a_read_records_gather_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assigned, "GATHER_SECONDS", 3600.0)
    made = partitions()
    made.add(Polled({FIRST: records(1, 9)}))
    assert not made[FIRST].is_ready(10)
    assert made[FIRST].gathers_for(10) > 3000
    assert made.readers_with_records(SECOND, 10) == set()
    assert not made.is_any_ready(10)
    monkeypatch.setattr(assigned, "GATHER_SECONDS", 0.0)
    assert made[FIRST].is_ready(10)


def test_as_many_as_are_read_at_once_need_not_gather(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assigned, "GATHER_SECONDS", 3600.0)
    made = partitions()
    made.add(Polled({FIRST: records(1, 4)}))
    made.add(Polled({FIRST: records(5, 6)}))
    assert made[FIRST].is_ready(10)
    assert made.readers_with_records(SECOND, 10) == {made[FIRST].thread}
    assert made.take(made[FIRST], 4).offsets == [1, 2, 3, 4]
    assert made.take(made[FIRST], 4).offsets == [5, 6, 7, 8]
    assert len(made[FIRST].buffer) == 2
    assert not made[FIRST].is_ready(4)


def test_a_partition_without_records_is_never_ready() -> None:
    made = partitions()
    assert not made[SECOND].is_ready(1)
    assert not made.is_any_ready(1)
