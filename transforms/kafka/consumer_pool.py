"""The Kafka consumers of this process: one for each source that it reads."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from typing import Final, NamedTuple

from kafka import TopicPartition

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


class ConsumerPool:
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
        self._connect = connect
        self._connect_admin = connect_admin
        self._lock = threading.Lock()
        self._open: dict[SourceKey, PartitionConsumer] = {}
        self._users: Counter[SourceKey] = Counter()

    def add_user(self, key: SourceKey) -> None:
        """Keeps a consumer open, once it is, until `remove_user`."""
        with self._lock:
            self._users[key] += 1

    def remove_user(self, key: SourceKey) -> None:
        """Takes an `add_user` back; the last one closes the consumer."""
        with self._lock:
            self._users[key] -= 1
            if self._users[key] > 0:
                return
            del self._users[key]
            closing = self._open.pop(key, None)
        if closing is not None:
            closing.close()

    def consumer(self, key: SourceKey) -> PartitionConsumer:
        """Returns the consumer of a source.

        Raises:
            KafkaSetupError: The broker can not be reached, or refuses.
        """
        with self._lock:
            found = self._open.get(key)
            if found is None:
                client = self._connect(key.settings, key.group)
                settings = key.settings
                watch = TopicWatch(
                    settings.bootstrap_servers,
                    lambda: self._connect_admin(settings),
                    away_seconds=_away_seconds(settings),
                )
                found = self._open[key] = PartitionConsumer(client, self._consumers, watch)
            return found

    def lease(self, key: SourceKey, partition: TopicPartition, offset: int) -> PartitionLease:
        """Returns the right to read a partition; see `PartitionConsumer.lease`.

        Raises:
            KafkaSetupError: The broker can not be reached, or refuses.
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

    def close(self) -> None:
        """Closes all consumers."""
        with self._lock:
            closing = list(self._open.values())
            self._open.clear()
        for one in closing:
            one.close()

    def _consumers(self) -> list[PartitionConsumer]:
        return list(self._open.values())


def _away_seconds(settings: KafkaSettings) -> float:
    """Returns how long the brokers may be away: for readers as long as for a send."""
    properties = settings.resolve()
    given = [int(properties[name]) for name in _DELIVERY_TIMEOUTS if name in properties]
    return given[0] / 1000 if given else AWAY_SECONDS
