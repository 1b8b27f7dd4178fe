"""The splittable DoFn that both sources share: read a little, claim it, go on later.

A source is one element: a partition of a topic, or the files of a pattern. Its restriction is
a range of positions, offsets or record numbers. A `process()` call reads for a bounded time
and count, then defers the rest, so bundles end, checkpoints pass and output leaves; nothing
splits a range, as one reader for each keeps the records in order.
"""

from __future__ import annotations

import struct
import threading
import time
from collections.abc import Iterator
from typing import Any, Final, NamedTuple, Protocol

from apache_beam.coders import Coder
from apache_beam.io.iobase import RestrictionProgress, RestrictionTracker
from apache_beam.transforms.core import RestrictionProvider
from apache_beam.utils.timestamp import Timestamp

from transforms.batches import RawBatch
from transforms.errors import IncompatibleStateError
from transforms.runtime.worker_context import WORKER

END: Final = (1 << 63) - 1
"""The stop of a range that has none."""

_RANGE: Final = struct.Struct(">qq")
_EPOCH: Final = Timestamp(0)


def require_version(what: str, document: Any, version: int) -> None:
    """Checks the version that stands first in a document of saved state.

    Raises:
        IncompatibleStateError: It is another.
    """
    found = document[0] if isinstance(document, list) and document else document
    if found != version:
        msg = (
            f"the state of the {what} is of version {found!r}, expected {version}: it is of another"
            " version of this package; resume with that one, or start without the savepoint"
        )
        raise IncompatibleStateError(msg)


class PositionRange(NamedTuple):
    """Positions from `start` up to, not including, `stop`."""

    start: int
    stop: int = END


class PositionRangeCoder(Coder):
    """Two big-endian 64-bit numbers: what savepoints hold, so it must not change."""

    def encode(self, value: PositionRange) -> bytes:
        """Returns 16 bytes."""
        return _RANGE.pack(*value)

    def decode(self, encoded: bytes) -> PositionRange:
        """Returns the range."""
        return PositionRange(*_RANGE.unpack(encoded))

    def is_deterministic(self) -> bool:
        """Equal ranges have equal bytes."""
        return True


class PositionRangeTracker(RestrictionTracker):
    """Claims everything before a position; splits only where the reader stands."""

    def __init__(self, restriction: PositionRange) -> None:
        self._range = restriction
        self._next = restriction.start
        self._cut = False

    def current_restriction(self) -> PositionRange:
        """Returns the range that is this tracker's now."""
        return self._range

    def current_progress(self) -> RestrictionProgress:
        """Returns how much was read and how much is left, in positions."""
        return RestrictionProgress(
            completed=self._next - self._range.start, remaining=self._range.stop - self._next
        )

    def try_claim(self, position: int) -> bool:
        """Claims all that stands before `position`, gaps included.

        Returns:
            False if the range ends before that, or was cut; nothing is claimed then.

        Raises:
            ValueError: `position` is before what was claimed already.
        """
        if position < self._next:
            msg = f"position {position} was claimed already, up to {self._next}"
            raise ValueError(msg)
        if self._cut or position > self._range.stop:
            return False
        self._next = position
        return True

    def try_split(self, fraction_of_remainder: float) -> tuple[PositionRange, PositionRange] | None:
        """Cuts the range where the reader stands, if the fraction is 0; else refuses."""
        if fraction_of_remainder != 0 or self._cut or self._next >= self._range.stop:
            return None
        rest = PositionRange(self._next, self._range.stop)
        self._range = PositionRange(self._range.start, self._next)
        self._cut = True
        return self._range, rest

    def check_done(self) -> None:
        """Raises ValueError if a part of the range was neither claimed nor split off."""
        if self._next < self._range.stop:
            msg = f"positions {self._next} to {self._range.stop} were not read"
            raise ValueError(msg)

    def is_bounded(self) -> bool:
        """Whether the range ends."""
        return self._range.stop != END


class PositionRangeProvider(RestrictionProvider):
    """Restrictions for elements that know their own range (`element.positions`)."""

    def initial_restriction(self, element: Any) -> PositionRange:
        """Returns the element's range."""
        positions: PositionRange = element.positions
        return positions

    def create_tracker(self, restriction: PositionRange) -> PositionRangeTracker:
        """Returns a tracker at the start of the range."""
        return PositionRangeTracker(restriction)

    def restriction_size(self, element: Any, restriction: PositionRange) -> int:
        """Returns 1: how many records there are is not known before they are read."""
        return 1

    def restriction_coder(self) -> Coder:
        """Returns the coder that savepoints depend on."""
        return PositionRangeCoder()


class Chunk(NamedTuple):
    """What one read of a source gave.

    Attributes:
        batch: The records; empty if there were none in time.
        next_position: Where to go on.
        exhausted: Whether the source has ended.
        time: The newest event time known of the records or, where there are none, of the
            source, in seconds; None if nothing is known.
    """

    batch: RawBatch
    next_position: int
    exhausted: bool = False
    time: float | None = None


class Reader(Protocol):
    """Reads a source from any position; keeps what it has open between calls."""

    @property
    def sources(self) -> int:
        """How many sources this process reads, this one included."""
        ...

    def read(self, position: int, stop: int, wait_seconds: float) -> Chunk:
        """Returns what is there from `position` on, before `stop`; waits only if nothing is."""
        ...


class Limits(NamedTuple):
    """When a bundle's reading ends although there is more to read.

    A source's output leaves when its bundle ends, so what was read must not wait for what may
    come; but a bundle has its price, so what comes at once is taken along.

    Attributes:
        records: After so many records.
        seconds: After so long, if there always was a record to read.
        linger_seconds: After so long, if it read anything and there is no more.
        idle_seconds: After so long, if it read nothing. Some runners charge for each call.
    """

    records: int = 20_000
    seconds: float = 0.1
    linger_seconds: float = 0.04
    idle_seconds: float = 1.0


class ReadBudget:
    """What is left of a bundle's limits, which the sources that it reads in turn share.

    Args:
        limits: Of the whole bundle.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._start: float | None = None
        self._read = False

    def poll_timeout(self) -> float:
        """Returns how many seconds to wait for a record."""
        limits, now = self._limits, time.monotonic()
        # Some runners begin a bundle long before they hand over what is to be read.
        self._start = now if self._start is None else self._start
        whole = limits.linger_seconds if self._read else limits.idle_seconds
        return max(0.0, whole - (now - self._start))

    def note(self, records: int) -> None:
        """Takes into account that so many records were read."""
        self._read = self._read or records > 0

    def share(self, sources: int) -> tuple[int, float]:
        """Returns how many records, and for how many seconds, one of so many sources may read.

        Each has its own share, as a runner may always begin with the same one.
        """
        return max(1, self._limits.records // sources), self._limits.seconds / sources


class _StopSignal(threading.Event):
    """Set while all sources of this process are to end."""


def is_stopping() -> bool:
    """Whether `stop_reading` was called."""
    return WORKER.get(_StopSignal).is_set()


def stop_reading() -> None:
    """Ends all sources of this process where they stand, as if there were no more records."""
    WORKER.get(_StopSignal).set()


def resume_reading() -> None:
    """Takes `stop_reading` back, for the next pipeline of this process."""
    WORKER.get(_StopSignal).clear()


def read_in_bounds(
    reader: Reader, tracker: Any, watermark: Any, budget: ReadBudget
) -> Iterator[tuple[RawBatch, Timestamp]]:
    """Yields batches with their Beam timestamps; claims them, and defers what is left.

    Beam timestamps strictly increase and are never before the watermark, so no batch is late
    and runners that order by time keep the source's order. The event time of a rating is in
    the rating.

    Args:
        reader: Of the element.
        tracker: The DoFn's view of a `PositionRangeTracker`.
        watermark: A manual watermark estimator.
        budget: Of this bundle.
    """
    position, stop = tracker.current_restriction()
    start = time.monotonic()
    read = 0
    while position < stop:
        chunk = reader.read(position, stop, budget.poll_timeout())
        ended = chunk.exhausted or is_stopping()
        position = stop if ended else chunk.next_position
        if not tracker.try_claim(position):
            return
        yield from emitted(chunk, watermark)
        read += len(chunk.batch)
        budget.note(len(chunk.batch))
        records, seconds = budget.share(reader.sources)
        enough = read >= records or time.monotonic() - start >= seconds
        if position < stop and (enough or not len(chunk.batch)):
            tracker.defer_remainder()
            return


def emitted(chunk: Chunk, watermark: Any) -> Iterator[tuple[RawBatch, Timestamp]]:
    """Yields the chunk's batch with its Beam timestamp, if it has records; moves the watermark."""
    now = _later(watermark.current_watermark() or _EPOCH, chunk)
    if len(chunk.batch):
        yield chunk.batch, now
    watermark.set_watermark(now)


def _later(watermark: Timestamp, chunk: Chunk) -> Timestamp:
    known = watermark if chunk.time is None else Timestamp(seconds=chunk.time)
    if len(chunk.batch):
        # Runners keep milliseconds, so this is the smallest step that stays a step.
        return max(known, Timestamp(micros=watermark.micros + 1000))
    return max(known, watermark)
