"""How far readers are behind the ends of their partitions: as metrics, and for the runner."""

from __future__ import annotations

import time
from typing import Final

from apache_beam.metrics import Metrics
from kafka import TopicPartition

from transforms import counters

MOST_GAUGES: Final = 100
_TELL_SECONDS: Final = 1.0


class Lags:
    """What this process knows of the ends of partitions, and what it has told of them.

    The gauge of a partition is named `lag_TOPIC-PARTITION` and counts offsets; there are at most
    `MOST_GAUGES` of them in a process, as runners keep each name for the whole job.
    """

    def __init__(self) -> None:
        self._ends: dict[TopicPartition, int] = {}
        self._told: dict[TopicPartition, tuple[float, int]] = {}

    def report(self, partition: TopicPartition, position: int, end: int) -> None:
        """Notes the end of a partition; sets its gauge once a second, and when it is reached.

        Args:
            partition: Of this process; called by the step that reads it.
            position: The next offset to read.
            end: The offset behind the last record.
        """
        self._ends[partition] = end
        lag = max(0, end - position)
        told_at, told = self._told.get(partition, (0.0, -1))
        now = time.monotonic()
        if lag == told or (lag and now - told_at < _TELL_SECONDS):
            return
        if partition in self._told or len(self._told) < MOST_GAUGES:
            self._told[partition] = (now, lag)
            name = f"lag_{partition.topic}-{partition.partition}"
            Metrics.gauge(counters.NAMESPACE, name).set(lag)

    def size(self, partition: TopicPartition, start: int) -> int:
        """Returns how many offsets there are from `start` on; at least 1, also if unknown."""
        return max(1, self._ends.get(partition, start) - start)
