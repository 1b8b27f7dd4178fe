"""The Kafka producers of this process: one for each broker, shared by all sinks."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Final

from transforms.kafka.clients.factory import producer
from transforms.kafka.clients.protocols import Producer
from transforms.kafka.settings import KafkaSettings

# A bundle's flush sends at once what lingers, and librdkafka's thread spins in each wait's last
# millisecond: with waits of 5 ms that was a fifth of a core.
_LINGER_MS: Final = 100
_LIMIT_SECONDS: Final = 60.0


class ProducerPool:
    """Lends producers to bundles, and closes them with their last user.

    Args:
        connect: Makes a client that lets messages linger for so many milliseconds.
    """

    def __init__(self, connect: Callable[[KafkaSettings, int], Producer] = producer) -> None:
        self._connect = connect
        self._lock = threading.Lock()
        self._open: dict[KafkaSettings, Producer] = {}
        self._users: Counter[KafkaSettings] = Counter()
        self._lent: Counter[Producer] = Counter()
        self._limits: dict[tuple[KafkaSettings, str], tuple[int, float]] = {}

    def add_user(self, settings: KafkaSettings) -> None:
        """Keeps a producer open, once it is, until `remove_user`."""
        with self._lock:
            self._users[settings] += 1

    def remove_user(self, settings: KafkaSettings) -> None:
        """Takes an `add_user` back; the last one closes the producer."""
        with self._lock:
            self._users[settings] -= 1
            if self._users[settings] > 0:
                return
            del self._users[settings]
            closing = self._open.pop(settings, None)
        if closing is not None:
            closing.close()

    def borrow(self, settings: KafkaSettings) -> Producer:
        """Returns the producer of these brokers, until `give_back`.

        Raises:
            KafkaSetupError: The broker can not be reached, or refuses.
        """
        with self._lock:
            found = self._open.get(settings)
            if found is None:
                found = self._open[settings] = self._connect(settings, _LINGER_MS)
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

    def close(self) -> None:
        """Closes all producers."""
        with self._lock:
            closing = list(self._open.values())
            self._open.clear()
        for one in closing:
            one.close()
