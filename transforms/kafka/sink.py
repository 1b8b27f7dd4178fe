"""Writes recommendations, evaluations and dead letters to topics."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import apache_beam as beam
from apache_beam.transforms.window import BoundedWindow, GlobalWindow
from apache_beam.utils.timestamp import MIN_TIMESTAMP, Timestamp
from apache_beam.utils.windowed_value import WindowedValue

from transforms import counters
from transforms.batches import EvaluationBatch, RecommendationBatch
from transforms.errors import MessageTooLargeError
from transforms.formats import avro, dead_letters, json_lines
from transforms.formats.listed_ratings import ListedRatings
from transforms.formats.rating_columns import columns_of
from transforms.formats.records import DeadLetter, Header
from transforms.kafka.clients.protocols import Message
from transforms.kafka.delivery import Delivery, Refused, size_of
from transforms.kafka.producer_pool import ProducerPool
from transforms.kafka.settings import KafkaSettings
from transforms.runtime.unsent import Unsent
from transforms.runtime.worker_context import WORKER
from transforms.schema_registry.pool import frame_for
from transforms.schema_registry.settings import SchemaRegistrySettings
from transforms.write_files import OUTPUT_FORMATS

CONFLUENT_AVRO: Final = "confluent-avro"
"""Avro behind the id of its schema in a registry, for topics only."""

_DEAD_VALUE_BYTES: Final = 512 << 10
"""What is kept of a dead letter's value if nobody knows how much its topic takes."""
_FRAMING_BYTES: Final = 512
"""More than Kafka adds to key, value and headers of a record that is alone in its batch."""
_TOO_LARGE: Final = dead_letters.class_name(MessageTooLargeError("", ()))
_LOGGER: Final = logging.getLogger(__name__)


@dataclass
class WriteRecommendationsToKafka(beam.PTransform):
    """Writes recommendations to a topic, keyed by user: a compacted topic holds each user's latest.

    Parallelism: any; one producer for each process.
    Delivery: at least once, all of them acknowledged before the bundle ends; the header
        `origin` tells repeats, and headers that came with the rating or request stand beside it. In
        order for each user.
    On failure: the bundle is repeated, with what it had sent. A recommendation that is too large
        for the topic is a dead letter of stage `write`, and the job goes on.

    Attributes:
        settings: Of the brokers.
        topic: The topic's name.
        output_format: `json`; `avro` in single-object encoding; or `confluent-avro`, whose schema
            is registered when the pipeline is built.
        registry: Where; needed for `confluent-avro`.
    """

    settings: KafkaSettings
    topic: str
    output_format: str = "json"
    registry: SchemaRegistrySettings | None = None

    def __post_init__(self) -> None:
        """Raises ValueError for a format that there is not, or that lacks its registry."""
        super().__init__()
        _require_format(self.output_format, (*OUTPUT_FORMATS, CONFLUENT_AVRO), self.registry)

    def expand(
        self, recommendations: beam.PCollection[RecommendationBatch]
    ) -> beam.PCollection[DeadLetter]:
        """Returns a dead letter of stage `write` for each recommendation that is too large."""
        encode: _Encode = json_messages if self.output_format == "json" else _avro_messages
        if self.registry and self.output_format == CONFLUENT_AVRO:
            frame = frame_for(self.registry, self.topic, avro.RECOMMENDATION_SCHEMA)
            encode = partial(_avro_messages, header=frame)
        return _send(recommendations, _SendDoFn(self.settings, self.topic, encode))


@dataclass
class WriteDeadLettersToKafka(beam.PTransform):
    """Writes dead letters to a topic: each record as it came, with headers that say why.

    Key, value, headers and time are the record's own; `formats.dead_letters` names the headers that
    are added. A value that the topic does not take is cut, and a header tells its size.

    Parallelism: any; one producer for each process.
    Delivery: at least once, all of them acknowledged before the bundle ends.
    On failure: the bundle is repeated, and so are letters that it had sent. A letter that is too
        large for the topic even without its value is counted and logged.

    Attributes:
        settings: Of the brokers.
        topic: The topic's name.
    """

    settings: KafkaSettings
    topic: str

    def __post_init__(self) -> None:
        """Initializes the base class."""
        super().__init__()

    def expand(self, letters: beam.PCollection[DeadLetter]) -> beam.PCollection[None]:
        """Sends the dead letters."""
        return letters | "Send" >> beam.ParDo(
            _SendDeadLettersDoFn(self.settings, self.topic, dead_letter_messages)
        )


@dataclass
class WriteEvaluationsToKafka(beam.PTransform):
    """Writes evaluations to a topic, keyed by user.

    Parallelism, delivery and on failure: as `WriteRecommendationsToKafka`.

    Attributes:
        settings: Of the brokers.
        topic: The topic's name.
        output_format: `json` or `confluent-avro`.
        registry: Needed for `confluent-avro`.
    """

    settings: KafkaSettings
    topic: str
    output_format: str = "json"
    registry: SchemaRegistrySettings | None = None

    def __post_init__(self) -> None:
        """Raises ValueError for a format that there is not, or that lacks its registry."""
        super().__init__()
        _require_format(self.output_format, ("json", CONFLUENT_AVRO), self.registry)

    def expand(
        self, evaluations: beam.PCollection[EvaluationBatch]
    ) -> beam.PCollection[DeadLetter]:
        """Returns a dead letter of stage `write` for each evaluation that is too large."""
        encode: _Encode = _evaluation_messages
        if self.registry and self.output_format == CONFLUENT_AVRO:
            frame = frame_for(self.registry, self.topic, avro.EVALUATION_SCHEMA)
            encode = partial(_framed_evaluations, frame=frame)
        return _send(evaluations, _SendDoFn(self.settings, self.topic, encode))


_Encode = Callable[[Any], Iterator[Message]]


def _require_format(
    name: str, formats: Sequence[str], registry: SchemaRegistrySettings | None
) -> None:
    if name not in formats:
        msg = f"{name!r} is not an output format of this topic, expected {' or '.join(formats)}"
        raise ValueError(msg)
    if name == CONFLUENT_AVRO and registry is None:
        msg = f"{CONFLUENT_AVRO} needs a registry"
        raise ValueError(msg)


def _framed_evaluations(batch: EvaluationBatch, frame: bytes) -> Iterator[Message]:
    encode = partial(avro.encode_evaluation, header=frame)
    return (Message(one.user.encode(), encode(one), one.origin) for one in batch.evaluations)


def _send(batches: beam.PCollection[Any], do_fn: _SendDoFn) -> beam.PCollection[DeadLetter]:
    return batches | "Send" >> beam.ParDo(do_fn).with_output_types(DeadLetter)


def _evaluation_messages(batch: EvaluationBatch) -> Iterator[Message]:
    encode = json_lines.encode_evaluation
    return (Message(one.user.encode(), encode(one), one.origin) for one in batch.evaluations)


def json_messages(batch: RecommendationBatch) -> Iterator[Message]:
    """Yields a message for each recommendation."""
    return _recommendation_messages(batch, json_lines.encode_recommendations(batch.recommendations))


def _avro_messages(
    batch: RecommendationBatch, header: bytes = avro.RECOMMENDATION_HEADER
) -> Iterator[Message]:
    encode = partial(avro.encode_recommendation, header=header)
    return _recommendation_messages(batch, map(encode, batch.recommendations))


def _recommendation_messages(
    batch: RecommendationBatch, values: Iterable[bytes]
) -> Iterator[Message]:
    made = batch.recommendations
    if isinstance(made, ListedRatings):
        ratings = columns_of(made.ratings).filled()
        columns = map(str.encode, ratings.users), values, ratings.origins, ratings.headers
        return itertools.starmap(Message, zip(*columns, strict=True))
    return (
        Message(one.user.encode(), value, one.origin, one.headers)
        for one, value in zip(made, values, strict=True)
    )


def dead_letter_messages(letter: DeadLetter) -> Iterator[Message]:
    """Yields the record as it came, with headers that say why it is dead."""
    yield Message(
        letter.key, letter.value, "", dead_letters.letter_headers(letter), letter.time or None
    )


def _cut(message: Message, largest: int) -> Message:
    """Returns a dead letter with as much of its value as fits."""
    size = len(message.value)
    headers = [*message.headers, Header(dead_letters.CUT, b"%d" % size)]
    marked = message._replace(headers=headers)
    room = largest - (size_of(marked) - size) - _FRAMING_BYTES
    return marked._replace(value=message.value[: max(0, room)])


class _SendDoFn(beam.DoFn):
    def __init__(self, settings: KafkaSettings, topic: str, encode: _Encode) -> None:
        self._settings = settings
        self._topic = topic
        self._encode = encode
        self._delivery: Delivery | None = None
        self._timestamp: Timestamp = MIN_TIMESTAMP
        self._window: BoundedWindow = GlobalWindow()

    def setup(self) -> None:
        WORKER.get(ProducerPool).add_user(self._settings)

    def teardown(self) -> None:
        self._give_up()
        WORKER.get(ProducerPool).remove_user(self._settings)

    def start_bundle(self) -> None:
        # One that is still there is that of a bundle that failed elsewhere.
        self._give_up()

    def process(
        self,
        element: Any,
        timestamp: Any = beam.DoFn.TimestampParam,
        window: Any = beam.DoFn.WindowParam,
    ) -> None:
        if self._delivery is None:
            self._delivery = Delivery(self._settings, self._topic, WORKER.get(ProducerPool))
            WORKER.get(Unsent).add(self)
        self._timestamp, self._window = timestamp, window
        self._delivery.send(self._encode(element))

    def finish_bundle(self) -> Iterator[WindowedValue]:
        if self._delivery is None:
            return
        refused = self._flush(self._delivery)
        self._delivery = None
        WORKER.get(Unsent).remove(self)
        counters.counter(counters.UNWRITTEN).inc(len(refused))
        for one in refused:
            yield from self._unwritten(one)

    def _flush(self, delivery: Delivery) -> list[Refused]:
        return delivery.flush()

    def _unwritten(self, refused: Refused) -> Iterator[WindowedValue]:
        message, reason = refused
        letter = DeadLetter(
            message.origin,
            "write",
            reason,
            message.value,
            message.key,
            message.headers,
            exception=_TOO_LARGE,
        )
        yield WindowedValue(letter, self._timestamp, [self._window])

    def _give_up(self) -> None:
        delivery, self._delivery = self._delivery, None
        if delivery is not None:
            delivery.end(failed=True)


class _SendDeadLettersDoFn(_SendDoFn):
    """Cuts what its own topic refuses, as that cannot become a dead letter again."""

    def _flush(self, delivery: Delivery) -> list[Refused]:
        refused = delivery.flush()
        if not refused:
            return []
        largest = delivery.largest() or _DEAD_VALUE_BYTES
        again = Delivery(self._settings, self._topic, WORKER.get(ProducerPool))
        try:
            again.send([_cut(message, largest) for message, _ in refused])
            return again.flush()
        finally:
            again.end(failed=True)

    def _unwritten(self, refused: Refused) -> Iterator[WindowedValue]:
        origin = dict(refused.message.headers)[dead_letters.ORIGIN].decode()
        _LOGGER.warning("The dead letter of %s was not written: %s", origin, refused.reason)
        yield from ()
