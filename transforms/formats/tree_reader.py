"""What decoded trees say by a mapping: ratings, or a request.

A tree may be a list of events, and an event may be in an envelope.
"""

from __future__ import annotations

from typing import Any

import orjson

from transforms.errors import MalformedRecordError
from transforms.formats.dead_letters import class_name
from transforms.formats.envelopes import UNWRAP
from transforms.formats.found import DELETE, EVENT, Found, Skipped, Unusable
from transforms.formats.mapping import RecordMapping
from transforms.formats.plan_cache import PlanCache, described
from transforms.formats.plans import Plan
from transforms.formats.raw_records import Surroundings
from transforms.formats.times import TimeReader
from transforms.formats.validation import (
    checked_features,
    checked_rating,
    checked_request,
    optional_number,
)


class TreeReader:
    """Reads trees by one mapping, and says what it took for which field.

    Args:
        mapping: Where the fields are.
        plans: Of the mapping.

    Attributes:
        clock: Of the records' own times.
        has_described: Whether a first rating was read and described in `notes`.
    """

    def __init__(self, mapping: RecordMapping, plans: PlanCache) -> None:
        self.clock = TimeReader(mapping.timestamp_unit)
        self.has_described = False
        self._mapping = mapping
        self._plans = plans
        self._unwrap = UNWRAP.get(mapping.envelope)
        self._weights = dict(mapping.event_weights)
        self._envelope_clock = TimeReader()
        self._notes: list[str] = []

    def notes(self) -> list[str]:
        """Returns what there is to say since the last call: what was taken for which field."""
        notes = self._notes + self.clock.notes
        self._notes, self.clock.notes = [], []
        return notes

    def document(
        self, tree: Any, origin: str, around: Surroundings, found: Found, of_rows: Plan | None
    ) -> None:
        """Reads the ratings of a document; a list holds several events.

        Args:
            tree: The decoded document.
            origin: Of its record.
            around: What came with it.
            found: Is added to.
            of_rows: The plan, where trees are rows of a file with named columns.

        Raises:
            MalformedRecordError: The document, or its only event, cannot be used.
        """
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
        if not self.has_described:
            self.has_described = True
            if note := described(plan, self._mapping, rating, timestamp):
                self._notes.append(note)

    def _time(self, plan: Plan, tree: Any, around: Surroundings, outer_time: Any) -> float | None:
        """Returns the record's time, else its envelope's, else the broker's."""
        timestamp = self.clock.seconds(plan.timestamp(tree, around))
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

    def request(
        self, tree: Any, origin: str, around: Surroundings, found: Found, published: float
    ) -> None:
        """Reads a request.

        Args:
            tree: The decoded record.
            origin: Of the record.
            around: What came with it.
            found: Is added to.
            published: Its time if it has none.

        Raises:
            MalformedRecordError: It cannot be used.
        """
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
        found.requests.append(made)


def _is_plain_request(tree: Any) -> bool:
    return type(tree) is dict and "user" in tree
