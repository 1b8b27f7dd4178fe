from __future__ import annotations

import random
import threading
import time

import numpy as np
import pytest
from kafka import TopicPartition

from tests.support import Topics, wait_until
from tests.transforms.kafka.fakes import FakeConsumer
from transforms.errors import KafkaSetupError
from transforms.kafka import assigned, partition_consumer
from transforms.kafka.clients.factory import consumer
from transforms.kafka.clients.protocols import Polled
from transforms.kafka.partition_consumer import PartitionConsumer
from transforms.kafka.record_buffer import RECORD_BYTES

FIRST, SECOND = TopicPartition("topic", 0), TopicPartition("topic", 1)


def values(count: int, start: int = 0) -> list[bytes]:
    return [b"value %d" % number for number in range(start, start + count)]


def test_an_offset_behind_the_end_says_so(topics: Topics) -> None:
    topic = topics.create()
    topics.send(topic, values(3))
    reader = PartitionConsumer(consumer(topics.settings, None))
    with pytest.raises(
        KafkaSetupError, match=r"offset 100 lies behind the end .*, which ends at 3 now"
    ):
        reader.lease(TopicPartition(topic, 0), 100).read(10, 30.0)
    reader.close()


def test_a_wait_ends_when_another_partition_has_records(topics: Topics) -> None:
    topic = topics.create(partitions=2)
    idle, busy = TopicPartition(topic, 0), TopicPartition(topic, 1)
    reader = PartitionConsumer(consumer(topics.settings, None))
    assert reader.lease(idle, 0).read(10, 0.0).records.offsets == []
    assert reader.lease(busy, 0).read(10, 0.0).records.offsets == []
    sender = threading.Timer(0.3, topics.send, [topic, values(3), 1])
    sender.start()
    start = time.monotonic()
    assert reader.lease(idle, 0).read(10, 30.0).records.offsets == []
    assert time.monotonic() - start < 20
    sender.join()
    found: list[bytes | None] = []
    while len(found) < 3:
        fetched = reader.lease(busy, len(found)).read(10, 30.0)
        found.extend(fetched.records.values)
    assert found == values(3)
    reader.close()


def test_a_read_can_go_back_to_where_a_failed_bundle_began(topics: Topics) -> None:
    topic = topics.create()
    topics.send(topic, values(50))
    partition = TopicPartition(topic, 0)
    reader = PartitionConsumer(consumer(topics.settings, None))
    first = reader.lease(partition, 0).read(20, 30.0)
    assert first.records.offsets == list(range(20))
    for start in (5, 30, 0, 49, 7):
        again = reader.lease(partition, start).read(10, 30.0)
        expected = list(range(start, min(start + 10, 50)))
        assert again.records.offsets == expected
        assert again.next_offset == expected[-1] + 1
    reader.close()


def test_going_back_again_and_again_never_skips_what_was_fetched_ahead(topics: Topics) -> None:
    topic = topics.create(partitions=2)
    for number in range(2):
        topics.send(topic, values(20_000), partition=number)
    random = np.random.default_rng(0)
    reader = PartitionConsumer(consumer(topics.settings, None))
    for start, number in zip(
        random.integers(19_000, size=12).tolist(), random.integers(2, size=12).tolist(), strict=True
    ):
        position = start
        while position < start + 500:
            fetched = reader.lease(TopicPartition(topic, number), position).read(300, 30.0)
            offsets = fetched.records.offsets
            assert offsets == list(range(position, position + len(offsets)))
            assert fetched.records.values == values(len(offsets), position)
            position = fetched.next_offset
    reader.close()


def test_the_end_is_known_only_when_the_broker_has_nothing_more(topics: Topics) -> None:
    topic = topics.create()
    partition = TopicPartition(topic, 0)
    reader = PartitionConsumer(consumer(topics.settings, None))
    for start in (0, 3, 6):

        def at_end(start: int = start) -> bool:
            return reader.lease(partition, start).read(10, 0.2).at_end

        wait_until(at_end)
        topics.send(topic, values(3))
        position = start
        while position < start + 3:
            fetched = reader.lease(partition, position).read(10, 30.0)
            assert fetched.records.offsets[0] == position
            assert not fetched.at_end
            position = fetched.next_offset
    reader.close()


def test_a_partition_that_is_read_no_more_does_not_keep_others_from_waiting(
    topics: Topics,
) -> None:
    topic = topics.create(partitions=2)
    topics.send(topic, values(3000), partition=0)
    done, idle = TopicPartition(topic, 0), TopicPartition(topic, 1)
    reader = PartitionConsumer(consumer(topics.settings, None))
    lease = reader.lease(done, 0)
    while lease.position < 1000:
        lease.read(500, 5.0)
    lease.unassign()
    start = time.monotonic()
    assert reader.lease(idle, 0).read(10, 1.0).records.offsets == []
    assert time.monotonic() - start >= 0.9
    assert reader.lease(done, 1000).read(1, 5.0).records.offsets == [1000]
    reader.close()


def test_threads_share_a_consumer(topics: Topics) -> None:
    topic = topics.create(partitions=3)
    for number in range(3):
        topics.send(topic, values(3000, start=number * 10_000), partition=number)
    reader = PartitionConsumer(consumer(topics.settings, None))
    found: dict[int, list[bytes | None]] = {0: [], 1: [], 2: []}

    def drain(number: int) -> None:
        position = 0
        while position < 3000:
            fetched = reader.lease(TopicPartition(topic, number), position).read(100, 1.0)
            found[number].extend(fetched.records.values)
            position = fetched.next_offset

    threads = [threading.Thread(target=drain, args=[number]) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert found == {n: values(3000, start=n * 10_000) for n in range(3)}
    reader.close()


def test_commits_are_the_groups(topics: Topics) -> None:
    topic = topics.create()
    topics.send(topic, values(9))
    partition = TopicPartition(topic, 0)
    reader = PartitionConsumer(consumer(topics.settings, f"g-{topic}"))
    reader.lease(partition, 0).read(5, 30.0)
    reader.commit(partition, 5, final=False)
    reader.commit(partition, 6, final=False)
    reader.close()
    client = consumer(topics.settings, f"g-{topic}")
    assert client.committed([partition]) == {partition: 6}
    client.close()


def test_a_commit_is_due_once_a_second_for_each_partition(topics: Topics) -> None:
    reader = PartitionConsumer(consumer(topics.settings, "group"))
    first, second = TopicPartition("t", 0), TopicPartition("t", 1)
    assert [reader.commit_is_due(one) for one in (first, first, second)] == [True, False, True]
    time.sleep(1.0)
    assert reader.commit_is_due(first)
    reader.close()


@pytest.mark.parametrize("seed", range(3))
def test_no_reader_is_ever_told_to_go_on_past_records_that_it_did_not_get(seed: int) -> None:
    """Readers of the same partitions, at random offsets, in several threads."""
    generator = random.Random(seed)
    log = [offset for offset in range(3000) if generator.random() < 0.8]
    fake = FakeConsumer({FIRST: log, SECOND: log}, pause_seconds=0.002)
    reader = PartitionConsumer(fake)
    wrong: list[object] = []

    def read(number: int) -> None:
        choices = random.Random(100 * seed + number)
        try:
            for _ in range(40):
                position = choices.choice(log)
                lease = reader.lease((FIRST, SECOND)[number % 2], position)
                for _ in range(choices.randrange(1, 4)):
                    fetched = lease.read(choices.randrange(1, 20), choices.choice([0.0, 0.004]))
                    expected = [at for at in log if position <= at < fetched.next_offset]
                    if fetched.records.offsets != expected or lease.position != fetched.next_offset:
                        wrong.append((position, fetched))
                    position = fetched.next_offset
        except BaseException as e:
            wrong.append(e)

    threads = [threading.Thread(target=read, args=[number]) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert wrong == []
    assert fake.polled > 0


def test_a_newer_reader_takes_the_lease_over_and_the_older_one_gets_nothing() -> None:
    reader = PartitionConsumer(FakeConsumer({FIRST: range(1000)}))
    older = reader.lease(FIRST, 100)
    assert older.read(5, 1.0).records.offsets == [100, 101, 102, 103, 104]
    newer = reader.lease(FIRST, 0)
    assert newer.read(3, 1.0).records.offsets == [0, 1, 2]
    fetched = older.read(5, 1.0)
    assert (fetched.records.offsets, fetched.next_offset, fetched.at_end) == ([], 105, False)
    assert reader.idle_seconds == 0
    older.unassign()
    older.close()
    assert newer.read(3, 1.0).records.offsets == [3, 4, 5]


def test_a_reader_that_waits_gives_way_to_a_newer_one() -> None:
    fake = FakeConsumer({FIRST: range(1000)}, pause_seconds=0.05)
    reader = PartitionConsumer(fake)
    older, found = reader.lease(FIRST, 1000), []
    waiting = threading.Thread(target=lambda: found.append(older.read(5, 60.0)))
    waiting.start()
    wait_until(lambda: FIRST in fake.assigned)
    assert reader.lease(FIRST, 10).read(2, 60.0).records.offsets == [10, 11]
    waiting.join(timeout=30)
    assert [(one.records.offsets, one.next_offset) for one in found] == [([], 1000)]


def test_what_was_fetched_ahead_is_there_for_the_next_lease() -> None:
    fake = FakeConsumer({FIRST: range(1000)}, chunk=500)
    reader = PartitionConsumer(fake)
    for start in range(0, 500, 50):
        with reader.lease(FIRST, start) as lease:
            assert lease.read(50, 1.0).records.offsets == list(range(start, start + 50))
    assert fake.polled == 500
    assert reader.buffered_bytes == 0


def test_what_is_buffered_is_bounded_in_bytes_for_each_partition(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(partition_consumer, "PARTITION_BYTES", 50_000)
    fake = FakeConsumer(
        {FIRST: range(10_000), SECOND: range(10_000)}, lambda offset: b"x" * 1000, chunk=10
    )
    reader = PartitionConsumer(fake)
    reader.lease(FIRST, 0).read(1, 1.0)
    lease, most = reader.lease(SECOND, 0), 0
    for _ in range(500):
        lease.read(10, 1.0)
        most = max(most, reader.buffered_bytes)
    assert 50_000 <= most < 50_000 + 2 * 10 * (1000 + RECORD_BYTES)
    assert FIRST in fake.paused
    assert reader.lease(FIRST, 1).read(10_000, 1.0).records.offsets[0] == 1


def test_what_is_buffered_is_bounded_in_bytes_for_all_partitions_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(partition_consumer, "TOTAL_BYTES", 100_000)
    partitions = [TopicPartition("topic", number) for number in range(40)]
    fake = FakeConsumer(
        dict.fromkeys(partitions, range(10_000)), lambda offset: b"x" * 1000, chunk=2
    )
    reader = PartitionConsumer(fake)
    poll_bytes = 40 * 2 * (1000 + RECORD_BYTES)
    found = dict.fromkeys(partitions, 0)
    for _ in range(30):
        for partition in partitions:
            with reader.lease(partition, found[partition]) as lease:
                offsets = lease.read(5, 1.0).records.offsets
            assert offsets == list(range(found[partition], found[partition] + len(offsets)))
            found[partition] += len(offsets)
            assert reader.buffered_bytes < 100_000 + poll_bytes
    assert min(found.values()) > 50


def test_a_partition_that_nobody_reads_is_unassigned(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeConsumer({FIRST: range(1000), SECOND: range(1000)})
    reader = PartitionConsumer(fake)
    reader.lease(FIRST, 0).read(5, 1.0)
    lease = reader.lease(SECOND, 0)
    lease.read(5, 1.0)
    assert set(fake.assigned) == {FIRST, SECOND}
    monkeypatch.setattr(partition_consumer, "IDLE_SECONDS", 0.05)
    time.sleep(0.06)
    wait_until(lambda: not lease.read(100, 0.0).records.offsets or set(fake.assigned) == {SECOND})
    assert set(fake.assigned) == {SECOND}
    again = reader.lease(FIRST, 5)
    wait_until(lambda: again.read(5, 1.0).records.offsets == [5, 6, 7, 8, 9])


def test_a_thread_that_reads_all_partitions_in_turns_does_not_wait_for_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(partition_consumer, "_GRACE_SECONDS", 60.0)
    fake = FakeConsumer({FIRST: range(1000), SECOND: []}, chunk=100)
    reader = PartitionConsumer(fake)
    idle = reader.lease(SECOND, 0)
    reader.lease(FIRST, 0).read(1, 1.0)
    start = time.monotonic()
    assert idle.read(10, 60.0).records.offsets == []
    assert time.monotonic() - start < 30


def test_a_log_that_was_cut_off_and_written_anew_is_not_read_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fake = FakeConsumer({FIRST: range(1000)})
    reader = PartitionConsumer(fake)
    lease = reader.lease(FIRST, 0)
    assert lease.read(7, 1.0).next_offset == 7
    monkeypatch.setattr(fake, "poll", lambda seconds: Polled({}, {FIRST}, {FIRST}))
    with pytest.raises(KafkaSetupError, match="offset 7 lies behind the end"):
        lease.read(7, 1.0)


def test_threads_that_read_in_turns_do_not_wait_for_each_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(partition_consumer, "_GRACE_SECONDS", 3600.0)
    reader = PartitionConsumer(FakeConsumer({FIRST: [], SECOND: list(range(100))}))
    for _ in range(3):
        with reader.lease(SECOND, 0) as lease:
            lease.read(1, 0.05)

    def read_idle() -> None:
        with reader.lease(FIRST, 0) as lease:
            for _ in range(3):
                lease.read(1, 0.05)

    turn = threading.Thread(target=read_idle, daemon=True)
    turn.start()
    turn.join(timeout=60)
    assert not turn.is_alive()
    reader.close()


def test_a_second_read_gathers_enough_records(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assigned, "GATHER_SECONDS", 3600.0)
    monkeypatch.setattr(assigned, "ENOUGH_RECORDS", 21)
    lease = PartitionConsumer(FakeConsumer({FIRST: range(120)})).lease(FIRST, 0)
    assert lease.read(100, 1.0).records.offsets == list(range(7))
    assert lease.read(100, 60.0).records.offsets == list(range(7, 28))


def test_a_second_read_gathers_records(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assigned, "GATHER_SECONDS", 3600.0)
    reader = PartitionConsumer(FakeConsumer({FIRST: range(120)}))
    lease = reader.lease(FIRST, 0)
    assert lease.read(98, 1.0).records.offsets == list(range(7))
    assert lease.read(98, 60.0).records.offsets == list(range(7, 105))
    fetched = lease.read(98, 0.05)
    assert (fetched.records.offsets, fetched.next_offset, fetched.at_end) == ([], 105, False)
    assert reader.idle_seconds == 0
    start = time.monotonic()
    reader.wait(0.05, 98)
    assert time.monotonic() - start >= 0.05
    monkeypatch.setattr(assigned, "GATHER_SECONDS", 0.0)
    reader.wait(60.0, 98)
    assert lease.read(98, 0.0).records.offsets == list(range(105, 120))
    assert reader.idle_seconds > 0


def test_while_one_partition_gathers_the_others_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assigned, "GATHER_SECONDS", 3600.0)
    reader = PartitionConsumer(FakeConsumer({FIRST: range(50), SECOND: range(50)}))
    lease = reader.lease(FIRST, 0)
    assert lease.read(100, 1.0).records.offsets == list(range(7))
    # The first poll after a seek has nothing of it yet.
    assert reader.lease(SECOND, 0).read(100, 0.0).records.offsets == []
    start = time.monotonic()
    assert lease.read(100, 60.0).records.offsets == []
    assert time.monotonic() - start < 30
    assert reader.lease(SECOND, 0).read(100, 1.0).records.offsets == list(range(7))
    reader.close()
