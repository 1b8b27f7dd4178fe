from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.batches import RawBatch
from transforms.formats.detection import JSON, REQUEST_FORMAT, RecordFormat, format_of_text
from transforms.formats.found import DELETE, EVENT, TOMBSTONE, Found, Skipped
from transforms.formats.mapping import RecordMapping
from transforms.formats.names import FIELDS
from transforms.formats.record_reader import RecordReader
from transforms.formats.records import Features, Header, Rating, Request

PLAIN = {"user": 196, "item": 242, "rating": 3.0, "timestamp": 881250949}
RATING = Rating("196", "242", 3.0, 881250949.0, "t-0-1")
SHOP = {"customer_id": "c1", "sku": "x9", "event": "purchase", "ts": "2026-11-25T10:00:00Z"}
SHOP_TIME = 1795600800.0


def _batch(trees: Sequence[Any], record_format: RecordFormat = JSON, **more: Any) -> RawBatch:
    values = [tree if isinstance(tree, bytes | None) else orjson.dumps(tree) for tree in trees]
    return RawBatch("t-0-", range(1, len(values) + 1), values, record_format, **more)


def _read(trees: Sequence[Any], mapping: RecordMapping | None = None, **more: Any) -> Found:
    return RecordReader(mapping).read(_batch(trees, **more))


def _only(tree: Any, mapping: RecordMapping | None = None, **more: Any) -> Rating:
    found = _read([tree], mapping, **more)
    assert found.unusable == []
    (rating,) = found.ratings
    return rating


def _reason(tree: Any, mapping: RecordMapping | None = None, **more: Any) -> str:
    (unusable,) = _read([tree], mapping, **more).unusable
    return unusable.reason


@pytest.mark.parametrize(
    "names",
    [
        ("user", "item", "rating", "timestamp"),
        ("user_id", "item_id", "stars", "ts"),
        ("userId", "movieId", "rating", "eventTime"),
        ("customer_id", "sku", "userRating", "created_at"),
    ],
)
def test_usual_names_are_understood(names: tuple[str, ...]) -> None:
    tree = dict(zip(names, PLAIN.values(), strict=True))
    assert _only(tree) == RATING


def test_a_shops_events_need_no_flag() -> None:
    found = _read([SHOP] * 3)
    expected = [Rating("c1", "x9", 1.0, SHOP_TIME, f"t-0-{n}") for n in (1, 2, 3)]
    assert found.ratings == expected
    assert found.unrated == [0, 1, 2]


def test_a_refused_event_leaves_no_mark_on_the_rating_behind_it() -> None:
    refused = {**SHOP, "customer_id": ["no id"]}
    for trees in ([SHOP, refused, PLAIN], [[SHOP, refused, PLAIN]]):
        found = _read(trees)
        assert found.unrated == [0]
        assert [rating.rating for rating in found.ratings] == [1.0, 3.0]


def test_records_of_several_shapes_are_resolved_each_on_its_own() -> None:
    trees = [PLAIN, SHOP, {**PLAIN, "user_id": 7}, {"uid": 1, "sku": 2, "ts": 3}, PLAIN]
    found = _read(trees)
    assert [rating[:2] for rating in found.ratings] == [
        ("196", "242"),
        ("c1", "x9"),
        ("196", "242"),
        ("1", "2"),
        ("196", "242"),
    ]
    assert found.unrated == [1, 3]


@pytest.mark.parametrize("empty", [None, ""])
def test_of_two_names_the_one_with_a_value_counts(empty: object) -> None:
    tree = {"user": empty, "user_id": 5, "item": 1, "product": 2, "ts": 3, "time": 4}
    assert _only(tree)[:4] == ("5", "1", 1.0, 3.0)


NESTED = {
    "customer": {"id": "c1"},
    "payload": {"sku": "x9", "list": [{"stars": 4}]},
    "meta": {"at": 1764064800123},
}


def test_paths_lead_into_records() -> None:
    fields = {
        "user": "customer.id",
        "item": "payload.sku",
        "rating": "payload.list.0.stars",
        "timestamp": "meta.at",
    }
    found = _read([NESTED] * 2, RecordMapping(fields))
    assert [rating[:4] for rating in found.ratings] == [("c1", "x9", 4.0, 1764064800.123)] * 2
    assert found.unrated == []


def test_paths_stand_beside_usual_names() -> None:
    mapping = RecordMapping({"user": "payload.who"})
    assert _only({**PLAIN, "payload": {"who": "me"}}, mapping).user == "me"


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"user": "customer.name"}, "user is missing: nothing at 'customer.name'"),
        ({"user": "customer.id.x"}, "user is missing: nothing at 'customer.id.x'"),
        ({"user": "customer.id", "item": "item"}, "item is missing: nothing at 'item'"),
        ({"user": "customer.id"}, "item is missing: no usual name for it among 'customer, payload"),
        ({"user": "customer", "item": "payload.sku"}, "user is of type dict, expected a string"),
        ({"user": "key", "item": "payload.sku"}, "user is missing: nothing at 'key'"),
    ],
)
def test_what_is_missing_is_named(fields: dict[str, str], reason: str) -> None:
    for _ in range(2):
        assert _reason(NESTED, RecordMapping(fields)).startswith(reason)


def test_key_headers_and_brokers_time() -> None:
    mapping = RecordMapping({"user": "key", "item": "header:sku", "timestamp": "broker_time"})
    headers = [Header("sku", b"old"), Header("sku", b"x9"), Header("other", b"\xff")]
    around: dict[str, Any] = {"keys": [b"c1"], "headers": [headers], "times_ms": [12500]}
    tree = {"user": 1, "item": 2, "timestamp": 3, "rating": 4}
    assert _only(tree, mapping, **around)[:4] == ("c1", "x9", 4.0, 12.5)


def test_a_path_into_a_key_in_json_and_a_field_called_key() -> None:
    tree = {"key": "field", "sku": "x9", "rating": "4", "ts": 5}
    around: dict[str, Any] = {"keys": [b'{"id": {"c": 7}}']}
    assert _only(tree, RecordMapping({"user": "key.id.c"}), **around).user == "7"
    assert _only(tree, RecordMapping({"user": ".key"}), **around).user == "field"
    assert _reason(tree, RecordMapping({"user": "key.no"}), **around).startswith("user is missing")


@pytest.mark.parametrize(
    ("source", "around", "reason"),
    [
        ("key", {"keys": [b"\xff"]}, "the key is no UTF-8: "),
        ("key.id", {"keys": [b"c1"]}, "the key is no JSON: "),
        ("header:h", {"headers": [[Header("h", b"\xff")]]}, "the header 'h' is no UTF-8: "),
        ("header:h", {"headers": [[]]}, "user is missing: nothing at 'header:h'"),
        ("broker_time", {}, "user is missing: nothing at 'broker_time'"),
    ],
)
def test_a_key_or_header_that_can_not_be_read(
    source: str, around: dict[str, Any], reason: str
) -> None:
    assert _reason(PLAIN, RecordMapping({"user": source}), **around).startswith(reason)


def test_without_a_time_it_is_the_brokers_else_zero() -> None:
    tree = {"user": 1, "item": 2, "rating": 3}
    assert _only(tree, times_ms=[12500]).timestamp == 12.5
    found = _read([tree, PLAIN])
    assert [rating.timestamp for rating in found.ratings] == [0.0, 881250949.0]
    assert found.untimed == [0]


def test_the_times_of_records_for_an_order() -> None:
    trees = [PLAIN, {"user": 1, "item": 2}, b"{", [{**PLAIN, "timestamp": 5}, PLAIN], None]
    assert RecordReader().times(_batch(trees)) == [881250949.0, None, None, 5.0, None]


def test_features_are_read_wherever_they_are() -> None:
    tree = {**PLAIN, "user_features": [1], "context": [2, 3]}
    assert _only(tree).features == Features((1.0,), (), (2.0, 3.0))
    mapping = RecordMapping({"item_features": "x.y"})
    assert _only({**PLAIN, "x": {"y": [5]}}, mapping).features == Features((), (5.0,), ())


# Several events in one record.


def test_each_event_of_an_array_is_a_rating_with_an_origin_of_its_own() -> None:
    found = _read([PLAIN, [PLAIN, SHOP, PLAIN], PLAIN])
    origins = ["t-0-1", "t-0-2#1", "t-0-2#2", "t-0-2#3", "t-0-3"]
    assert [rating.origin for rating in found.ratings] == origins
    assert found.unrated == [2]


def test_a_bad_event_of_an_array_is_a_dead_letter_with_its_own_bytes() -> None:
    found = _read([[PLAIN, {"user": 1}, 7, PLAIN]])
    assert [rating.origin for rating in found.ratings] == ["t-0-1#1", "t-0-1#4"]
    assert [(one.origin, one.reason, one.value) for one in found.unusable] == [
        (
            "t-0-1#2",
            "event 2 of 4: item is missing: no usual name for it among 'user';"
            " say where with --fields item=PATH",
            b'{"user":1}',
        ),
        ("t-0-1#3", "event 3 of 4: of type int, expected an object with fields", b"7"),
    ]


def test_an_array_without_events_is_unusable() -> None:
    assert _reason([]) == "an empty array, expected events"


def test_bad_events_do_not_multiply_the_bytes_of_their_record() -> None:
    value = orjson.dumps([1] * 50_000)
    found = _read([value])
    assert len(found.unusable) == 50_000
    assert sum(len(one.value) for one in found.unusable) <= len(value)


# Event types.

WEIGHTS = RecordMapping(event_weights={"view": 0.2, "purchase": 1.0, "dislike": -1.0, "seen": 0.0})


def test_events_have_the_weight_of_their_type() -> None:
    names = ["view", "purchase", "dislike", "seen"]
    found = _read([{**SHOP, "event": name} for name in names], WEIGHTS)
    assert [rating.weight for rating in found.ratings] == [0.2, 1.0, -1.0, 0.0]
    assert found.unrated == [0, 1, 2, 3]


def test_unknown_event_types_are_skipped_even_if_the_rest_is_no_rating() -> None:
    found = _read([{**SHOP, "event": "scroll"}, {"event": 7}, SHOP], WEIGHTS)
    assert found.skipped == [Skipped(EVENT, "scroll"), Skipped(EVENT, "7")]
    assert len(found.ratings) == 1


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (None, "event is missing: no value at 'event'"),
        (["view"], "event is of type list, expected a string"),
        (True, "event is of type bool, expected a string"),
    ],
)
def test_an_event_without_a_type_is_unusable(event: object, reason: str) -> None:
    assert _reason({**SHOP, "event": event}, WEIGHTS) == reason


def test_the_field_of_the_event_may_be_named() -> None:
    mapping = RecordMapping({"event": "what.kind"}, event_weights={"5": 0.5})
    assert _only({**SHOP, "what": {"kind": 5}}, mapping).weight == 0.5
    assert _reason(SHOP, mapping) == "event is missing: nothing at 'what.kind'"


# Envelopes.

CLOUD = RecordMapping(envelope="cloudevents", event_weights={"com.shop.purchase": 2.0})
CLOUD_EVENT = {
    "specversion": "1.0",
    "id": "1",
    "type": "com.shop.purchase",
    "subject": "c7",
    "time": "2026-11-25T10:00:00Z",
    "data": {"customer_id": "c1", "sku": "x9"},
}


@pytest.mark.parametrize(
    "data",
    [
        {"data": {"customer_id": "c1", "sku": "x9"}},
        {"data": '{"customer_id": "c1", "sku": "x9"}'},
        {"data": None, "data_base64": "eyJjdXN0b21lcl9pZCI6ImMxIiwic2t1IjoieDkifQ=="},
    ],
)
def test_a_cloud_event_has_type_and_time_outside(data: dict[str, Any]) -> None:
    rating = _only({**CLOUD_EVENT, **data}, CLOUD)
    assert rating == Rating("c1", "x9", 1.0, SHOP_TIME, "t-0-1", weight=2.0)


def test_paths_reach_the_payload_and_then_the_envelope() -> None:
    fields = {"user": "subject", "item": "sku", "event": "type"}
    mapping = RecordMapping(fields, "cloudevents", event_weights=CLOUD.event_weights)
    assert _only(CLOUD_EVENT, mapping)[:2] == ("c7", "x9")
    whole = RecordMapping({"user": "data.customer_id"}, "cloudevents")
    assert _only(CLOUD_EVENT, whole).user == "c1"


def test_a_cloud_event_in_binary_mode_is_known_by_its_headers() -> None:
    headers = [
        Header("ce_specversion", b"1.0"),
        Header("ce_type", b"com.shop.purchase"),
        Header("ce_time", b"2026-11-25T10:00:00Z"),
    ]
    rating = _only({"customer_id": "c1", "sku": "x9"}, CLOUD, headers=[headers])
    assert rating[:4] == ("c1", "x9", 1.0, SHOP_TIME)
    assert rating.weight == 2.0


def test_cloud_events_in_a_batch() -> None:
    assert [one.origin for one in _read([[CLOUD_EVENT] * 2], CLOUD).ratings] == [
        "t-0-1#1",
        "t-0-1#2",
    ]


@pytest.mark.parametrize(
    ("tree", "reason"),
    [
        (SHOP, "no CloudEvent: specversion is missing"),
        (7, "no CloudEvent: specversion is missing"),
        ({**CLOUD_EVENT, "data": None}, "the CloudEvent has no data"),
        ({**CLOUD_EVENT, "data": "<x/>"}, "the CloudEvent's data are no JSON"),
        ({"specversion": "1.0", "data_base64": "?"}, "the CloudEvent's data_base64 cannot"),
        ({**CLOUD_EVENT, "data": [1]}, "of type list, expected an object with fields"),
    ],
)
def test_what_is_no_cloud_event_says_so(tree: Any, reason: str) -> None:
    assert _reason(tree, CLOUD).startswith(reason)


CHANGES = RecordMapping(envelope="debezium")
ROW = {"user_id": 1, "item_id": 2, "stars": 4}
CHANGE = {"before": None, "after": ROW, "op": "c", "ts_ms": 1764064800123, "source": {"db": "x"}}


@pytest.mark.parametrize("wrap", [lambda body: body, lambda body: {"schema": {}, "payload": body}])
@pytest.mark.parametrize("operation", ["c", "r", "u"])
def test_a_change_event_is_the_row_after_it(wrap: Any, operation: str) -> None:
    rating = _only(wrap({**CHANGE, "op": operation}), CHANGES)
    assert rating == Rating("1", "2", 4.0, 1764064800.123, "t-0-1")


def test_the_time_of_a_row_counts_before_that_of_the_change() -> None:
    micro = RecordMapping(envelope="debezium", timestamp_unit="us")
    tree = {**CHANGE, "after": {**ROW, "ts": 5_000_000}}
    assert _only(tree, micro).timestamp == 5.0
    assert _only(CHANGE, micro).timestamp == 1764064800.123


@pytest.mark.parametrize(
    "tree",
    [
        {**CHANGE, "op": "d", "before": ROW, "after": None},
        {**CHANGE, "after": None},
        {"payload": {"op": "t", "ts_ms": 5}},
    ],
)
def test_a_change_that_leaves_no_row_is_skipped(tree: Any) -> None:
    assert _read([tree, None], CHANGES) == Found(skipped=[Skipped(DELETE), Skipped(TOMBSTONE)])


@pytest.mark.parametrize("tree", [ROW, 7, {"payload": [1]}, {"op": "c"}])
def test_what_is_no_change_event_says_so(tree: Any) -> None:
    assert _reason(tree, CHANGES).startswith("no change event of Debezium")


# Delimited text.


def test_columns_have_the_same_names_and_flags() -> None:
    form, _ = format_of_text("auto", "Kunde;sku;stars;created_at")
    rating = _only(
        b"c1;x9;4;2026-11-25T10:00:00Z", RecordMapping({"user": "Kunde"}), record_format=form
    )
    assert rating == Rating("c1", "x9", 4.0, SHOP_TIME, "t-0-1")


@pytest.mark.parametrize(
    ("line", "rating", "timestamp"),
    [(b"1,2,,", 1.0, 0.0), (b"1,2, ,5", 1.0, 5.0), (b"1,2,4,", 4.0, 0.0)],
)
def test_an_empty_cell_is_no_value(line: bytes, rating: float, timestamp: float) -> None:
    form, _ = format_of_text("auto", "user,item,rating,timestamp")
    found = _read([line] * 2, record_format=form)
    assert [one[2:4] for one in found.ratings] == [(rating, timestamp)] * 2
    assert found.unrated == ([] if rating > 1 else [0, 1])
    assert found.untimed == ([] if timestamp else [0, 1])


# Requests.


def test_requests_have_the_same_mapping_and_the_plain_field_besides() -> None:
    trees = [{"customer": {"id": "c1"}}, {"user": "c2", "context": [1]}, {"other": 1}, None]
    reader = RecordReader(RecordMapping({"user": "customer.id"}))
    found = reader.read_requests(_batch(trees, REQUEST_FORMAT, times_ms=[5000, 6000, 7000, 8000]))
    assert found.requests == [
        Request("c1", 5.0, "t-0-1"),
        Request("c2", 6.0, "t-0-2", (1.0,)),
    ]
    assert [one.reason for one in found.unusable] == ["user is missing: nothing at 'customer.id'"]
    assert found.skipped == [Skipped(TOMBSTONE)]


def test_requests_may_be_in_the_envelope_or_not() -> None:
    reader = RecordReader(CLOUD)
    found = reader.read_requests(_batch([CLOUD_EVENT, {"user": "c2"}], REQUEST_FORMAT))
    assert [(one.user, one.timestamp) for one in found.requests] == [("c1", SHOP_TIME), ("c2", 0.0)]


@pytest.mark.parametrize(
    ("tree", "reason"),
    [
        (196, "of type int, expected an object with fields"),
        (b"{", "invalid JSON"),
        ({"user": ""}, "user is empty"),
        ({"user": "196", "timestamp": -1}, "timestamp is -1"),
        ({"user": "196", "context": 3}, "context is of type int, expected a list of numbers"),
    ],
)
def test_a_malformed_request_says_what_is_wrong(tree: Any, reason: str) -> None:
    (unusable,) = RecordReader().read_requests(_batch([tree], REQUEST_FORMAT)).unusable
    assert reason in unusable.reason


# What is said.


@pytest.mark.parametrize(
    ("tree", "fields", "note"),
    [
        (
            SHOP,
            {},
            "fields of the first record: user from 'customer_id', item from 'sku',"
            " timestamp from 'ts', rating 1 (the record has none), every 'event' counts alike"
            " (--event_weights says otherwise)",
        ),
        (
            {**PLAIN, "who": 5},
            {"user": "who", "rating": "stars"},
            "fields of the first record: user from 'who', item from 'item', timestamp from"
            " 'timestamp', rating 1 (nothing at 'stars')",
        ),
        (
            {"user": 1, "item": 2, "rating": 3},
            {},
            "fields of the first record: user from 'user', item from 'item', rating from"
            " 'rating', time 0 (the record has none)",
        ),
    ],
)
def test_what_was_taken_for_what_is_said_once(tree: Any, fields: dict[str, str], note: str) -> None:
    reader = RecordReader(RecordMapping(fields))
    reader.read(_batch([b"{", {}, tree, PLAIN, tree]))
    assert reader.notes() == [note]
    reader.read(_batch([tree]))
    assert reader.notes() == []


def test_it_is_said_that_the_time_is_the_brokers() -> None:
    reader = RecordReader()
    reader.read(_batch([{"user": 1, "item": 2, "rating": 3, "ms": 4}], times_ms=[9500]))
    assert reader.notes() == [
        "fields of the first record: user from 'user', item from 'item', rating from 'rating',"
        " timestamp from the broker"
    ]


def test_with_an_envelope_the_time_may_be_its_own() -> None:
    event = {"specversion": "1.0", "time": "2026-11-25T10:00:00Z", "data": {"user": 1, "item": 2}}
    reader = RecordReader(RecordMapping(envelope="cloudevents"))
    reader.read(_batch([event], times_ms=[9500]))
    (note,) = reader.notes()
    assert "timestamp from the envelope or the broker" in note


def test_of_the_plain_shape_nothing_is_said_but_a_unit_is() -> None:
    reader = RecordReader()
    reader.read(_batch([PLAIN]))
    assert reader.notes() == []
    reader.read(_batch([{**PLAIN, "timestamp": 1764064800123}] * 3))
    assert [note.split(";")[0] for note in reader.notes()] == [
        "timestamps such as 1764064800123 are taken for milliseconds"
    ]


# Whatever comes.

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5)
)
KEYS = st.sampled_from(
    [*FIELDS, "user_id", "sku", "ts", "a", "b", "payload", "after", "op", "data", "specversion"]
)
TREES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=12,
)
PATHS = st.sampled_from(
    ["a", "a.b", "a.b.0", "payload.a", "key", "key.a", "header:h", "broker_time"]
)
MAPPINGS = st.builds(
    RecordMapping,
    st.dictionaries(st.sampled_from([one for one in FIELDS if one != "event"]), PATHS, max_size=4),
    st.sampled_from(["", "cloudevents", "debezium"]),
    st.sampled_from(["auto", "ms"]),
    st.sampled_from([{}, {"a": 1.0}]),
)


@settings(deadline=None, max_examples=300)
@given(st.lists(TREES, min_size=1, max_size=4), MAPPINGS, st.none() | st.binary(max_size=6))
def test_any_records_are_ratings_skipped_or_unusable_with_what_was_missing(
    trees: list[Any], mapping: RecordMapping, key: bytes | None
) -> None:
    count = len(trees)
    headers = [[Header("h", b"1"), Header("traceparent", b"2")]] * count
    batch = _batch(trees, keys=[key] * count, headers=headers, times_ms=[1000] * count)
    found = RecordReader(mapping).read(batch)
    events = sum(max(1, len(tree)) if isinstance(tree, list) else 1 for tree in trees)
    assert len(found.ratings) + len(found.skipped) + len(found.unusable) == events
    origins = [one.origin for one in found.ratings] + [one.origin for one in found.unusable]
    assert len(set(origins)) == len(origins)
    for rating in found.ratings:
        assert rating.user
        assert rating.item
        assert math.isfinite(rating.rating)
        assert 0 <= rating.timestamp < math.inf
    for unusable in found.unusable:
        assert unusable.reason
        for name in ("user", "item"):
            if f"{name} is missing" in unusable.reason and name in mapping.fields:
                assert repr(mapping.fields[name]) in unusable.reason
    requests = RecordReader(mapping).read_requests(batch)
    assert len(requests.requests) + len(requests.unusable) + len(requests.skipped) == count


@settings(deadline=None, max_examples=200)
@given(TREES, TREES, TREES, TREES)
def test_any_values_of_the_fields_are_a_sound_rating_or_unusable(
    user: Any, item: Any, rating: Any, timestamp: Any
) -> None:
    tree = {"user": user, "item": item, "rating": rating, "timestamp": timestamp}
    found = _read([PLAIN, json.dumps(tree).encode()])
    for one in found.ratings[1:]:
        assert one.user == str(user) != ""
        assert one.item == str(item) != ""
    assert len(found.ratings) + len(found.unusable) == 2
