"""Dead letters in topics: sent as the sink sends them, and read as `replay` reads them."""

from __future__ import annotations

from collections.abc import Iterable

from tests.support import Topics
from transforms.formats.dead_letters import Kept, letter_of_record
from transforms.formats.records import DeadLetter, Header
from transforms.kafka.clients.factory import producer
from transforms.kafka.sink import dead_letter_messages


def send_letters(topics: Topics, topic: str, letters: Iterable[DeadLetter]) -> None:
    """Sends dead letters and waits for them."""
    client = producer(topics.settings)
    sender = client.sender(topic)
    for letter in letters:
        sender.send(dead_letter_messages(letter))
    sender.flush()
    client.close()


def kept_letters(topics: Topics, topic: str) -> list[Kept]:
    """Returns a topic's dead letters."""
    return [
        letter_of_record(
            record.key,
            record.value,
            [Header(*header) for header in record.headers],
            record.timestamp / 1000,
        )
        for record in topics.read(topic)
    ]


def letters_in(topics: Topics, topic: str) -> list[DeadLetter]:
    """Returns a topic's dead letters, all of them whole."""
    kept = kept_letters(topics, topic)
    assert all(one.whole_bytes is None for one in kept)
    return [one.letter for one in kept]
