"""Undecoded records to ratings and requests: bytes to a tree, the tree through the mapping.

Each format decodes its bytes to a tree (`detection.TreeDecoder`); all that comes after is the same
for all formats, see `TreeReader`. Plain records are read as columns instead.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from functools import partial
from typing import Any, Final

from transforms.errors import MalformedRecordError
from transforms.formats.dead_letters import class_name
from transforms.formats.detection import (
    RecordFormat,
    TreeDecoder,
    require_value,
    tree_decoder,
)
from transforms.formats.found import TOMBSTONE, Found, Skipped, Unusable, times_of
from transforms.formats.mapping import RecordMapping
from transforms.formats.origins import Origins
from transforms.formats.pass_headers import passed
from transforms.formats.plain_records import PlainReader
from transforms.formats.plan_cache import PlanCache
from transforms.formats.plans import Plan, plan_of
from transforms.formats.raw_records import RawRecords, Surroundings
from transforms.formats.times import PLAIN_SECONDS
from transforms.formats.tree_reader import TreeReader

MAX_RECORD_BYTES: Final = 1 << 20
# Read as columns; of a part that is not plain, halves down to the few are tried. The larger the
# part, the less for each record, and the more is read again.
_MOST_AT_ONCE: Final = 1024
_FEWEST_AT_ONCE: Final = 128
_FEW: Final = 8


class _Reading:
    """A batch that is being read."""

    def __init__(self, batch: RawRecords, decode: TreeDecoder) -> None:
        self.batch = batch
        self.decode = decode
        self.origins = Origins.of(batch.source, batch.positions)
        self.around = Surroundings(batch)
        self.found = Found()


_Take = Callable[[Any, str, Surroundings, Found], None]
"""Adds what is in a tree, given its origin and what came with it."""


class RecordReader:
    """Reads batches by one mapping, and remembers the shapes of their records.

    Args:
        mapping: Where the fields are.
        max_record_bytes: A longer record cannot be used.
        header_names: Headers that come with the ratings, in lower case.
        decoder: Returns the decoder of a format.
    """

    def __init__(
        self,
        mapping: RecordMapping | None = None,
        max_record_bytes: int = MAX_RECORD_BYTES,
        header_names: Collection[str] = (),
        decoder: Callable[[RecordFormat], TreeDecoder] = tree_decoder,
    ) -> None:
        self._mapping = mapping or RecordMapping()
        self._max_record_bytes = max_record_bytes
        self._header_names = header_names
        self._decoder = decoder
        plans = PlanCache(self._mapping)
        self._trees = TreeReader(self._mapping, plans)
        self._plain = PlainReader(
            plans,
            self._trees.clock.seconds,
            PLAIN_SECONDS if self._mapping.timestamp_unit == "auto" else -math.inf,
            max_record_bytes,
            header_names,
        )
        self._at_once = _MOST_AT_ONCE

    def notes(self) -> list[str]:
        """Returns what there is to say since the last call: what was taken for which field."""
        return self._trees.notes()

    def read(self, batch: RawRecords) -> Found:
        """Reads ratings; no record makes it fail.

        Raises:
            UnsupportedFormatError: There is no decoder for the batch's format.
        """
        reading = self._start(batch)
        assert batch.record_format is not None
        columns = batch.record_format.columns
        of_rows = plan_of(columns.names, self._mapping, rows=True) if columns else None
        n = len(batch.values)
        start = 0
        while start < n:
            stop = min(start + self._at_once, n)
            at_once = self._read_part(reading, start, stop, of_rows)
            self._at_once = min(2 * self._at_once, _MOST_AT_ONCE) if at_once else _FEWEST_AT_ONCE
            start = stop
        return reading.found

    def _start(self, batch: RawRecords) -> _Reading:
        assert batch.record_format is not None
        return _Reading(batch, self._decoder(batch.record_format))

    def _read_part(self, reading: _Reading, start: int, stop: int, of_rows: Plan | None) -> bool:
        """Reads records as columns if all are plain, else its halves, and a few one by one.

        Returns:
            Whether all were.
        """
        # Before the first is described, and of weighted events, the plan alone says too little.
        if self._trees.has_described and not self._mapping.event_weights:
            headers, values = reading.batch.headers, reading.batch.values
            part = slice(start, stop)
            plain = self._plain.read(
                values[part], reading.origins[part], headers[part], reading.decode, of_rows
            )
            found = reading.found
            if plain:
                found.unrated += [len(found.parts) + at for at in plain.unrated]
                found.parts.extend(plain.ratings)
                return True
        if stop - start > _FEW:
            middle = (start + stop) // 2
            self._read_part(reading, start, middle, of_rows)
            self._read_part(reading, middle, stop, of_rows)
            return False
        take = partial(self._trees.document, of_rows=of_rows)
        for index in range(start, stop):
            self._read_record(reading, index, take)
        return False

    def _read_record(self, reading: _Reading, index: int, take: _Take) -> None:
        batch, around, found = reading.batch, reading.around, reading.found
        value = batch.values[index]
        if value is None:
            found.skipped.append(Skipped(TOMBSTONE))
            return
        origin = reading.origins[index]
        around.index = index
        if batch.headers:
            around.headers = batch.headers[index]
            around.sent = passed(around.headers, self._header_names)
        try:
            tree = reading.decode(require_value(value, self._max_record_bytes))
            take(tree, origin, around, found)
        except MalformedRecordError as e:
            found.unusable.append(_unusable(index, origin, value, e))

    def times(self, batch: RawRecords) -> list[float | None]:
        """Returns the time of each record, of several events the first one's; None without one."""
        records = [f"{batch.source}{position}" for position in batch.positions]
        return times_of(records, self.read(batch))

    def read_requests(self, batch: RawRecords) -> Found:
        """Reads requests; no record makes it fail.

        A request has the same mapping as a rating; one with the plain field `user` is understood
        besides. One without a time has the broker's.
        """
        reading = self._start(batch)
        take = partial(self._trees.request, published=batch.published)
        for index in range(len(batch.values)):
            self._read_record(reading, index, take)
        return reading.found


def _unusable(index: int, origin: str, value: bytes, error: MalformedRecordError) -> Unusable:
    return Unusable(index, origin, str(error), value, class_name(error))
