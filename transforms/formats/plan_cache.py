"""The plans of the shapes that a reader has met."""

from __future__ import annotations

from typing import Any, Final

from transforms.errors import MalformedRecordError
from transforms.formats.mapping import RecordMapping
from transforms.formats.names import by_usual_name
from transforms.formats.plans import Plan, plan_of

MAX_SHAPES: Final = 1000
"""So many shapes are kept; a topic with more of them is read, but slowly."""
_MAX_SHAPE_LENGTH: Final = 10_000


class PlanCache(dict[tuple[str, ...], Plan]):
    """Plans by shape.

    Args:
        mapping: Where the fields are.
    """

    def __init__(self, mapping: RecordMapping) -> None:
        super().__init__()
        self._mapping = mapping

    def of_tree(self, tree: Any) -> Plan:
        """Returns the plan of a decoded record.

        Raises:
            MalformedRecordError: It has no fields.
        """
        if type(tree) is not dict:
            msg = f"of type {type(tree).__name__}, expected an object with fields"
            raise MalformedRecordError(msg)
        shape = tuple(tree)
        return self.get(shape) or self._add(shape)

    def _add(self, shape: tuple[str, ...]) -> Plan:
        plan = plan_of(shape, self._mapping)
        if sum(map(len, shape)) + len(shape) <= _MAX_SHAPE_LENGTH:
            if len(self) >= MAX_SHAPES:
                self.clear()
            self[shape] = plan
        return plan


def described(
    plan: Plan, mapping: RecordMapping, rating: float | None, timestamp: float | None
) -> str:
    """Returns what the first rating was made of; empty if each field has its own name."""
    values = {"rating": rating, "timestamp": timestamp}
    parts = []
    for field, path in plan.taken.items():
        if field not in values or values[field] is not None:
            parts.append(f"{field} from {path!r}")
    for field, default in (("rating", "rating 1"), ("timestamp", "time 0")):
        if values[field] is None:
            path = mapping.fields.get(field, "")
            why = f"nothing at {path!r}" if path else "the record has none"
            parts.append(f"{default} ({why})")
        elif field == "timestamp" and field not in plan.taken:
            # Not from the record, so what stood around it had one.
            whose = "the envelope or the broker" if mapping.envelope else "the broker"
            parts.append(f"timestamp from {whose}")
    events = by_usual_name(plan.names)["event"]
    if events and not mapping.event_weights:
        parts.append(f"every {events[0]!r} counts alike (--event_weights says otherwise)")
    if parts == [f"{field} from {field!r}" for field in plan.taken]:
        return ""
    return f"fields of the first record: {', '.join(parts)}"
