"""What is left of a partition whose next record is gone, deleted or lost."""

from __future__ import annotations

from kafka import TopicPartition

from transforms.errors import KafkaSetupError
from transforms.kafka.clients.protocols import Consumer
from transforms.kafka.topic_watch import TopicWatch


def first_left(
    client: Consumer,
    watch: TopicWatch | None,
    partition: TopicPartition,
    offset: int,
    *,
    truncated: bool,
) -> int:
    """Returns the partition's first offset, which lies behind `offset` if records were lost.

    Args:
        client: Asks the broker.
        watch: Tells a new topic of the same name, which has lost nothing.
        partition: The partition.
        offset: What was to be read next, and cannot be.
        truncated: Whether the broker cut the log off before it.

    Raises:
        KafkaSetupError: The offset lies behind the end, or the topic is no longer the same.
    """
    if watch is not None:
        watch.check()
        watch.raise_failure()
    first = client.beginning_offsets([partition])[partition]
    end = client.end_offsets([partition])[partition]
    if offset > end or truncated:
        msg = (
            f"offset {offset} lies behind the end of the log of {partition.topic}-"
            f"{partition.partition}, which ends at {end} now: the brokers lost records, or the"
            " topic was created anew; start the job again with --start_offset earliest or"
            " latest"
        )
        raise KafkaSetupError(msg)
    return first
