"""What benchmarks of latency do with topics: send at a rate, wait for records, read them all."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from transforms.kafka.clients.factory import KafkaSettings, consumer, partitions_of
from transforms.kafka.clients.protocols import Message, Records, Sender

_SLICE_SECONDS: Final = 0.01
_FLUSH_SECONDS: Final = 1.0
_PATIENCE: Final = 180


def send_at(
    sender: Sender,
    rate: float,
    count: int,
    messages: Callable[[int, int], Sequence[Message]],
    slice_seconds: float = _SLICE_SECONDS,
) -> None:
    """Sends messages at a rate, and flushes.

    Args:
        sender: Keeps what it has sent until it is flushed, so it is once a second.
        rate: How many a second.
        count: How many in all.
        messages: Returns those from a number on, up to another one. They are made when they are
            due, as each that orjson encodes takes kilobytes as long as it is kept.
        slice_seconds: How long it waits between two sends.
    """
    start = flushed = time.monotonic()
    sent = 0
    while sent < count:
        due = min(count, int((time.monotonic() - start + slice_seconds) * rate))
        sender.send(messages(sent, due))
        sent = due
        if time.monotonic() > flushed + _FLUSH_SECONDS:
            sender.flush()
            flushed = time.monotonic()
        time.sleep(slice_seconds)
    sender.flush()


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
