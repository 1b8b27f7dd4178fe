"""The Kafka consumers of this process: one for each source that it reads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from kafka import TopicPartition

from transforms.kafka.client_pool import ClientPool
from transforms.kafka.clients.factory import admin, consumer
from transforms.kafka.clients.protocols import Admin, Consumer
from transforms.kafka.partition_consumer import PartitionConsumer
from transforms.kafka.partition_lease import PartitionLease
from transforms.kafka.settings import AWAY_SECONDS, KafkaSettings
from transforms.kafka.topic_watch import TopicWatch

_DELIVERY_TIMEOUTS: Final = ("delivery.timeout.ms", "message.timeout.ms")


class SourceKey(NamedTuple):
    """Which consumer a reader shares.

    Attributes:
        settings: Of the brokers.
        group: Whose offsets are committed; None for nobody's.
        source: Unique to each source of each pipeline: two sources of one topic need positions
            of their own.
    """

    settings: KafkaSettings
    group: str | None
    source: str


class ConsumerPool(ClientPool[SourceKey, PartitionConsumer]):
    """Opens consumers when they are first read, and closes them with their last user.

    Args:
        connect: Makes a client that reads.
        connect_admin: Makes a client that asks about topics.
    """

    def __init__(
        self,
        connect: Callable[[KafkaSettings, str | None], Consumer] = consumer,
        connect_admin: Callable[[KafkaSettings], Admin] = admin,
    ) -> None:
        super().__init__()
        self._connect = connect
        self._connect_admin = connect_admin

    def consumer(self, key: SourceKey) -> PartitionConsumer:
        """Returns the consumer of a source.

        Raises:
            KafkaSetupError: The broker cannot be reached, or refuses.
        """
        return self._get(key, lambda: self._made(key))

    def _made(self, key: SourceKey) -> PartitionConsumer:
        settings = key.settings
        client = self._connect(settings, key.group)
        watch = TopicWatch(
            settings.bootstrap_servers,
            lambda: self._connect_admin(settings),
            away_seconds=_away_seconds(settings),
        )
        return PartitionConsumer(client, self._consumers, watch, key.group)

    def lease(self, key: SourceKey, partition: TopicPartition, offset: int) -> PartitionLease:
        """Returns the right to read a partition; see `PartitionConsumer.lease`.

        Raises:
            KafkaSetupError: The broker cannot be reached, or refuses.
        """
        return self.consumer(key).lease(partition, offset)

    @property
    def buffered_bytes(self) -> int:
        """Bytes that were fetched and that nobody has read."""
        return sum(one.buffered_bytes for one in self._consumers())

    @property
    def sources(self) -> int:
        """Number of consumers that are open."""
        return len(self._open)

    def _consumers(self) -> list[PartitionConsumer]:
        return list(self._open.values())


def _away_seconds(settings: KafkaSettings) -> float:
    """Returns how long the brokers may be away: for readers as long as for a send."""
    properties = settings.resolve()
    given = [int(properties[name]) for name in _DELIVERY_TIMEOUTS if name in properties]
    return given[0] / 1000 if given else AWAY_SECONDS
