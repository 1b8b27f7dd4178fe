from __future__ import annotations

import time

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
    assert made.is_ready(made[FIRST], 10)
    made.take(made[FIRST], 10)
    return made


def test_after_a_read_records_gather_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assigned, "GATHER_SECONDS", 3600.0)
    made = partitions()
    made.add(Polled({FIRST: records(1, 9)}))
    assert not made.is_ready(made[FIRST], 10)
    assert made.gathers_for(made[FIRST], 10) > 3000
    assert made.readers_with_records(SECOND, 10) == set()
    assert not made.is_any_ready(10)
    monkeypatch.setattr(assigned, "GATHER_SECONDS", 0.0)
    monkeypatch.setattr(assigned, "GATHER_SECONDS_EACH", 0.0)
    assert made.is_ready(made[FIRST], 10)


def test_as_many_as_are_read_at_once_need_not_gather(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assigned, "GATHER_SECONDS", 3600.0)
    made = partitions()
    made.add(Polled({FIRST: records(1, 4)}))
    made.add(Polled({FIRST: records(5, 6)}))
    assert made.is_ready(made[FIRST], 10)
    assert made.readers_with_records(SECOND, 10) == {made[FIRST].thread}
    assert made.take(made[FIRST], 4).offsets == [1, 2, 3, 4]
    assert made.take(made[FIRST], 4).offsets == [5, 6, 7, 8]
    assert len(made[FIRST].buffer) == 2
    assert not made.is_ready(made[FIRST], 4)


def test_a_partition_without_records_is_never_ready() -> None:
    made = partitions()
    assert not made.is_ready(made[SECOND], 1)
    assert not made.is_any_ready(1)


@pytest.mark.parametrize(("count", "seconds"), [(1, 0.03), (3, 0.03), (8, 0.08), (200, 0.5)])
def test_the_more_partitions_there_are_the_longer_records_gather(
    count: int, seconds: float
) -> None:
    made = AssignedPartitions()
    for number in range(count):
        made.start(TopicPartition("topic", number), 0)
    made.add(Polled({FIRST: records(0, 1)}))
    made.take(made[FIRST], 10)
    taken_at = made[FIRST].taken_at
    made.add(Polled({FIRST: records(1, 1)}))
    left = made.gathers_for(made[FIRST], 10)
    elapsed = time.monotonic() - taken_at
    assert left <= seconds <= left + elapsed + 1e-9 or elapsed > seconds


def test_partitions_are_read_in_rounds_each_of_them_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assigned, "GATHER_SECONDS", 3600.0)
    made = partitions()
    made.add(Polled({FIRST: records(1, 2), SECOND: records(0, 2)}))
    assert not made.is_ready(made[FIRST], 10)
    assert made.is_ready(made[SECOND], 10)
    made.take(made[SECOND], 1)
    assert not made.is_ready(made[SECOND], 10)
    first, second = (made.gathers_for(made[one], 10) for one in (FIRST, SECOND))
    assert second <= first < second + 1.0, "the round ends for both at once"
