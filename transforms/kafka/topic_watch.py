"""Asks the brokers now and then whether a source's topics are still the ones that it reads.

Offsets do not tell: a topic that was deleted and created anew gives records at the old position
as soon as it has enough of them, and those before them would never be read. Nor do consumers tell
that their brokers are away: they wait, and say nothing.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Mapping
from typing import Final

from transforms.errors import KafkaSetupError
from transforms.kafka.clients.protocols import Admin
from transforms.kafka.settings import AWAY_SECONDS
from transforms.kafka.topics import TopicSelection

CHECK_SECONDS: Final = 5.0
DISCOVER_SECONDS: Final = 15.0
_MISSING_CHECKS: Final = 3
_LOGGER: Final = logging.getLogger(__name__)


class TopicWatch:
    """A thread that checks topics; readers ask `raise_failure` before each read.

    Args:
        servers: The brokers' addresses, for messages.
        connect: Makes the client that asks.
        check_seconds: The time between two checks.
        away_seconds: How long the brokers may be away.
        discover_seconds: The time between two looks for new partitions.
    """

    def __init__(
        self,
        servers: str,
        connect: Callable[[], Admin],
        check_seconds: float = CHECK_SECONDS,
        away_seconds: float = AWAY_SECONDS,
        discover_seconds: float = DISCOVER_SECONDS,
    ) -> None:
        self._servers = servers
        self._connect = connect
        self._check_seconds = check_seconds
        self._away_seconds = away_seconds
        self._discover_seconds = discover_seconds
        self._selection: TopicSelection | None = None
        self._discovered: dict[str, int] = {}
        self._discovered_at = -math.inf
        self._lock = threading.Lock()
        self._admin: Admin | None = None
        self._ids: dict[str, str] = {}
        self._missing: dict[str, int] = {}
        self._away_since: float | None = None
        self._failure: str = ""
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="topic-watch", daemon=True)

    def require(self, topic: str, topic_id: str) -> None:
        """Watches a topic from now on; the first check of it is made before this returns.

        Raises:
            KafkaSetupError: The topic is another one, or was deleted.
        """
        if topic not in self._ids:
            self._ids[topic] = topic_id
            self.check()
            self._start()
        self.raise_failure()

    def discover(self, selection: TopicSelection) -> Mapping[str, int]:
        """Returns how many partitions each selected topic has.

        From the first call on, the thread keeps that up to date; that call asks itself.
        """
        if self._selection is None:
            self._selection = selection
            self.check()
            self._start()
        return self._discovered

    def topic_id(self, topic: str) -> str:
        """Returns the id of a watched topic; empty if none is known."""
        return self._ids.get(topic, "")

    def raise_failure(self) -> None:
        """Raises KafkaSetupError if a check found that reading cannot go on."""
        if self._failure:
            raise KafkaSetupError(self._failure)

    def check(self) -> None:
        """Asks now."""
        with self._lock:
            try:
                if self._admin is None:
                    self._admin = self._connect()
                found = self._admin.topic_ids(list(self._ids)) if self._ids else {}
                self._look_for_partitions(self._admin)
            except KafkaSetupError as e:
                self._note_away(e)
                return
            self._note_answer()
            for topic, expected in list(self._ids.items()):
                self._compare(topic, expected, found.get(topic))

    def close(self) -> None:
        """Ends the thread; it disconnects by itself."""
        self._closing.set()
        if not self._thread.is_alive():
            self._disconnect()

    def _look_for_partitions(self, asking: Admin) -> None:
        now = time.monotonic()
        if self._selection is None or now - self._discovered_at < self._discover_seconds:
            return
        selection = self._selection
        counts = asking.partition_counts(None if selection.pattern else selection.names)
        self._discovered = {topic: counts[topic] for topic in selection.of(counts)}
        self._discovered_at = now

    def _start(self) -> None:
        with self._lock:
            if not self._thread.is_alive():
                self._thread.start()

    def _run(self) -> None:
        while not self._closing.wait(self._check_seconds) and not self._failure:
            self.check()
        self._disconnect()

    def _disconnect(self) -> None:
        with self._lock:
            admin, self._admin = self._admin, None
        if admin is not None:
            admin.close()

    def _compare(self, topic: str, expected: str, found: str | None) -> None:
        if found is None:
            # A broker that has just started may not know of every topic yet.
            self._missing[topic] = self._missing.get(topic, 0) + 1
            if self._missing[topic] >= _MISSING_CHECKS:
                self._failure = (
                    f"topic {topic!r} was deleted while it was being read; create it, and start"
                    " the job again with --start_offset earliest"
                )
            return
        self._missing[topic] = 0
        if expected and found and found != expected:
            self._failure = (
                f"topic {topic!r} was deleted and created anew while it was being read: its"
                " offsets start over; start the job again with --start_offset earliest, without a"
                " savepoint"
            )
        self._ids[topic] = expected or found

    def _note_away(self, error: KafkaSetupError) -> None:
        now = time.monotonic()
        if self._away_since is None:
            self._away_since = now
            _LOGGER.warning(
                "Kafka at %s does not answer; waiting for it for up to %.0f s",
                self._servers,
                self._away_seconds,
            )
        elif now - self._away_since >= self._away_seconds:
            self._failure = (
                f"Kafka at {self._servers} has not answered for {now - self._away_since:.0f} s;"
                f" start the job again when it does: {error}"
            )

    def _note_answer(self) -> None:
        if self._away_since is not None:
            away = time.monotonic() - self._away_since
            _LOGGER.warning("Kafka at %s answers again after %.0f s", self._servers, away)
            self._away_since = None
