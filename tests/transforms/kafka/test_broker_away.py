from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from kafka import TopicPartition

from cluster.broker import Broker
from transforms.kafka.clients.factory import KafkaSettings, consumer, producer, require_topics
from transforms.kafka.clients.protocols import Message
from transforms.kafka.partition_consumer import PartitionConsumer

PARTITION = TopicPartition("topic", 0)


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[Broker]:
    broker = Broker(tmp_path / "broker")
    broker.start()
    yield broker
    broker.kill()


def numbers(start: int, stop: int) -> list[Message]:
    return [Message(b"key", b"%d" % number) for number in range(start, stop)]


def read_values(reader: PartitionConsumer, start: int, count: int) -> list[bytes | None]:
    found: list[bytes | None] = []
    while len(found) < count:
        found.extend(reader.lease(PARTITION, start + len(found)).read(count, 1.0).records.values)
    return found


def test_a_broker_that_dies_and_comes_back_is_waited_for(mortal: Broker, client: str) -> None:
    settings = KafkaSettings(mortal.address, client=client)
    require_topics(settings, {"topic": 1}, create=True)
    made = producer(settings)
    reader = PartitionConsumer(consumer(settings, "group"))
    sender = made.sender("topic")
    sender.send(numbers(0, 10))
    sender.flush()
    assert read_values(reader, 0, 10) == [b"%d" % number for number in range(10)]
    mortal.kill()
    sender.send(numbers(10, 500))
    with ThreadPoolExecutor(1) as thread:
        flushed = thread.submit(sender.flush)
        assert reader.lease(PARTITION, 10).read(10, 2.0).records.offsets == []
        reader.commit(PARTITION, 10, final=False)
        assert not flushed.done()
        mortal.start()
        flushed.result(timeout=120)
    # Once each, and in order: the producer is idempotent.
    assert read_values(reader, 10, 490) == [b"%d" % number for number in range(10, 500)]
    assert reader.lease(PARTITION, 500).read(10, 1.0).records.offsets == []
    reader.close()
    made.close()
