"""Exceptions that this package raises on purpose, each with when it is raised."""

from __future__ import annotations

from collections.abc import Sequence


class MalformedRecordError(ValueError):
    """A record cannot be read as a rating; the text is the dead letter's reason."""


class UnsupportedFormatError(ValueError):
    """A file or a flag names a format, or has a content, that no decoder here knows."""


class IncompatibleModelError(ValueError):
    """A saved model does not fit the recommender that is asked to load it."""


class OutOfSequenceError(RuntimeError):
    """A runner delivered a batch twice between two steps of the pipeline."""


class IncompatibleStateError(ValueError):
    """Saved state was written by a version of this package that this one does not read."""


class KafkaSetupError(RuntimeError):
    """A broker, topic or Kafka setting cannot be used; the text says what to do."""


class SchemaRegistrySetupError(RuntimeError):
    """A schema registry, or a setting of it, cannot be used; the text says what to do."""


class DeliveryError(RuntimeError):
    """The broker did not acknowledge a record before the bundle had to end."""


class MessageTooLargeError(DeliveryError):
    """The client or the broker refused messages because of their size.

    Attributes:
        places: Which of the messages sent since the last flush, from 0. Some may have been
            refused only because they were sent together with one that is too large.
    """

    def __init__(self, text: str, places: Sequence[int]) -> None:
        super().__init__(text)
        self.places = places
