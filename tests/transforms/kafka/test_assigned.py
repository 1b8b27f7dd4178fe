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


@pytest.mark.parametrize(
    ("count", "idle", "seconds"),
    [(1, 0, 0.03), (3, 0, 0.03), (8, 0, 0.08), (8, 90, 0.08), (99, 0, 0.5)],
)
def test_the_more_partitions_have_records_the_longer_they_gather(
    count: int, idle: int, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr("transforms.kafka.assigned.time.monotonic", lambda: now)
    made = AssignedPartitions()
    for number in range(count + idle):
        made.start(TopicPartition("topic", number), 0)
    busy = list(made)[:count]
    for number in range(2):
        made.add(Polled({one: records(number, 1) for one in busy}))
        for one in busy:
            assert made.is_ready(made[one], 10)
            made.take(made[one], 10)
        now += 10.0
    now -= 10.0
    made.add(Polled({FIRST: records(2, 1)}))
    assert made.gathers_for(made[FIRST], 10) == pytest.approx(seconds)
    now += 0.99 * seconds
    assert not made.is_ready(made[FIRST], 10)
    now += 0.02 * seconds
    assert made.is_ready(made[FIRST], 10)


def test_partitions_are_read_in_rounds_each_of_them_once(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("transforms.kafka.assigned.time.monotonic", lambda: now)
    made = partitions()
    made.add(Polled({FIRST: records(1, 2), SECOND: records(0, 2)}))
    now += 0.01
    assert not made.is_ready(made[FIRST], 10)
    assert made.is_ready(made[SECOND], 10)
    made.take(made[SECOND], 1)
    assert not made.is_ready(made[SECOND], 10)
    now += 0.021
    assert made.is_ready(made[FIRST], 10)
    assert made.is_ready(made[SECOND], 10)
    made.take(made[FIRST], 1)
    assert not made.is_ready(made[FIRST], 10)
    assert made.is_ready(made[SECOND], 10)
