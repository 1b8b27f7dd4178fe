"""How records of one shape are read: where each field is, found once and kept.

A shape is the names that a record has at its top level. All paths of the configuration and all
usual names are resolved for a shape, so that reading a record takes a few look-ups.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Final

import orjson

from transforms.errors import MalformedRecordError, UnsupportedFormatError
from transforms.formats.delimited import Columns, shown_header
from transforms.formats.mapping import (
    BROKER_TIME,
    HEADER,
    KEY,
    RECORD,
    RecordMapping,
    Source,
    source_of,
    walk,
)
from transforms.formats.names import FIELDS, USUAL_NAMES, by_usual_name
from transforms.formats.raw_records import Surroundings
from transforms.formats.records import Header

RATING_FIELDS: Final = ("user", "item", "rating", "timestamp")
_FEATURES: Final = ("user_features", "item_features", "context")
_SHOWN: Final = 200


Getter = Callable[[Any, Surroundings], Any]
Direct = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Plan:
    """How records of one shape are read.

    Attributes:
        plain: Get user, item, rating and timestamp of a tree, each None if there is no value; None
            if more is to be read than these, or from elsewhere than the record.
        user: Gets the user; as all of these, None if there is no value.
        item: Gets the item.
        rating: Gets the rating.
        timestamp: Gets the time.
        event: Gets the event's type.
        features: Gets features of user, item and context; None if the shape has none.
        context: Gets the context of a request.
        taken: What each field is taken from, by field.
        names: Of the shape, for error messages.
    """

    plain: tuple[Direct, Direct, Direct, Direct] | None
    user: Getter
    item: Getter
    rating: Getter
    timestamp: Getter
    event: Getter
    features: tuple[Getter, Getter, Getter] | None
    context: Getter
    taken: Mapping[str, str]
    names: Sequence[str]

    def missing(self, name: str, mapping: RecordMapping) -> str:
        """Returns why a record has no value for a field that it needs."""
        if name in mapping.fields:
            return f"{name} is missing: nothing at {mapping.fields[name]!r}"
        if name in self.taken:
            return f"{name} is missing: no value at {self.taken[name]!r}"
        found = ", ".join(self.names)
        found = f"{found[:_SHOWN]}..." if len(found) > _SHOWN else found
        flag = "--event_field PATH" if name == "event" else f"--fields {name}=PATH"
        return f"{name} is missing: no usual name for it among '{found}'; say where with {flag}"


def plan_of(names: Sequence[str], mapping: RecordMapping, *, rows: bool = False) -> Plan:
    """Resolves the fields for records that have these names.

    Args:
        names: Of the shape.
        mapping: What the user said.
        rows: Whether the records are lists of cells, in the order of the names.
    """
    usual = by_usual_name(names)
    places: Mapping[str, Any] = {name: at if rows else name for at, name in enumerate(names)}
    direct: dict[str, Direct] = {}
    getters: dict[str, Getter] = {}
    taken: dict[str, str] = {}
    for field in FIELDS:
        path = mapping.fields.get(field)
        if field == "event" and not mapping.event_weights:
            continue
        if path:
            taken[field] = path
            source = source_of(path)
            getters[field] = _getter(source, rows=rows)
            if source.kind == RECORD and source.name in places:
                direct[field] = itemgetter(places[source.name])
            elif source.kind == RECORD and not (rows or any(map(str.isdecimal, source.path))):
                direct[field] = _nested(source.path)
        elif usual[field]:
            found = [places[name] for name in usual[field]]
            taken[field] = usual[field][0]
            direct[field] = itemgetter(found[0]) if len(found) == 1 else _first(found)
        if field in direct and (rows or not path):
            getters[field] = _around(direct[field])
    get = {field: getters.get(field, _nothing) for field in FIELDS}
    user, item, context = (get[field] for field in _FEATURES)
    return Plan(
        plain=_plain(direct, getters, mapping),
        user=get["user"],
        item=get["item"],
        rating=get["rating"],
        timestamp=get["timestamp"],
        event=get["event"],
        features=(user, item, context) if getters.keys() & set(_FEATURES) else None,
        context=context,
        taken=taken,
        names=names,
    )


def _plain(
    direct: Mapping[str, Direct], getters: Mapping[str, Getter], mapping: RecordMapping
) -> tuple[Direct, Direct, Direct, Direct] | None:
    if mapping.envelope or direct.keys() != getters.keys() or getters.keys() - RATING_FIELDS:
        return None
    if not direct.keys() >= {"user", "item", "timestamp"}:
        return None
    return (
        direct["user"],
        direct["item"],
        direct.get("rating", _without_rating),
        direct["timestamp"],
    )


def _without_rating(_: Any) -> None:
    return None


def _nothing(_: Any, __: Surroundings) -> None:
    return None


def _around(get: Direct) -> Getter:
    return lambda tree, _: get(tree)


def _first(places: Sequence[Any]) -> Direct:
    def get(tree: Any) -> Any:
        values = (tree[place] for place in places)
        return next((value for value in values if value is not None and value != ""), None)

    return get


def _nested(path: Sequence[str]) -> Direct:
    if len(path) == 2:  # Most paths: spares the loop.
        outer, inner = path

        def get_inner(tree: Any) -> Any:
            try:
                return tree[outer][inner]
            except (LookupError, TypeError):
                return None

        return get_inner

    def get(tree: Any) -> Any:
        try:
            for part in path:
                tree = tree[part]
        except (LookupError, TypeError):
            return None
        return tree

    return get


def _getter(source: Source, *, rows: bool) -> Getter:
    if source.kind == KEY:
        return lambda _, around: _of_key(around.key, source)
    if source.kind == HEADER:
        return lambda _, around: _of_header(around.headers, source.name)
    if source.kind == BROKER_TIME:
        return lambda _, around: around.broker_time
    if rows:
        return lambda *_: None

    def get(tree: Any, around: Surroundings) -> Any:
        value = walk(tree, source)
        return walk(around.outer, source) if value is None and around.outer else value

    return get


def _of_key(key: bytes | None, source: Source) -> Any:
    if key is None:
        return None
    try:
        if source.path:
            return walk(orjson.loads(key), source)
        return key.decode("utf-8")
    except ValueError as e:
        what = "JSON" if source.path else "UTF-8"
        msg = f"the key is no {what}: {e}"
        raise MalformedRecordError(msg) from e


def _of_header(headers: Sequence[Header], name: str) -> Any:
    # Of equal names the last one counts, as for Kafka's `lastHeader`.
    for key, value in reversed(headers):
        if key == name:
            try:
                return value.decode("utf-8")
            except UnicodeDecodeError as e:
                msg = f"the header {name!r} is no UTF-8: {e}"
                raise MalformedRecordError(msg) from e
    return None


def require_fields(columns: Columns, mapping: RecordMapping) -> None:
    """Checks that a file's header names a user and an item, and all that the mapping names.

    Raises:
        UnsupportedFormatError: It does not.
    """
    plan = plan_of(columns.names, mapping, rows=True)
    header = shown_header(columns.separator.join(columns.names))
    for name, path in mapping.fields.items():
        if path not in columns.names and name != "event":
            msg = f"the header {header} has no column {path!r}, which is to be the {name}"
            raise UnsupportedFormatError(msg)
    missing = [field for field in ("user", "item") if field not in plan.taken]
    if missing:
        usual = " or ".join(f"{_some_names(field)}, ..." for field in missing)
        msg = (
            f"the header {header} has no column for {', '.join(missing)}; expected {usual},"
            f" or --fields {','.join(f'{field}=COLUMN' for field in missing)}"
        )
        raise UnsupportedFormatError(msg)


def _some_names(field: str) -> str:
    return ", ".join(USUAL_NAMES[field][:4])
