from __future__ import annotations

import threading
import time

import pytest
from kafka import TopicPartition

from tests.transforms.kafka.fakes import FakeConsumer
from transforms.kafka import partition_consumer
from transforms.kafka.clients.factory import KafkaSettings
from transforms.kafka.consumer_pool import ConsumerPool, SourceKey

PARTITION = TopicPartition("topic", 0)
SETTINGS = KafkaSettings("broker:9092")
FIRST, SECOND = (SourceKey(SETTINGS, "group", source) for source in ("first", "second"))


class Fakes:
    """Makes clients, each over the same log, and keeps them."""

    def __init__(self, records: int = 1000) -> None:
        self.made: list[FakeConsumer] = []
        self._records = records

    def __call__(self, settings: KafkaSettings, group: str | None) -> FakeConsumer:
        made = FakeConsumer({PARTITION: range(self._records)}, lambda offset: b"x" * 1000, chunk=10)
        self.made.append(made)
        return made


def test_two_sources_of_one_topic_do_not_disturb_each_other() -> None:
    fakes = Fakes()
    pool = ConsumerPool(fakes)
    found: dict[SourceKey, list[int]] = {FIRST: [], SECOND: []}
    for _ in range(100):
        for key, offsets in found.items():
            with pool.lease(key, PARTITION, len(offsets)) as lease:
                offsets.extend(lease.read(10, 1.0).records.offsets)
    assert found == {FIRST: list(range(1000)), SECOND: list(range(1000))}
    # Nothing was fetched twice.
    assert [fake.polled for fake in fakes.made] == [1000, 1000]


def test_the_last_user_closes_a_consumer() -> None:
    fakes = Fakes()
    pool = ConsumerPool(fakes)
    pool.add_user(FIRST)
    pool.add_user(FIRST)
    pool.lease(FIRST, PARTITION, 0).read(5, 1.0)
    pool.remove_user(FIRST)
    assert [fake.closed for fake in fakes.made] == [False]
    pool.remove_user(FIRST)
    assert [fake.closed for fake in fakes.made] == [True]
    assert pool.buffered_bytes == 0
    # A source that comes back, as after a failed bundle, gets a new one.
    pool.add_user(FIRST)
    assert pool.lease(FIRST, PARTITION, 5).read(5, 1.0).records.offsets == [5, 6, 7, 8, 9]
    assert len(fakes.made) == 2
    pool.close()
    assert fakes.made[1].closed


def test_what_outlives_its_consumer_does_nothing() -> None:
    fakes = Fakes()
    pool = ConsumerPool(fakes)
    pool.add_user(FIRST)
    lease = pool.lease(FIRST, PARTITION, 0)
    consumer = pool.consumer(FIRST)
    pool.remove_user(FIRST)
    fetched = lease.read(5, 1.0)
    assert (fetched.records.offsets, fetched.next_offset) == ([], 0)
    consumer.commit(PARTITION, 5, final=True)
    assert fakes.made[0].commits == []


def test_a_user_that_reads_nothing_opens_nothing() -> None:
    fakes = Fakes()
    pool = ConsumerPool(fakes)
    pool.add_user(FIRST)
    pool.remove_user(FIRST)
    assert fakes.made == []


def test_the_bound_on_bytes_is_of_all_sources_together(monkeypatch: pytest.MonkeyPatch) -> None:
    fakes = Fakes()
    pool = ConsumerPool(fakes)
    pool.lease(FIRST, PARTITION, 0).read(1, 1.0)
    assert pool.buffered_bytes > 9000
    monkeypatch.setattr(partition_consumer, "TOTAL_BYTES", 9000)
    other = TopicPartition("topic", 1)
    fakes.made[0].log = {PARTITION: range(1000), other: []}
    pool.lease(FIRST, other, 0).read(1, 0.0)
    assert fakes.made[0].paused == {PARTITION}
    # Whoever needs records gets them all the same.
    assert pool.lease(SECOND, PARTITION, 0).read(1, 1.0).records.offsets == [0]


def test_an_idle_source_does_not_hold_up_another_of_the_same_thread() -> None:
    fakes = Fakes(records=50)
    pool = ConsumerPool(fakes)
    busy, idle = pool.lease(FIRST, PARTITION, 0), pool.lease(SECOND, PARTITION, 50)
    start = time.monotonic()
    for _ in range(5):
        assert busy.read(10, 60.0).records.offsets
        assert idle.read(10, 60.0).records.offsets == []
    assert time.monotonic() - start < 30
    # A thread of its own may wait.
    waited: list[float] = []

    def wait() -> None:
        begun = time.monotonic()
        pool.lease(SECOND, PARTITION, 50).read(10, 0.5)
        waited.append(time.monotonic() - begun)

    alone = threading.Thread(target=wait)
    alone.start()
    alone.join(timeout=30)
    assert waited[0] >= 0.5
