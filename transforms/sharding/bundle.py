"""What a bundle sends to each shard: one batch, whatever the number of partitions it has read.

A topic of many partitions is read a few records at a time, and a batch costs the steps behind as
much as dozens of ratings. What a bundle gives leaves at its end anyhow, so nothing waits for it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Final, Generic, TypeVar

from apache_beam.transforms.window import GlobalWindow, GlobalWindows, TimestampedValue
from apache_beam.utils.timestamp import MIN_TIMESTAMP, Duration, Timestamp
from apache_beam.utils.windowed_value import WindowedValue

from transforms.batches import RatingBatch
from transforms.runtime.worker_context import WORKER
from transforms.sharding.keys import joined

Key = TypeVar("Key")

MAX_JOINED: Final = 4096
"""Maximum ratings and requests of a joined batch: larger ones save nothing more."""

_STEP: Final = Duration(micros=1000)
"""Runners keep milliseconds."""

_END: Final = GlobalWindow().max_timestamp()


class _Clock:
    """Strictly increasing timestamps for the batches that a process sends.

    Timestamps of different partitions are unrelated, so with those of joined batches a runner that
    orders by time could process a partition out of order.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = MIN_TIMESTAMP

    def after(self, time: Timestamp) -> Timestamp:
        """Returns `time`, or one step after the last returned time if that is later."""
        if time >= _END:
            # The end of the window, which what comes out of a GroupByKey has. None is later.
            return time
        with self._lock:
            self._last = max(time, self._last + _STEP)
            return self._last


class BundleBatches(Generic[Key]):
    """The batches of one bundle, by key."""

    def __init__(self) -> None:
        self._parts: dict[Key, list[RatingBatch]] = {}
        self._sizes: dict[Key, int] = {}
        self._newest = MIN_TIMESTAMP

    def add(self, key: Key, batch: RatingBatch, time: Timestamp) -> Iterator[TimestampedValue]:
        """Adds a batch of a key; yields the key and what it had if that gets too large.

        Args:
            key: Of the shard.
            batch: What it gets.
            time: Beam's timestamp of the batch.
        """
        size = len(batch) + len(batch.requests)
        if key in self._parts and self._sizes[key] + size > MAX_JOINED:
            yield TimestampedValue((key, joined(self._parts.pop(key))), self._time())
        if key not in self._parts:
            self._parts[key], self._sizes[key] = [], 0
        self._parts[key].append(batch)
        self._sizes[key] += size
        self._newest = max(self._newest, time)

    def rest(self) -> Iterator[WindowedValue]:
        """Yields keys and batches that are left at the end of the bundle."""
        parts, self._parts = self._parts, {}
        if parts:
            time = self._time()
            for key, some in parts.items():
                yield GlobalWindows.windowed_value((key, joined(some)), time)

    def _time(self) -> Timestamp:
        return WORKER.get(_Clock).after(self._newest)
