"""What benchmarks of latency do with topics: wait for records, and read them all."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final

from transforms.kafka.clients.factory import KafkaSettings, consumer, partitions_of
from transforms.kafka.clients.protocols import Records

_PATIENCE: Final = 180


def wait_for(settings: KafkaSettings, topic: str, count: int) -> None:
    """Returns when a topic has so many records.

    Raises:
        TimeoutError: It has fewer after minutes.
    """
    client = consumer(settings, None)
    partitions = partitions_of(client, topic, settings)
    deadline = time.monotonic() + _PATIENCE
    while sum(client.end_offsets(partitions).values()) < count:
        if time.monotonic() > deadline:
            msg = f"fewer than {count} records in {topic} after {_PATIENCE} s"
            raise TimeoutError(msg)
        time.sleep(0.2)
    client.close()


def records_of(settings: KafkaSettings, topic: str, count: int) -> Iterator[tuple[int, Records]]:
    """Yields the number of a partition and its next records, until there were so many in all.

    They come in parts, as minutes of recommendations are gigabytes.
    """
    client = consumer(settings, None)
    for partition in partitions_of(client, topic, settings):
        client.seek(partition, 0)
    left = count
    while left > 0:
        for partition, more in client.poll(1.0).records.items():
            left -= len(more.offsets)
            yield partition.partition, more
    client.close()
