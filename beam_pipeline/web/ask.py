"""Requests a user's recommendation through the job's request topic."""

from __future__ import annotations

import dataclasses
import time
from typing import Final, NamedTuple

import orjson
from kafka.errors import KafkaError

from beam_pipeline.web.decode import decode_recommendation
from beam_pipeline.web.live import Live
from transforms.errors import MalformedRecordError
from transforms.formats.records import Recommendation
from transforms.kafka.clients.factory import require_topics
from transforms.kafka.clients.kafka_python import KafkaPythonProducer
from transforms.kafka.settings import KAFKA_PYTHON, KafkaSettings

ANSWER_SECONDS: Final = 10.0


class NoListError(Exception):
    """There is no recommendation to show; the text says why."""


class Answer(NamedTuple):
    """A recommendation and how it was obtained.

    Attributes:
        found: The recommendation.
        seconds: From request to answer; None without a request.
    """

    found: Recommendation
    seconds: float | None


class Asker:
    """Gets a user's recommendation: by a request, or the latest seen if there is no request topic.

    Args:
        settings: Of the brokers.
        topic: The job's `--request_topic`; empty if it has none.
        live: Receives the answers.
        seconds: How long an answer may take.

    Raises:
        KafkaSetupError: The broker cannot be reached, or the topic is missing.
    """

    def __init__(
        self, settings: KafkaSettings, topic: str, live: Live, seconds: float = ANSWER_SECONDS
    ) -> None:
        self.topic, self._live, self._seconds = topic, live, seconds
        if topic:
            require_topics(settings, {topic: 1})
            # A person is waiting, so fail within seconds.
            patience = {"max.block.ms": str(int(seconds * 1000))}
            given = {**dict(settings.properties), **patience}
            impatient = dataclasses.replace(settings, properties=given, client=KAFKA_PYTHON)
            # Not a `protocols.Sender`, which does not return the offset of a record.
            self._producer = KafkaPythonProducer(impatient, linger_ms=0)

    def list_of(self, user: str) -> Answer:
        """Returns a user's recommendation; waits for an answer.

        Raises:
            NoListError: There is none, no answer came, or it cannot be decoded.
        """
        start = time.monotonic()
        value = self._asked(user) if self.topic else self._live.last_list(user)
        if value is None:
            msg = (
                f"no recommendation for user {user} has been seen yet,"
                " and there is no request topic"
            )
            raise NoListError(msg)
        try:
            found = decode_recommendation(value)
        except MalformedRecordError as e:
            msg = f"the recommendation of user {user} cannot be decoded: {e}"
            raise NoListError(msg) from e
        return Answer(found, time.monotonic() - start if self.topic else None)

    def close(self) -> None:
        """Closes the producer."""
        if self.topic:
            self._producer.close()

    def _asked(self, user: str) -> bytes:
        try:
            request = orjson.dumps({"user": user})
            future = self._producer.client.send(self.topic, request, user.encode())
            sent = future.get(timeout=self._seconds)
        except KafkaError as e:
            msg = f"topic {self.topic} does not take the request: {e}"
            raise NoListError(msg) from e
        origin = f"{sent.topic}-{sent.partition}-{sent.offset}"
        value = self._live.answer(origin, self._seconds)
        if value is None:
            msg = (
                f"no answer in {self._seconds:.0f} s: is the job running, with"
                f" --request_topic {self.topic} and the output topic that is followed here?"
            )
            raise NoListError(msg)
        return value
