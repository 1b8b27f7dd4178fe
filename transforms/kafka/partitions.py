"""The elements of the Kafka source: one partition of a topic each."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import orjson
from apache_beam.coders import Coder, registry
from apache_beam.coders.coders import LengthPrefixCoder

from transforms.runtime.flink_key_groups import KEY_GROUPS, spreading
from transforms.splittable_read import PositionRange, require_version

ADDED: Final = -1
_VERSION: Final = 3


_ORIGIN_PREFIX: Final = re.compile(r"(.+)-\d+-", re.ASCII)


def origin_prefix(topic: str, partition: int) -> str:
    """Returns the prefix of the origins of a partition's records, before their offsets."""
    return f"{topic}-{partition}-"


def topics_of(prefixes: Iterable[str]) -> set[str]:
    """Returns the topics of origin prefixes; what is no prefix of a topic's origins is skipped."""
    matches = map(_ORIGIN_PREFIX.fullmatch, prefixes)
    return {match[1] for match in matches if match}


class KafkaPartition(NamedTuple):
    """One partition to be read. A savepoint holds it, so brokers and passwords are not in it.

    Attributes:
        topic: The topic's name.
        partition: The partition's number.
        positions: Which offsets.
        salt: A number that spreads the partitions evenly, see `key_groups`.
        topic_id: The broker's id of the topic, which another topic of the same name does not
            have; empty if it tells none.
        known: Of the element that stands for partitions added later, whose number is `ADDED`: how
            many partitions each topic had at the start.
    """

    topic: str
    partition: int
    positions: PositionRange
    salt: int = 0
    topic_id: str = ""
    known: tuple[tuple[str, int], ...] = ()

    @property
    def origin(self) -> str:
        """The prefix of the origins of its records."""
        return origin_prefix(self.topic, self.partition)

    @property
    def adds(self) -> bool:
        """Whether this is the element of partitions that are added later."""
        return self.partition == ADDED


class KafkaPartitionCoder(Coder):
    """A JSON document with a version: what savepoints hold, so it must not change."""

    def encode(self, value: KafkaPartition) -> bytes:
        """Returns the partition as bytes."""
        topic, partition, positions, salt, topic_id, known = value
        more = [known] if partition == ADDED else []
        return orjson.dumps([_VERSION, topic, partition, *positions, salt, topic_id, *more])

    def decode(self, encoded: bytes) -> KafkaPartition:
        """Returns the partition that `encode` wrote.

        Raises:
            IncompatibleStateError: Another version wrote it.
        """
        document = orjson.loads(encoded)
        require_version("Kafka partition", document, _VERSION)
        _, topic, partition, start, stop, salt, topic_id, *more = document
        known = tuple((name, count) for name, count in more[0]) if more else ()
        positions = PositionRange(start, stop)
        return KafkaPartition(topic, partition, positions, salt, topic_id, known)

    def is_deterministic(self) -> bool:
        """Equal partitions have equal bytes."""
        return True


registry.register_coder(KafkaPartition, KafkaPartitionCoder)


def spread_out(
    partitions: Sequence[KafkaPartition], key_groups: int = KEY_GROUPS
) -> list[KafkaPartition]:
    """Returns the partitions with salts: Flink has each read by the subtask of its hash."""
    # As Flink sees what has a coder of our own.
    coder = LengthPrefixCoder(KafkaPartitionCoder())

    def salted(place: int, partition: KafkaPartition) -> KafkaPartition:
        def encode(number: int) -> bytes:
            encoded: bytes = coder.encode(partition._replace(salt=number))
            return encoded

        return partition._replace(salt=spreading(encode, place, len(partitions), key_groups))

    return [salted(place, partition) for place, partition in enumerate(partitions)]
