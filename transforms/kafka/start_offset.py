"""Where a source starts to read."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from kafka import TopicPartition

from transforms.errors import KafkaSetupError
from transforms.kafka.clients.protocols import Consumer
from transforms.kafka.partitions import origin_prefix

EARLIEST: Final = "earliest"
LATEST: Final = "latest"
COMMITTED: Final = "committed"
EXPORTED: Final = "exported"
START_OFFSETS: Final = (EARLIEST, LATEST, COMMITTED, EXPORTED)


def start_seconds(start_offset: str) -> float | None:
    """Returns the time that a start offset names, in seconds since the epoch; None for a word.

    A time is ISO 8601, in UTC unless it has another zone: `2026-11-25`, `2026-11-25T10:00:00Z`.

    Raises:
        ValueError: It is neither one of `START_OFFSETS` nor a time.
    """
    if start_offset in START_OFFSETS:
        return None
    try:
        time = datetime.datetime.fromisoformat(start_offset)
        seconds = (time if time.tzinfo else time.replace(tzinfo=datetime.UTC)).timestamp()
    except (ValueError, OverflowError):
        seconds = -1.0
    if seconds < 0:
        msg = (
            f"start_offset is {start_offset!r}, expected {', '.join(START_OFFSETS)}, or a time"
            " such as 2026-11-25T10:00:00Z"
        )
        raise ValueError(msg)
    return seconds


class StartOffset(NamedTuple):
    """Where a source starts, see `ReadRatingsFromKafka`.

    Attributes:
        start_offset: A word of `START_OFFSETS`, or a time.
        exported: By origin prefix, the offset behind what an exported model has learned.
        request_topic: The topic of requests; empty for none.
    """

    start_offset: str
    exported: Mapping[str, int]
    request_topic: str


def first_offsets(
    client: Consumer,
    found: Sequence[TopicPartition],
    end: Mapping[TopicPartition, int],
    at: StartOffset,
    *,
    has_group: bool,
) -> Mapping[TopicPartition, int]:
    """Returns the offset at which each partition is to be read first.

    Args:
        client: Asks the brokers.
        found: The partitions.
        end: Where each of them ends.
        at: Where to start.
        has_group: Whether the client has a group.

    Raises:
        KafkaSetupError: A partition ends before the offset that was exported.
    """
    if at.start_offset == LATEST:
        return end
    seconds = start_seconds(at.start_offset)
    if seconds is not None:
        at_time = client.offsets_at(found, seconds)
        return {one: _or(time, end[one]) for one, time in at_time.items()}
    first = client.beginning_offsets(found)
    if at.start_offset == EARLIEST:
        return first
    if at.start_offset == COMMITTED:
        return {one: _or(offset, first[one]) for one, offset in client.committed(found).items()}
    ratings = [one for one in found if one.topic != at.request_topic]
    offsets = {one: _or(at.exported.get(origin_prefix(*one)), first[one]) for one in ratings}
    for one, offset in offsets.items():
        _require_within(one, offset, end[one])
    # Requests are not learned, so the model does not tell which ones were answered.
    requests = [one for one in found if one.topic == at.request_topic]
    committed = client.committed(requests) if requests and has_group else {}
    return {**offsets, **{one: _or(committed.get(one), end[one]) for one in requests}}


def require_same_topics(shards: Sequence[Mapping[str, str]], found: Mapping[str, str]) -> None:
    """Checks that the topics are the ones that a model's shards have learned.

    Args:
        shards: For each shard, the topics' ids by name; empty where the broker told none.
        found: The current ids by name.

    Raises:
        KafkaSetupError: One has another id.
    """
    for topic, topic_id in (pair for shard in shards for pair in shard.items()):
        now = found.get(topic)
        if now and topic_id and now != topic_id:
            msg = (
                f"topic {topic!r} was created anew since the imported model has learned from it, so"
                " the offsets of the model mean nothing; say where to start with --start_offset"
            )
            raise KafkaSetupError(msg)


def _or(offset: int | None, other: int) -> int:
    return other if offset is None else offset


def _require_within(partition: TopicPartition, offset: int, end: int) -> None:
    if offset > end:
        msg = (
            f"the imported model has learned {partition.topic}-{partition.partition} up to offset"
            f" {offset}, but the partition ends at {end}: the topic was created anew, or is another"
            " cluster's; say where to start with --start_offset"
        )
        raise KafkaSetupError(msg)
