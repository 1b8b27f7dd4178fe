"""The Kafka producers of this process: one for each broker, shared by all sinks."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Final

from transforms.kafka.client_pool import ClientPool
from transforms.kafka.clients.factory import producer
from transforms.kafka.clients.protocols import Producer
from transforms.kafka.settings import KafkaSettings

# A bundle's flush sends at once what lingers, and librdkafka's thread spins in each wait's last
# millisecond: with waits of 5 ms that was a fifth of a core.
_LINGER_MS: Final = 100
_LIMIT_SECONDS: Final = 60.0


class ProducerPool(ClientPool[KafkaSettings, Producer]):
    """Lends producers to bundles, and closes them with their last user.

    Args:
        connect: Makes a client that lets messages linger for so many milliseconds.
    """

    def __init__(self, connect: Callable[[KafkaSettings, int], Producer] = producer) -> None:
        super().__init__()
        self._connect = connect
        self._lent: Counter[Producer] = Counter()
        self._limits: dict[tuple[KafkaSettings, str], tuple[int, float]] = {}

    def borrow(self, settings: KafkaSettings) -> Producer:
        """Returns the producer of these brokers, until `give_back`.

        Raises:
            KafkaSetupError: The broker cannot be reached, or refuses.
        """
        with self._lock:
            found = self._get(settings, lambda: self._connect(settings, _LINGER_MS))
            self._lent[found] += 1
            return found

    def give_back(self, settings: KafkaSettings, lent: Producer, *, failed: bool = False) -> None:
        """Takes a `borrow` back.

        Args:
            settings: Of the brokers.
            lent: What `borrow` returned.
            failed: Whether nobody is to get it again, as a producer that failed goes on failing.
                It is closed when nobody has it any more.
        """
        with self._lock:
            self._lent[lent] -= 1
            if failed and self._open.get(settings) is lent:
                del self._open[settings]
            if self._lent[lent] > 0:
                return
            del self._lent[lent]
            retired = self._open.get(settings) is not lent
        if retired:
            lent.close()

    def note_limit(self, settings: KafkaSettings, topic: str, limit: int) -> None:
        """Keeps a topic's `max.message.bytes` for a while."""
        self._limits[settings, topic] = limit, time.monotonic()

    def limit(self, settings: KafkaSettings, topic: str) -> int | None:
        """Returns what `note_limit` was told, None if it is not known or may have changed."""
        limit, noted = self._limits.get((settings, topic), (None, 0.0))
        return limit if time.monotonic() - noted < _LIMIT_SECONDS else None
