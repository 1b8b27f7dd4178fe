"""A thread that follows topics and tells what it sees."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from kafka import TopicPartition
from kafka.errors import KafkaError, OffsetOutOfRangeError

from beam_pipeline.web.lists import decode_list
from beam_pipeline.web.live import Live
from transforms.errors import MalformedRecordError
from transforms.kafka.client import KafkaSettings, consumer, partitions_of
from transforms.kafka.sink import ORIGIN_HEADER

_POLL_RECORDS: Final = 5000
_POLL_MS: Final = 200
_LOOK_SECONDS: Final = 2.0
_LOOK_MS: Final = 3000
_EARLIER_LISTS: Final = 10_000
_EARLIER_LETTERS: Final = 5


class Topics(NamedTuple):
    """What is followed; empty names are not.

    Attributes:
        output: Lists.
        evaluation: Evaluation records.
        dead_letters: Dead letters.
    """

    output: str
    evaluation: str = ""
    dead_letters: str = ""


class Follower:
    """Reads the ends of the topics, then what comes, into a `Live`.

    Parallelism: one thread, one consumer without a group: it is seen by nobody.
    Delivery: of what came before it started, the last 10,000 lists, three windows of
        evaluations and a few dead letters.
    On failure: a broker that is away is said and waited for; what was deleted from a topic
        before it was read is stepped over.

    Args:
        settings: Of the brokers.
        topics: What to follow.
        live: What is told.
        window: Tests of the recall window.

    Raises:
        KafkaSetupError: The broker can not be reached, or a topic is missing.
    """

    def __init__(
        self, settings: KafkaSettings, topics: Topics, live: Live, window: int = 5000
    ) -> None:
        self._topics, self._live = topics, live
        self._client = consumer(settings, None, _POLL_RECORDS)
        earlier = {topics.output: _EARLIER_LISTS}
        if topics.evaluation:
            earlier[topics.evaluation] = 3 * window
        if topics.dead_letters:
            earlier[topics.dead_letters] = _EARLIER_LETTERS
        try:
            self._assign(settings, earlier)
        except BaseException:
            self._client.close()
            raise
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="follower", daemon=True)

    def start(self) -> None:
        """Starts to read."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread and leaves the broker."""
        self._stopping.set()
        self._thread.join(timeout=10)
        self._client.close()

    def _assign(self, settings: KafkaSettings, earlier: Mapping[str, int]) -> None:
        partitions = {topic: partitions_of(self._client, topic, settings) for topic in earlier}
        every = [one for those in partitions.values() for one in those]
        self._client.assign(every)
        first = self._client.beginning_offsets(every)
        end = self._client.end_offsets(every)
        for topic, those in partitions.items():
            share = -(-earlier[topic] // len(those))
            for partition in those:
                start = max(first[partition], end[partition] - share)
                self._client.seek(partition, start)
                if topic == self._topics.dead_letters:
                    self._live.add_earlier_dead(start - first[partition])

    def _run(self) -> None:
        looked = 0.0
        while not self._stopping.is_set():
            try:
                for records in self._client.poll(_POLL_MS).values():
                    for record in records:
                        self._take(record)
                if time.monotonic() - looked > _LOOK_SECONDS:
                    self._live.set_condition(self._behind(), "")
                    looked = time.monotonic()
            except OffsetOutOfRangeError:
                self._step_over_lost()
            except KafkaError as e:
                self._live.set_condition(0, f"Kafka does not answer: {e}")
                self._stopping.wait(1.0)

    def _take(self, record: Any) -> None:
        try:
            if record.value is None:
                # A compacted topic's tombstone: it says nothing new.
                return
            if record.topic == self._topics.output:
                user, origin = _named(record)
                self._live.add_list(user, origin, record.value, record.timestamp / 1000)
            elif record.topic == self._topics.evaluation:
                self._live.add_evaluation(record.value)
            else:
                self._live.add_dead_letter(record.value)
        except MalformedRecordError as e:
            where = f"{record.topic}-{record.partition}-{record.offset}"
            self._live.add_unreadable(f"{where}: {e}")

    def _behind(self) -> int:
        partitions = list(self._client.assignment())
        ends = self._client.end_offsets(partitions, timeout_ms=_LOOK_MS)
        positions = (self._client.position(one, timeout_ms=_LOOK_MS) for one in partitions)
        behind = zip((ends[one] for one in partitions), positions, strict=True)
        return sum(max(0, end - (position or 0)) for end, position in behind)

    def _step_over_lost(self) -> None:
        partitions: list[TopicPartition] = list(self._client.assignment())
        first = self._client.beginning_offsets(partitions)
        end = self._client.end_offsets(partitions)
        for one in partitions:
            position = self._client.position(one) or 0
            # Behind the end it is where a topic was made anew.
            if not first[one] <= position <= end[one]:
                self._client.seek(one, first[one])


def _named(record: Any) -> tuple[str, str]:
    """Returns user and origin; from key and header, as decoding each list would cost more."""
    origin = dict(record.headers).get(ORIGIN_HEADER)
    if record.key is None or origin is None:
        found = decode_list(record.value)
        return found.user, found.origin
    try:
        return record.key.decode(), origin.decode()
    except UnicodeDecodeError as e:
        msg = "its key or its origin is not UTF-8"
        raise MalformedRecordError(msg) from e
