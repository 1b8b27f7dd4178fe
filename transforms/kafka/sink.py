"""Lists, dead letters and ratings to topics."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import apache_beam as beam

from transforms.elements import RecommendationBatch
from transforms.errors import DeliveryError
from transforms.formats import avro, json_lines
from transforms.formats.records import DeadLetter
from transforms.kafka.client import producer
from transforms.kafka.protocols import Message, Producer, Sender
from transforms.kafka.settings import KafkaSettings
from transforms.write import OUTPUT_FORMATS

_DEAD_VALUE_BYTES: Final = 512 << 10
# A bundle's flush sends at once what lingers, and librdkafka's thread spins in each wait's last
# millisecond: with waits of 5 ms that was a fifth of a core.
_LINGER_MS: Final = 100


@dataclass
class WriteRecommendationsToKafka(beam.PTransform):
    """Lists to a topic; the key is the user, so a compacted topic holds each one's latest.

    Parallelism: any; one producer for each process.
    Delivery: at least once, all of them acknowledged before the bundle ends; the header
        `origin` tells repeats. In order for each user.
    On failure: the bundle is repeated, and so are lists that it had sent.

    Attributes:
        settings: Of the brokers.
        topic: The topic's name.
        output_format: `json`, or `avro` in single-object encoding.
    """

    settings: KafkaSettings
    topic: str
    output_format: str = "json"

    def __post_init__(self) -> None:
        """Raises ValueError for a format that there is not."""
        super().__init__()
        if self.output_format not in OUTPUT_FORMATS:
            msg = f"{self.output_format!r} is not an output format, expected json or avro"
            raise ValueError(msg)

    def expand(self, lists: beam.PCollection[RecommendationBatch]) -> beam.PCollection[None]:
        """Adds the sink."""
        encode = json_messages if self.output_format == "json" else _avro_messages
        return lists | "Send" >> beam.ParDo(_SendDoFn(self.settings, self.topic, encode))


@dataclass
class WriteDeadLettersToKafka(beam.PTransform):
    """Dead letters to a topic, as JSON; the key is the origin.

    A value of more than 512 KiB is cut there, and the reason says so, as brokers take messages
    of 1 MB.

    Parallelism: any; one producer for each process.
    Delivery: at least once, all of them acknowledged before the bundle ends.
    On failure: the bundle is repeated, and so are letters that it had sent.

    Attributes:
        settings: Of the brokers.
        topic: The topic's name.
    """

    settings: KafkaSettings
    topic: str

    def __post_init__(self) -> None:
        """Lets Beam name the transform."""
        super().__init__()

    def expand(self, letters: beam.PCollection[DeadLetter]) -> beam.PCollection[None]:
        """Adds the sink."""
        return letters | "Send" >> beam.ParDo(
            _SendDoFn(self.settings, self.topic, _dead_letter_messages)
        )


@dataclass
class WriteEvaluationsToKafka(beam.PTransform):
    """What was tested to a topic, as JSON; the key is the user.

    Parallelism, delivery and on failure: as `WriteRecommendationsToKafka`.

    Attributes:
        settings: Of the brokers.
        topic: The topic's name.
    """

    settings: KafkaSettings
    topic: str

    def __post_init__(self) -> None:
        """Lets Beam name the transform."""
        super().__init__()

    def expand(self, lists: beam.PCollection[RecommendationBatch]) -> beam.PCollection[None]:
        """Adds the sink."""
        return lists | "Send" >> beam.ParDo(
            _SendDoFn(self.settings, self.topic, _evaluation_messages)
        )


def _evaluation_messages(batch: RecommendationBatch) -> Iterator[Message]:
    encode = json_lines.encode_evaluation
    return (Message(one.user.encode(), encode(one), one.origin) for one in batch.evaluations)


def json_messages(batch: RecommendationBatch) -> Iterator[Message]:
    """Yields a message for each list."""
    encode = json_lines.encode_recommendation
    return (Message(one.user.encode(), encode(one), one.origin) for one in batch.recommendations)


def _avro_messages(batch: RecommendationBatch) -> Iterator[Message]:
    encode = avro.encode_recommendation
    return (Message(one.user.encode(), encode(one), one.origin) for one in batch.recommendations)


def _dead_letter_messages(letter: DeadLetter) -> Iterator[Message]:
    size = len(letter.value)
    if size > _DEAD_VALUE_BYTES:
        reason = f"{letter.reason} (the first {_DEAD_VALUE_BYTES} of {size} bytes are kept here)"
        letter = letter._replace(value=letter.value[:_DEAD_VALUE_BYTES], reason=reason)
    yield Message(letter.origin.encode(), json_lines.encode_dead_letter(letter), letter.origin)


class _SendDoFn(beam.DoFn):
    def __init__(
        self, settings: KafkaSettings, topic: str, encode: Callable[[Any], Iterator[Message]]
    ) -> None:
        self._settings = settings
        self._topic = topic
        self._encode = encode
        self._producer: Producer | None = None
        self._sender: Sender | None = None

    def start_bundle(self) -> None:
        self._producer = self._sender = None

    def process(self, element: Any) -> None:
        if self._producer is None or self._sender is None:
            self._producer = shared_producer(self._settings)
            self._sender = self._producer.sender(self._topic)
        try:
            self._sender.send(self._encode(element))
        except DeliveryError:
            discard_producer(self._settings, self._producer)
            raise

    def finish_bundle(self) -> None:
        if self._producer is None or self._sender is None:
            return
        try:
            self._sender.flush()
        except DeliveryError:
            discard_producer(self._settings, self._producer)
            raise


_PRODUCERS: Final[dict[KafkaSettings, Producer]] = {}
_PRODUCERS_LOCK: Final = threading.Lock()


def shared_producer(settings: KafkaSettings) -> Producer:
    """Returns this process's producer for these settings."""
    with _PRODUCERS_LOCK:
        found = _PRODUCERS.get(settings)
        if found is None:
            found = _PRODUCERS[settings] = producer(settings, _LINGER_MS)
        return found


def discard_producer(settings: KafkaSettings, client: Producer) -> None:
    """Makes the next bundle start with a new producer: one that has failed goes on failing."""
    with _PRODUCERS_LOCK:
        if _PRODUCERS.get(settings) is client:
            del _PRODUCERS[settings]
    client.close()
