"""Restriction of the element that reads partitions added while the job runs.

Partitions that exist at the start are elements of their own. What is added later can be no element:
on some runners nothing passes a shuffle before the end of the job, and on Flink all elements that
one step yields to the next without a shuffle are read by one subtask anyway. So one further element
reads all of them, and its restriction, which savepoints keep, names them and their next offsets.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import orjson
from apache_beam.coders import Coder
from apache_beam.io.iobase import RestrictionProgress, RestrictionTracker
from kafka import TopicPartition

from transforms.kafka.lag import Lags
from transforms.runtime.worker_context import WORKER
from transforms.splittable_read import (
    END,
    PositionRangeCoder,
    PositionRangeProvider,
    require_version,
)

_VERSION: Final = 1
# No position is negative, so no encoded range starts with it.
_MARK: Final = b"\xff"


class AddedPartition(NamedTuple):
    """A partition that was added.

    Attributes:
        topic: The topic's name.
        partition: The partition's number.
        position: The next offset to read.
        topic_id: The broker's id of the topic, empty if it is not known.
    """

    topic: str
    partition: int
    position: int = 0
    topic_id: str = ""


class AddedPartitions(NamedTuple):
    """What has been added so far, and whether there is nothing left to do."""

    partitions: tuple[AddedPartition, ...] = ()
    ended: bool = False


class AddedPartitionsTracker(RestrictionTracker):
    """Claims partitions and positions in them; splits only where the reader stands."""

    def __init__(self, restriction: AddedPartitions) -> None:
        self._given = restriction
        self._partitions = {(one.topic, one.partition): one for one in restriction.partitions}
        self._closed = restriction.ended

    def current_restriction(self) -> AddedPartitions:
        """Returns what is this tracker's now."""
        return self._given

    def current_progress(self) -> RestrictionProgress:
        """Returns that nothing is known of what is left."""
        return RestrictionProgress(fraction=1.0 if self._closed else 0.0)

    def try_claim(self, position: AddedPartition | None) -> bool:
        """Claims what stands before a position of a partition, which may be new; None for the end.

        Returns:
            False if the restriction was cut or has ended; nothing is claimed then.

        Raises:
            ValueError: The position is before what was claimed already.
        """
        if self._closed:
            return False
        if position is None:
            self._closed = True
            return True
        key = (position.topic, position.partition)
        before = self._partitions.get(key)
        if before is not None and position.position < before.position:
            msg = f"{position} was claimed already, up to {before.position}"
            raise ValueError(msg)
        self._partitions[key] = position
        return True

    def try_split(
        self, fraction_of_remainder: float
    ) -> tuple[AddedPartitions, AddedPartitions] | None:
        """Cuts where the reader stands, if the fraction is 0; else refuses."""
        if fraction_of_remainder != 0 or self._closed:
            return None
        self._closed = True
        self._given = self._given._replace(ended=True)
        return self._given, AddedPartitions(tuple(self._partitions.values()))

    def check_done(self) -> None:
        """Raises ValueError if it neither has ended nor was cut."""
        if not self._closed:
            msg = "added partitions were left unread"
            raise ValueError(msg)

    def is_bounded(self) -> bool:
        """Whether it has ended."""
        return self._given.ended


class KafkaRestrictionCoder(PositionRangeCoder):
    """A range of offsets as ever; behind a mark, the added partitions as JSON with a version."""

    def encode(self, value: Any) -> bytes:
        """Returns the restriction of a partition, or of added ones, as bytes."""
        if isinstance(value, AddedPartitions):
            return _MARK + orjson.dumps([_VERSION, list(map(tuple, value.partitions)), value.ended])
        return super().encode(value)

    def decode(self, encoded: bytes) -> Any:
        """Returns what `encode` wrote.

        Raises:
            IncompatibleStateError: Another version wrote it.
        """
        if not encoded.startswith(_MARK):
            return super().decode(encoded)
        document = orjson.loads(encoded[len(_MARK) :])
        require_version("added Kafka partitions", document, _VERSION)
        _, partitions, ended = document
        return AddedPartitions(tuple(AddedPartition(*one) for one in partitions), ended)


class KafkaRestrictionProvider(PositionRangeProvider):
    """Restrictions of both kinds of elements of the Kafka source."""

    def initial_restriction(self, element: Any) -> Any:
        """Returns the partition's range; nothing yet for added partitions."""
        return AddedPartitions() if element.adds else super().initial_restriction(element)

    def create_tracker(self, restriction: Any) -> Any:
        """Returns a tracker at the start of the restriction."""
        if isinstance(restriction, AddedPartitions):
            return AddedPartitionsTracker(restriction)
        return super().create_tracker(restriction)

    def restriction_size(self, element: Any, restriction: Any) -> int:
        """Returns how many offsets are left, as far as this process knows; at least 1."""
        lags = WORKER.get(Lags)
        if isinstance(restriction, AddedPartitions):
            left = (lags.size(TopicPartition(*one[:2]), one.position) for one in restriction[0])
            return max(1, sum(left))
        start, stop = restriction
        if stop != END:
            return max(1, int(stop - start))
        return lags.size(TopicPartition(element.topic, element.partition), start)

    def restriction_coder(self) -> Coder:
        """Returns the coder that savepoints depend on."""
        return KafkaRestrictionCoder()
