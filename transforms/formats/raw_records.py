"""Undecoded records, and what stands around the one that is being read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from transforms.formats.detection import RecordFormat
from transforms.formats.records import Header


class RawRecords(Protocol):
    """Undecoded records of one source: `transforms.batches.RawBatch`, without Beam."""

    @property
    def source(self) -> str:
        """What an origin starts with."""
        ...

    @property
    def positions(self) -> Sequence[int]:
        """Offset or line number of each record."""
        ...

    @property
    def values(self) -> Sequence[bytes | None]:
        """The bytes of each record."""
        ...

    @property
    def record_format(self) -> RecordFormat | None:
        """How to decode them."""
        ...

    @property
    def published(self) -> float:
        """When the broker got the oldest, in seconds; 0 for files."""
        ...

    @property
    def keys(self) -> Sequence[bytes | None]:
        """The key of each record, or empty."""
        ...

    @property
    def headers(self) -> Sequence[Sequence[Header]]:
        """The headers of each record, or empty."""
        ...

    @property
    def times_ms(self) -> Sequence[int]:
        """When the broker got each record, in milliseconds, or empty."""
        ...


class Surroundings:
    """What stands around the tree of the record that is being read.

    Attributes:
        raw: The batch.
        index: The record's place in it.
        headers: The record's headers.
        sent: Those of them that come back on its recommendation.
        outer: The fields of its envelope.
    """

    __slots__ = ("headers", "index", "outer", "raw", "sent")

    def __init__(self, raw: RawRecords) -> None:
        self.raw = raw
        self.index = 0
        self.headers: Sequence[Header] = ()
        self.sent: Sequence[Header] = ()
        self.outer: Mapping[str, Any] = {}

    @property
    def key(self) -> bytes | None:
        """The record's key."""
        return self.raw.keys[self.index] if self.raw.keys else None

    @property
    def broker_time(self) -> float | None:
        """When the broker got the record, in seconds; None for a file."""
        times = self.raw.times_ms
        return times[self.index] / 1000 if times else None
