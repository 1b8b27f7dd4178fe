"""A thread that follows topics and feeds the dashboard's state."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from typing import Final, NamedTuple

from kafka import TopicPartition
from kafka.errors import KafkaError

from beam_pipeline.web.decode import decode_recommendation
from beam_pipeline.web.live import Live
from transforms.errors import KafkaSetupError, MalformedRecordError
from transforms.formats.dead_letters import letter_of_record
from transforms.formats.records import Header
from transforms.kafka.clients.factory import consumer, partitions_of
from transforms.kafka.settings import KAFKA_PYTHON, KafkaSettings

_POLL_SECONDS: Final = 0.2
_LOOK_SECONDS: Final = 2.0
_EARLIER_LISTS: Final = 10_000
_EARLIER_LETTERS: Final = 5
# How long the broker may be silent before the page says so.
_PATIENCE: Final = {"request.timeout.ms": "5000"}


class Topics(NamedTuple):
    """The topics to follow; empty names are skipped.

    Attributes:
        output: Recommendations.
        evaluation: Evaluation records.
        dead_letters: Dead letters.
    """

    output: str
    evaluation: str = ""
    dead_letters: str = ""


class Follower:
    """Reads the tails of topics, then new records, into a `Live`.

    Parallelism: one thread and one consumer, without a group.
    Delivery: of earlier records, the last 10,000 recommendations, three windows of evaluations
        and a few dead letters.
    On failure: shows that a broker is away and waits for it; skips records that were deleted
        before they were read.

    Args:
        settings: Of the brokers.
        topics: What to follow.
        live: Receives the records.
        window: Number of tests in the recall window.

    Raises:
        KafkaSetupError: The broker cannot be reached, or a topic is missing.
    """

    def __init__(
        self, settings: KafkaSettings, topics: Topics, live: Live, window: int = 5000
    ) -> None:
        self._topics, self._live = topics, live
        given = {**dict(settings.properties), **_PATIENCE}
        impatient = dataclasses.replace(settings, properties=given, client=KAFKA_PYTHON)
        self._client = consumer(impatient, None)
        earlier = {topics.output: _EARLIER_LISTS}
        if topics.evaluation:
            earlier[topics.evaluation] = 3 * window
        if topics.dead_letters:
            earlier[topics.dead_letters] = _EARLIER_LETTERS
        try:
            self._partitions = self._seek_ends(settings, earlier)
        except BaseException:
            self._client.close()
            raise
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="follower", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stops the thread and closes the consumer."""
        self._stopping.set()
        self._thread.join(timeout=10)
        self._client.close()

    def _seek_ends(
        self, settings: KafkaSettings, earlier: Mapping[str, int]
    ) -> list[TopicPartition]:
        every = []
        for topic, count in earlier.items():
            partitions = partitions_of(self._client, topic, settings)
            first = self._client.beginning_offsets(partitions)
            end = self._client.end_offsets(partitions)
            share = -(-count // len(partitions))
            for partition in partitions:
                start = max(first[partition], end[partition] - share)
                self._client.seek(partition, start)
                if topic == self._topics.dead_letters:
                    self._live.add_earlier_dead(start - first[partition])
            every += partitions
        return every

    def _run(self) -> None:
        looked = 0.0
        while not self._stopping.is_set():
            try:
                polled = self._client.poll(_POLL_SECONDS)
                for partition, records in polled.records.items():
                    for record in zip(*records, strict=True):
                        self._take(partition, *record)
                if polled.out_of_range:
                    self._step_over_lost(polled.out_of_range)
                if time.monotonic() - looked > _LOOK_SECONDS:
                    self._live.set_condition(self._behind(), "")
                    looked = time.monotonic()
            except (KafkaError, KafkaSetupError) as e:
                self._live.set_condition(0, f"Kafka does not answer: {e}")
                self._stopping.wait(1.0)

    def _take(
        self,
        partition: TopicPartition,
        offset: int,
        value: bytes | None,
        milliseconds: int,
        key: bytes | None,
        headers: Sequence[Header],
    ) -> None:
        seconds = milliseconds / 1000
        if value is None:
            # A tombstone of a compacted topic.
            return
        try:
            if partition.topic == self._topics.output:
                found = decode_recommendation(value)
                self._live.add_list(found.user, found.origin, value, seconds)
            elif partition.topic == self._topics.evaluation:
                self._live.add_evaluation(value)
            else:
                self._live.add_dead_letter(letter_of_record(key, value, headers, seconds).letter)
        except MalformedRecordError as e:
            where = f"{partition.topic}-{partition.partition}-{offset}"
            self._live.add_unreadable(f"{where}: {e}")

    def _behind(self) -> int:
        ends = self._client.end_offsets(self._partitions)
        return sum(max(0, ends[one] - self._client.progress(one)[0]) for one in self._partitions)

    def _step_over_lost(self, partitions: Collection[TopicPartition]) -> None:
        # Also after a topic was created anew and ends before this position.
        for partition, first in self._client.beginning_offsets(partitions).items():
            self._client.seek(partition, first)
