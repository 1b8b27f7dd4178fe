"""A bundle's messages to one topic, all acknowledged but those that are too large for it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from transforms.errors import MessageTooLargeError
from transforms.kafka.clients.factory import admin, producer
from transforms.kafka.clients.protocols import Message, Producer
from transforms.kafka.producer_pool import ProducerPool
from transforms.kafka.settings import LINGER_MS, MAX_MESSAGE_BYTES, KafkaSettings

_CLIENT_LIMIT: Final = "message.max.bytes"


class Refused(NamedTuple):
    """A message that its topic does not take.

    Attributes:
        message: The message.
        reason: Its size, and the setting that forbids it.
    """

    message: Message
    reason: str


class Delivery:
    """Sends to one topic; of one bundle.

    Brokers refuse a whole batch for one message that is too large, and kafka-python then gives
    up everything that it still holds, of other bundles too. So what is refused is sent again, in
    order, by a producer of its own, in ever smaller parts: what is refused alone is too large.
    For a minute after that, what is above the topic's limit is not even sent.

    Args:
        settings: Of the brokers.
        topic: The topic's name.
        pool: Where the producer comes from.
    """

    def __init__(self, settings: KafkaSettings, topic: str, pool: ProducerPool) -> None:
        self._settings = settings
        self._topic = topic
        self._pool = pool
        self._messages: list[Message] = []
        self._refused: list[Message] = []
        self._producer = pool.borrow(settings)
        self._sender = self._producer.sender(topic)
        self._lent = True

    def send(self, messages: Iterable[Message]) -> None:
        """Hands messages over, in order.

        Raises:
            DeliveryError: One is refused at once, for another reason than its size.
        """
        start = len(self._messages)
        limit = self._pool.limit(self._settings, self._topic)
        self._messages += self._below(limit, messages)
        self._sender.send(self._messages[start:])

    def flush(self) -> list[Refused]:
        """Waits until the brokers have everything; returns what is too large for the topic.

        Raises:
            DeliveryError: Something was refused for another reason, or not acknowledged in time.
        """
        failed = True
        try:
            self._sender.flush()
            failed = False
        except MessageTooLargeError as e:
            suspects = self._messages[min(e.places) :]
        finally:
            self.end(failed=failed)
        if failed:
            self._refused += self._resend(self._below(self._ask_limit(), suspects))
        limit = self._pool.limit(self._settings, self._topic) if self._refused else None
        return [Refused(message, self._reason(message, limit)) for message in self._refused]

    def largest(self) -> int | None:
        """Returns how large a message may be; None if nobody knows."""
        limit = self._pool.limit(self._settings, self._topic)
        return None if limit is None else min(limit, self._client_limit())

    def end(self, *, failed: bool) -> None:
        """Gives the producer back, also when the bundle failed before its flush."""
        if self._lent:
            self._lent = False
            self._pool.give_back(self._settings, self._producer, failed=failed)

    def _below(self, limit: int | None, messages: Iterable[Message]) -> list[Message]:
        """Returns the messages that are not above the limit for certain; refuses the others."""
        # Compressed, a message may be smaller than it looks.
        if limit is None or any("compression" in name for name in self._settings.resolve()):
            return list(messages)
        below: list[Message] = []
        for message in messages:
            (self._refused if size_of(message) > limit else below).append(message)
        return below

    def _resend(self, messages: Sequence[Message]) -> list[Message]:
        """Sends messages in order; returns those that are too large, found by halving."""
        if not messages:
            return []
        places = self._try(messages)
        if not places:
            return []
        if len(messages) == 1:
            return list(messages)
        # What was sent after the first refusal is sent again, so that a user's last recommendation
        # stays last.
        rest = messages[min(places) :]
        middle = (len(rest) + 1) // 2
        return self._resend(rest[:middle]) + self._resend(rest[middle:])

    def _try(self, messages: Sequence[Message]) -> Sequence[int]:
        client: Producer = producer(self._settings, LINGER_MS)
        try:
            sender = client.sender(self._topic)
            sender.send(messages)
            sender.flush()
        except MessageTooLargeError as e:
            return e.places
        finally:
            client.close()
        return ()

    def _ask_limit(self) -> int | None:
        asking = admin(self._settings)
        try:
            limit = asking.max_message_bytes(self._topic)
        finally:
            asking.close()
        if limit is not None:
            self._pool.note_limit(self._settings, self._topic, limit)
        return limit

    def _client_limit(self) -> int:
        return int(self._settings.resolve().get(_CLIENT_LIMIT, MAX_MESSAGE_BYTES))

    def _reason(self, message: Message, limit: int | None) -> str:
        ours = self._client_limit()
        size = size_of(message)
        if size > ours or (limit is not None and ours < limit):
            setting = f"message.max.bytes={ours} of the Kafka client"
        elif limit is None:
            setting = "its max.message.bytes, or the brokers' message.max.bytes"
        else:
            setting = f"max.message.bytes={limit}"
        return (
            f"{size} bytes with key and headers are too large for the topic {self._topic!r}:"
            f" {setting}"
        )


def size_of(message: Message) -> int:
    """Returns the bytes of key, value and headers."""
    headers = sum(len(key) + len(value) for key, value in message.headers)
    return len(message.key or b"") + len(message.value) + len(message.origin) + headers
