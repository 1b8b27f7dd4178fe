"""Where a record has the fields of a rating: the configuration, and its paths."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from transforms.formats.names import FIELDS
from transforms.formats.times import UNITS

ENVELOPES: Final = ("cloudevents", "debezium")
KEY: Final = "key"
HEADER: Final = "header"
BROKER_TIME: Final = "broker_time"
RECORD: Final = "record"


@dataclass(frozen=True)
class RecordMapping:
    """Where records have what a rating needs. What is not named is found by its usual name.

    Attributes:
        fields: Sources by field, one of `names.FIELDS`. A source is a dotted path into the
            record, as `payload.sku`; `key`, the message's key as text, or `key.PATH` into a key
            in JSON; `header:NAME`; or `broker_time`. A leading dot, as in `.key`, means the
            record's own field. Whole numbers in a path are indexes of arrays.
        envelope: One of `ENVELOPES`, or empty. Paths are tried in the payload, then in the
            envelope.
        timestamp_unit: One of `times.UNITS`; `auto` tells numbers apart by size.
        event_weights: Weight of each event type. Other types are filtered. Empty if every
            record counts 1.
    """

    fields: Mapping[str, str] = field(default_factory=dict)
    envelope: str = ""
    timestamp_unit: str = "auto"
    event_weights: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raises ValueError for a field, path, envelope, unit or weight that cannot be."""
        for name, path in self.fields.items():
            if name not in FIELDS:
                msg = f"{name!r} is not a field, expected one of {', '.join(FIELDS)}"
                raise ValueError(msg)
            source_of(path)
        if self.envelope and self.envelope not in ENVELOPES:
            msg = f"{self.envelope!r} is not an envelope, expected {' or '.join(ENVELOPES)}"
            raise ValueError(msg)
        if self.timestamp_unit not in UNITS:
            msg = f"{self.timestamp_unit!r} is not a unit, expected {', '.join(UNITS)}"
            raise ValueError(msg)
        if "event" in self.fields and not self.event_weights:
            msg = "the event is of no use without event_weights: say what each type weighs"
            raise ValueError(msg)
        for name, weight in self.event_weights.items():
            if not math.isfinite(weight):
                msg = f"the weight of {name!r} is {weight}, expected a finite number"
                raise ValueError(msg)


class Source(NamedTuple):
    """A source, taken apart.

    Attributes:
        kind: `RECORD`, `KEY`, `HEADER` or `BROKER_TIME`.
        path: Of the record or the key, each part a name; empty for the key as text.
        name: As it was written; of a header, its name.
    """

    kind: str
    path: tuple[str, ...]
    name: str


def source_of(text: str) -> Source:
    """Takes a source apart.

    Raises:
        ValueError: A path or a header has no name.
    """
    if text == BROKER_TIME:
        return Source(BROKER_TIME, (), text)
    kind, name = RECORD, text.removeprefix(".")
    if text == KEY:
        return Source(KEY, (), text)
    if text.startswith(f"{HEADER}:"):
        kind, name = HEADER, text.removeprefix(f"{HEADER}:")
    elif text.startswith(f"{KEY}."):
        kind, name = KEY, text.removeprefix(f"{KEY}.")
    parts = (name,) if kind == HEADER else tuple(name.split("."))
    if not all(parts):
        msg = f"{text!r} is no path, expected names with dots between them"
        raise ValueError(msg)
    return Source(kind, parts, name)


def walk(tree: Any, source: Source) -> Any:
    """Returns what is at a path in a tree of dicts and lists; None if nothing is.

    A field whose own name has dots is found first.
    """
    if type(tree) is dict and source.name in tree:
        return tree[source.name]
    node = tree
    for part in source.path:
        if type(node) is dict:
            node = node.get(part)
        elif isinstance(node, list | tuple) and part.isdecimal():
            index = int(part) if len(part) < _INDEX_DIGITS else len(node)
            node = node[index] if index < len(node) else None
        else:
            return None
    return node


_INDEX_DIGITS: Final = 10


def parse_fields(text: str) -> dict[str, str]:
    """Returns the fields of a flag's value, `user=customer_id,item=payload.sku`.

    Raises:
        ValueError: A part is not of the form FIELD=SOURCE, or a field is named twice.
    """
    return _pairs(text, "FIELD=SOURCE")


def parse_weights(text: str) -> dict[str, float]:
    """Returns the weights of a flag's value, `view=0.2,purchase=1`.

    Raises:
        ValueError: A part is not of the form TYPE=WEIGHT, or a type is named twice.
    """
    weights = {}
    for name, value in _pairs(text, "TYPE=WEIGHT").items():
        try:
            weights[name] = float(value)
        except ValueError as e:
            msg = f"the weight of {name!r} is {value!r}, expected a number"
            raise ValueError(msg) from e
    return weights


def _pairs(text: str, form: str) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for part in text.split(","):
        name, equals, value = (one.strip() for one in part.partition("="))
        if not (name and equals and value):
            msg = f"{part.strip()!r} is not of the form {form}"
            raise ValueError(msg)
        if name in pairs:
            msg = f"{name!r} is named twice"
            raise ValueError(msg)
        pairs[name] = value
    return pairs
