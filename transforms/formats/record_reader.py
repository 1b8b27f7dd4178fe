"""Undecoded records to ratings and requests: bytes to a tree, the tree through the mapping.

Each format decodes its bytes to a tree (`detection.TreeDecoder`); all that comes after is the same
for all formats. A document that is a list holds several events.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from functools import partial
from typing import Any, Final

import orjson

from transforms.errors import MalformedRecordError
from transforms.formats.dead_letters import class_name
from transforms.formats.detection import (
    RecordFormat,
    TreeDecoder,
    require_value,
    tree_decoder,
)
from transforms.formats.envelopes import UNWRAP
from transforms.formats.found import DELETE, EVENT, TOMBSTONE, Found, Skipped, Unusable, times_of
from transforms.formats.mapping import RecordMapping
from transforms.formats.pass_headers import passed
from transforms.formats.plain_records import PlainReader
from transforms.formats.plan_cache import PlanCache, described
from transforms.formats.plans import Plan, plan_of
from transforms.formats.raw_records import RawRecords, Surroundings
from transforms.formats.times import PLAIN_SECONDS, TimeReader
from transforms.formats.validation import (
    checked_features,
    checked_rating,
    checked_request,
    optional_number,
)

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
        self.origins = [f"{batch.source}{position}" for position in batch.positions]
        self.around = Surroundings(batch)
        self.found = Found()


_Take = Callable[[Any, str, _Reading], None]
"""Puts what is in a tree into `_Reading.found`, given its origin."""


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
        self._unwrap = UNWRAP.get(self._mapping.envelope)
        self._weights = dict(self._mapping.event_weights)
        self._clock = TimeReader(self._mapping.timestamp_unit)
        self._envelope_clock = TimeReader()
        self._plans = PlanCache(self._mapping)
        self._plain = PlainReader(
            self._plans,
            self._clock.seconds,
            PLAIN_SECONDS if self._mapping.timestamp_unit == "auto" else -math.inf,
            max_record_bytes,
            header_names,
        )
        self._notes: list[str] = []
        self._has_described = False
        self._at_once = _MOST_AT_ONCE

    def notes(self) -> list[str]:
        """Returns what there is to say since the last call: what was taken for which field."""
        notes = self._notes + self._clock.notes
        self._notes, self._clock.notes = [], []
        return notes

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
        if self._has_described and not self._weights:
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
        take = partial(self._document, of_rows=of_rows)
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
            take(tree, origin, reading)
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
        for index in range(len(batch.values)):
            self._read_record(reading, index, self._request)
        return reading.found

    def _document(self, tree: Any, origin: str, reading: _Reading, of_rows: Plan | None) -> None:
        """Reads a document; a list holds several events."""
        around, found = reading.around, reading.found
        if of_rows:
            self._map(tree, of_rows, origin, around, found)
        elif type(tree) is not list:
            self._event(tree, origin, around, found)
        elif not tree:
            msg = "an empty array, expected events"
            raise MalformedRecordError(msg)
        else:
            self._events(tree, origin, around, found)

    def _events(self, trees: list[Any], origin: str, around: Surroundings, found: Found) -> None:
        for number, tree in enumerate(trees, start=1):
            one = f"{origin}#{number}"
            try:
                self._event(tree, one, around, found)
            except MalformedRecordError as e:
                reason = f"event {number} of {len(trees)}: {e}"
                # The record's bytes would bring the other events along when they are replayed.
                value = orjson.dumps(tree, default=str)
                found.unusable.append(Unusable(around.index, one, reason, value, class_name(e)))

    def _event(self, tree: Any, origin: str, around: Surroundings, found: Found) -> None:
        around.outer = {}
        if not self._unwrap:
            self._map(tree, self._plans.of_tree(tree), origin, around, found)
            return
        payload, around.outer, time, event = self._unwrap(tree, around.headers)
        if payload is None:
            found.skipped.append(Skipped(DELETE))
            return
        self._map(payload, self._plans.of_tree(payload), origin, around, found, time, event)

    def _map(
        self,
        tree: Any,
        plan: Plan,
        origin: str,
        around: Surroundings,
        found: Found,
        outer_time: Any = None,
        outer_event: Any = None,
    ) -> None:
        """Adds the rating that a tree holds, or counts it as skipped."""
        weight = 1.0
        if self._weights:
            event = plan.event(tree, around)
            name = self._event_name(outer_event if event is None else event, plan)
            if name not in self._weights:
                found.skipped.append(Skipped(EVENT, name))
                return
            weight = self._weights[name]
        user, item = plan.user(tree, around), plan.item(tree, around)
        if user is None or item is None:
            missing = "user" if user is None else "item"
            raise MalformedRecordError(plan.missing(missing, self._mapping))
        rating = optional_number(plan.rating(tree, around))
        timestamp = self._time(plan, tree, around, outer_time)
        features = None
        if plan.features:
            features = checked_features(*(get(tree, around) for get in plan.features))
        made = checked_rating(
            user,
            item,
            1.0 if rating is None else rating,
            0.0 if timestamp is None else timestamp,
            origin,
            features,
            weight,
            around.sent,
        )
        if rating is None:
            found.unrated.append(len(found.parts))
        if timestamp is None:
            found.untimed.append(len(found.parts))
        found.parts.append(made)
        if not self._has_described:
            self._has_described = True
            if note := described(plan, self._mapping, rating, timestamp):
                self._notes.append(note)

    def _time(self, plan: Plan, tree: Any, around: Surroundings, outer_time: Any) -> float | None:
        """Returns the record's time, else its envelope's, else the broker's."""
        timestamp = self._clock.seconds(plan.timestamp(tree, around))
        if timestamp is None and outer_time is not None:
            timestamp = self._envelope_clock.seconds(outer_time)
        return around.broker_time if timestamp is None else timestamp

    def _event_name(self, event: Any, plan: Plan) -> str:
        if type(event) is str:
            return event
        if type(event) is int:
            return str(event)
        if event is None:
            raise MalformedRecordError(plan.missing("event", self._mapping))
        msg = f"event is of type {type(event).__name__}, expected a string"
        raise MalformedRecordError(msg)

    def _request(self, tree: Any, origin: str, reading: _Reading) -> None:
        around, published = reading.around, reading.batch.published
        around.outer = {}
        time = None
        if self._unwrap and not _is_plain_request(tree):
            tree, around.outer, time, _ = self._unwrap(tree, around.headers)
        plan = self._plans.of_tree(tree)
        user = plan.user(tree, around)
        if user is None:
            user = tree.get("user")
        if user is None:
            raise MalformedRecordError(plan.missing("user", self._mapping))
        timestamp = self._time(plan, tree, around, time)
        asked = published if timestamp is None else timestamp
        context = plan.context(tree, around)
        made = checked_request(user, asked, context, origin, around.sent)
        reading.found.requests.append(made)


def _unusable(index: int, origin: str, value: bytes, error: MalformedRecordError) -> Unusable:
    return Unusable(index, origin, str(error), value, class_name(error))


def _is_plain_request(tree: Any) -> bool:
    return type(tree) is dict and "user" in tree
