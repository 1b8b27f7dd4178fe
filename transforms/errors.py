"""Exceptions that this package raises on purpose, each with when it is raised."""

from __future__ import annotations


class MalformedRecordError(ValueError):
    """A record can not be read as a rating; the text is the dead letter's reason."""


class UnsupportedFormatError(ValueError):
    """A file or a flag names a format, or has a content, that no decoder here knows."""


class IncompatibleModelError(ValueError):
    """A saved model does not fit the recommender that is asked to load it."""


class OutOfSequenceError(RuntimeError):
    """A runner delivered a batch twice between two steps of the pipeline."""


class KafkaSetupError(RuntimeError):
    """A broker, topic or Kafka setting can not be used; the text says what to do."""


class DeliveryError(RuntimeError):
    """The broker did not acknowledge a record before the bundle had to end."""
