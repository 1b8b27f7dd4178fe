"""What a Kafka client does for the source and the sink, whichever library it is made from."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final, NamedTuple, Protocol

from kafka import TopicPartition

from transforms.formats.records import Header


class Records(NamedTuple):
    """Records of one partition, in the order of their offsets, as columns.

    An object for each would have the garbage collector look at it again and again.

    Attributes:
        offsets: Gaps are normal.
        values: None for a tombstone.
        timestamps: In milliseconds since the epoch, as their producers or the broker say.
        keys: None for a record without a key.
        headers: An empty sequence for a record without headers.
    """

    offsets: list[int]
    values: list[bytes | None]
    timestamps: list[int]
    keys: list[bytes | None]
    headers: list[Sequence[Header]]

    def part(self, start: int, stop: int | None = None) -> Records:
        """Returns the records from the `start`-th up to the `stop`-th."""
        return Records(
            self.offsets[start:stop],
            self.values[start:stop],
            self.timestamps[start:stop],
            self.keys[start:stop],
            self.headers[start:stop],
        )

    def extend(self, more: Records) -> None:
        """Adds records that follow."""
        self.offsets.extend(more.offsets)
        self.values.extend(more.values)
        self.timestamps.extend(more.timestamps)
        self.keys.extend(more.keys)
        self.headers.extend(more.headers)


NO_RECORDS: Final = Records([], [], [], [], [])


def record_headers(found: Iterable[tuple[str, bytes | None]]) -> Sequence[Header]:
    """Returns headers as both client libraries give them; the value null becomes empty."""
    return tuple(Header(key, value or b"") for key, value in found)


class Polled(NamedTuple):
    """What one poll gave.

    Attributes:
        records: Of each partition that had any.
        out_of_range: Partitions that have no record at the offset at which they stand; they
            give nothing until `seek` is called for them.
        truncated: Those of them whose log the broker cut off before that offset, and perhaps
            wrote anew.
    """

    records: Mapping[TopicPartition, Records]
    out_of_range: Collection[TopicPartition] = ()
    truncated: Collection[TopicPartition] = ()


class Message(NamedTuple):
    """What is sent.

    Attributes:
        key: Chooses the partition, and what a compacted topic keeps the latest of; None for no
            key and any partition.
        value: The encoded record.
        origin: Goes into the header of that name; no header if it is empty.
        headers: Further headers; they stand before the origin.
        timestamp: Time of the record, in seconds since the epoch; None for the time of sending.
    """

    key: bytes | None
    value: bytes
    origin: str = ""
    headers: Sequence[Header] = ()
    timestamp: float | None = None

    def all_headers(self) -> list[tuple[str, bytes]]:
        """Returns the headers, the origin's included."""
        origin = [("origin", self.origin.encode())] if self.origin else []
        return [*self.headers, *origin] if self.headers else origin

    def timestamp_ms(self) -> int | None:
        """Returns the time in milliseconds since the epoch."""
        return None if self.timestamp is None else round(self.timestamp * 1000)


class Consumer(Protocol):
    """Reads committed records of partitions that it is told. One thread at a time."""

    def partitions_for_topic(self, topic: str) -> list[int]:
        """Returns the numbers of a topic's partitions in order; none if there is no topic."""
        ...

    def beginning_offsets(
        self, partitions: Collection[TopicPartition]
    ) -> dict[TopicPartition, int]:
        """Returns the first offset of each."""
        ...

    def end_offsets(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """Returns the offset behind the last committed record of each."""
        ...

    def offsets_at(
        self, partitions: Collection[TopicPartition], seconds: float
    ) -> dict[TopicPartition, int | None]:
        """Returns the first offset of each whose record is of that time or later; None if none is.

        Times are those of the records, in seconds since the epoch.
        """
        ...

    def committed(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int | None]:
        """Returns the group's offset of each, None where it has none."""
        ...

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """Assigns the partition if it is not, and goes on from there; others go on as before."""
        ...

    def unassign(self, partition: TopicPartition) -> None:
        """Stops fetching from the partition, and discards what was fetched."""
        ...

    def pause(self, partitions: Collection[TopicPartition]) -> None:
        """Pauses these partitions and resumes all others."""
        ...

    def poll(self, seconds: float) -> Polled:
        """Returns what is there; waits so long if nothing is."""
        ...

    def known_end(self, partition: TopicPartition) -> int | None:
        """Returns the partition's end as its last fetch told it; None if it did not."""
        ...

    def progress(self, partition: TopicPartition) -> tuple[int, bool]:
        """Returns where the next record can be, and whether the broker has none as yet.

        Offsets that deliver nothing are passed: aborted, compacted, transaction markers.
        """
        ...

    def commit(self, partition: TopicPartition, offset: int, *, wait: bool) -> bool:
        """Sets the group's offset; returns False if it is known to have failed.

        A failure is logged. With `wait` it is known; without, it may come later.
        """
        ...

    def close(self) -> None:
        """Leaves the brokers."""
        ...


class Admin(Protocol):
    """Asks the brokers about topics. One thread at a time."""

    def topic_ids(self, topics: Collection[str]) -> dict[str, str]:
        """Returns the id of each topic, by name; topics that do not exist are left out.

        A topic that is deleted and created anew has another id. It is empty where the brokers
        are too old to have any.

        Raises:
            KafkaSetupError: The brokers do not answer, or refuse.
        """
        ...

    def partition_counts(self, topics: Collection[str] | None) -> dict[str, int]:
        """Returns how many partitions each topic has, or all topics have; leaves out missing ones.

        Raises:
            KafkaSetupError: The brokers do not answer, or refuse.
        """
        ...

    def max_message_bytes(self, topic: str) -> int | None:
        """Returns the topic's `max.message.bytes`, None if the brokers do not say."""
        ...

    def close(self) -> None:
        """Disconnects from the brokers."""
        ...


class Sender(Protocol):
    """Sends to one topic, and knows what became of that. Of one thread; its producer is shared."""

    def send(self, messages: Iterable[Message]) -> None:
        """Hands messages over, in order; waits where the producer has too many already.

        Raises:
            DeliveryError: One is refused at once, for another reason than its size.
        """
        ...

    def flush(self) -> None:
        """Waits until the brokers have everything that was sent.

        Raises:
            MessageTooLargeError: The topic or the client does not take messages of that size;
                all others are written. The producer may be of no use any more.
            DeliveryError: Something was refused, or not acknowledged in eleven minutes.
        """
        ...


class Producer(Protocol):
    """Sends idempotently, acknowledged by all replicas. Thread-safe."""

    def sender(self, topic: str) -> Sender:
        """Returns a sender, which belongs to the caller."""
        ...

    def close(self) -> None:
        """Leaves the brokers; what is still waiting is dropped."""
        ...
