"""Undecoded records to ratings and requests: bytes to a tree, the tree through the mapping.

Each format decodes its bytes to a tree (`detection.TreeDecoder`); all that comes after is the same
for all formats. A document that is a list holds several events.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from typing import Any, Final, Protocol

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
from transforms.formats.found import DELETE, EVENT, TOMBSTONE, Found, Skipped, Unusable
from transforms.formats.mapping import RecordMapping
from transforms.formats.pass_headers import passed
from transforms.formats.plans import Plan, RawRecords, Surroundings, plan_of
from transforms.formats.records import Header, Request
from transforms.formats.times import PLAIN_SECONDS, TimeReader
from transforms.formats.validation import (
    as_number,
    checked_features,
    checked_rating,
    checked_request,
    number_of_text,
)

MAX_RECORD_BYTES: Final = 1 << 20
_NUMBERS: Final = frozenset({int, float})
MAX_SHAPES: Final = 1000
"""So many shapes are kept; a topic with more of them is read, but slowly."""
_MAX_SHAPE_LENGTH: Final = 10_000


class Batch(RawRecords, Protocol):
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
        # Numbers below are seconds; all others are for the clock.
        self._plain_below = PLAIN_SECONDS if self._mapping.timestamp_unit == "auto" else -math.inf
        self._plans: dict[tuple[str, ...], Plan] = {}
        self._notes: list[str] = []
        self._has_described = False

    def notes(self) -> list[str]:
        """Returns what there is to say since the last call: what was taken for which field."""
        notes = self._notes + self._clock.notes
        self._notes, self._clock.notes = [], []
        return notes

    def read(self, batch: Batch) -> Found:
        """Reads ratings; no record makes it fail.

        Raises:
            UnsupportedFormatError: There is no decoder for the batch's format.
        """
        assert batch.record_format is not None
        found = Found()
        around = Surroundings(batch)
        decode, longest = self._decoder(batch.record_format), self._max_record_bytes
        columns = batch.record_format.columns
        of_rows = self._plan(columns.names, rows=True) if columns else None
        plans, plain_below, source = self._plans, self._plain_below, batch.source
        headers = batch.headers
        clock, add = self._clock.seconds, found.ratings.append
        for index, (position, value) in enumerate(zip(batch.positions, batch.values, strict=True)):
            if value is None:
                found.skipped.append(Skipped(TOMBSTONE))
                continue
            origin = f"{source}{position}"
            sent: Sequence[Header] = ()
            if headers:
                around.headers = headers[index]
                sent = around.sent = passed(around.headers, self._header_names)
            try:
                if value and len(value) <= longest and not value.isspace():
                    tree = decode(value)
                else:
                    tree = decode(require_value(value, longest))
                if type(tree) is dict:
                    plan = plans.get(tuple(tree))
                else:
                    plan = of_rows if self._has_described else None
                # Most records are plain; what follows for them is written out for speed.
                if plan is not None and plan.plain is not None:
                    user, item, rating, timestamp = plan.plain(tree)
                    if type(timestamp) not in _NUMBERS or timestamp >= plain_below:
                        timestamp = clock(timestamp)
                    rating = rating if type(rating) is float else _number(rating)
                    if user is not None and item is not None and timestamp is not None:
                        liked = 1.0 if rating is None else rating
                        add(checked_rating(user, item, liked, timestamp, origin, None, 1.0, sent))
                        if rating is None:
                            found.unrated.append(len(found.ratings) - 1)
                        continue
                around.index = index
                self._document(tree, of_rows, origin, around, found)
            except MalformedRecordError as e:
                found.unusable.append(_unusable(index, origin, value, e))
        return found

    def times(self, batch: Batch) -> list[float | None]:
        """Returns the time of each record, of several events the first one's; None without one."""
        found = self.read(batch)
        untimed = set(found.untimed)
        times = [
            None if index in untimed else rating.timestamp
            for index, rating in enumerate(found.ratings)
        ]
        records = [f"{batch.source}{position}" for position in batch.positions]
        known = set(records)
        first: dict[str, float | None] = {}
        for rating, time in zip(found.ratings, times, strict=True):
            whole = rating.origin in known
            first.setdefault(rating.origin if whole else rating.origin.rpartition("#")[0], time)
        return [first.get(record) for record in records]

    def read_requests(self, batch: Batch) -> Found:
        """Reads requests; no record makes it fail.

        A request has the same mapping as a rating; one with the plain field `user` is understood
        besides. One without a time has the broker's.
        """
        assert batch.record_format is not None
        found = Found()
        around = Surroundings(batch)
        decode, longest = self._decoder(batch.record_format), self._max_record_bytes
        for index, (position, value) in enumerate(zip(batch.positions, batch.values, strict=True)):
            if value is None:
                found.skipped.append(Skipped(TOMBSTONE))
                continue
            origin = f"{batch.source}{position}"
            around.index = index
            if batch.headers:
                around.headers = batch.headers[index]
                around.sent = passed(around.headers, self._header_names)
            try:
                tree = decode(require_value(value, longest))
                found.requests.append(self._request(tree, origin, around, batch.published))
            except MalformedRecordError as e:
                found.unusable.append(_unusable(index, origin, value, e))
        return found

    def _document(
        self, tree: Any, of_rows: Plan | None, origin: str, around: Surroundings, found: Found
    ) -> None:
        """Reads a document that is not plain; a list holds several events."""
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
            self._map(tree, self._plan_of_tree(tree), origin, around, found)
            return
        payload, around.outer, time, event = self._unwrap(tree, around.headers)
        if payload is None:
            found.skipped.append(Skipped(DELETE))
            return
        self._map(payload, self._plan_of_tree(payload), origin, around, found, time, event)

    def _plan_of_tree(self, tree: Any) -> Plan:
        if type(tree) is not dict:
            msg = f"of type {type(tree).__name__}, expected an object with fields"
            raise MalformedRecordError(msg)
        shape = tuple(tree)
        return self._plans.get(shape) or self._plan(shape)

    def _plan(self, names: tuple[str, ...], *, rows: bool = False) -> Plan:
        plan = plan_of(names, self._mapping, rows=rows)
        if not rows and sum(map(len, names)) + len(names) <= _MAX_SHAPE_LENGTH:
            if len(self._plans) >= MAX_SHAPES:
                self._plans.clear()
            self._plans[names] = plan
        return plan

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
        rating = _number(plan.rating(tree, around))
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
            found.unrated.append(len(found.ratings))
        if timestamp is None:
            found.untimed.append(len(found.ratings))
        found.ratings.append(made)
        if not self._has_described:
            self._describe(plan, rating, timestamp)

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

    def _request(self, tree: Any, origin: str, around: Surroundings, published: float) -> Request:
        around.outer = {}
        time = None
        if self._unwrap and not _is_plain_request(tree):
            tree, around.outer, time, _ = self._unwrap(tree, around.headers)
        plan = self._plan_of_tree(tree)
        user = plan.user(tree, around)
        if user is None:
            user = tree.get("user")
        if user is None:
            raise MalformedRecordError(plan.missing("user", self._mapping))
        timestamp = self._time(plan, tree, around, time)
        asked = published if timestamp is None else timestamp
        context = plan.context(tree, around)
        return checked_request(user, asked, context, origin, around.sent)

    def _describe(self, plan: Plan, rating: float | None, timestamp: float | None) -> None:
        """Notes what the first rating was made of, unless each field has its own name."""
        self._has_described = True
        values = {"rating": rating, "timestamp": timestamp}
        parts = []
        for field, path in plan.taken.items():
            if field not in values or values[field] is not None:
                parts.append(f"{field} from {path!r}")
        for field, default in (("rating", "rating 1"), ("timestamp", "time 0")):
            if values[field] is None:
                path = self._mapping.fields.get(field, "")
                why = f"nothing at {path!r}" if path else "the record has none"
                parts.append(f"{default} ({why})")
        if parts != [f"{field} from {field!r}" for field in plan.taken]:
            self._notes.append(f"fields of the first record: {', '.join(parts)}")


def _unusable(index: int, origin: str, value: bytes, error: MalformedRecordError) -> Unusable:
    return Unusable(index, origin, str(error), value, class_name(error))


def _is_plain_request(tree: Any) -> bool:
    return type(tree) is dict and "user" in tree


def _number(value: Any) -> float | None:
    """Returns a rating; None for null and for text without content."""
    if type(value) is str:
        return number_of_text("rating", value) if value and not value.isspace() else None
    if value is None:
        return None
    return as_number("rating", value)
