from __future__ import annotations

import math
import pickle
from typing import Any

import pytest

from transforms.formats.mapping import (
    RecordMapping,
    parse_fields,
    parse_weights,
    source_of,
    walk,
)


def test_it_can_be_pickled() -> None:
    mapping = RecordMapping({"user": "a.b"}, "debezium", "ms", {"view": 0.2})
    assert pickle.loads(pickle.dumps(mapping)) == mapping


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"fields": {"usr": "a"}}, "'usr' is not a field, expected one of user, item, rating"),
        ({"fields": {"user": "a..b"}}, r"'a\.\.b' is no path, expected names with dots"),
        ({"fields": {"user": ""}}, "'' is no path"),
        ({"fields": {"user": "header:"}}, "'header:' is no path"),
        ({"fields": {"user": "key."}}, r"'key\.' is no path"),
        ({"fields": {"event": "a"}}, "no use without event_weights"),
        ({"envelope": "soap"}, "'soap' is not an envelope, expected cloudevents or debezium"),
        ({"timestamp_unit": "m"}, "'m' is not a unit, expected auto, s, ms, us, ns"),
        ({"event_weights": {"view": math.nan}}, "the weight of 'view' is nan, expected a finite"),
    ],
)
def test_what_can_not_be_is_refused_at_once(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RecordMapping(**arguments)


def test_fields_of_a_flag() -> None:
    text = "user=customer_id, item=payload.sku,rating=header:a=b"
    assert parse_fields(text) == {
        "user": "customer_id",
        "item": "payload.sku",
        "rating": "header:a=b",
    }


def test_weights_of_a_flag() -> None:
    text = "view=0.2,purchase=1, dislike=-1,seen=0"
    assert parse_weights(text) == {"view": 0.2, "purchase": 1.0, "dislike": -1.0, "seen": 0.0}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("user", "'user' is not of the form FIELD=SOURCE"),
        ("user=a,", "'' is not of the form FIELD=SOURCE"),
        ("=a", "'=a' is not of the form FIELD=SOURCE"),
        ("user=a,user=b", "'user' is named twice"),
    ],
)
def test_malformed_fields_are_named(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_fields(text)


def test_a_weight_that_is_no_number_is_named() -> None:
    with pytest.raises(ValueError, match="the weight of 'view' is 'lots', expected a number"):
        parse_weights("view=lots")


TREE = {
    "a": {"b": {"c": 1}, "list": [{"x": 5}, 7]},
    "a.b": 2,
    "key": 3,
    "text": "xyz",
    "null": None,
}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("a.b.c", 1),
        ("a.b", 2),
        (".key", 3),
        ("a.list.0.x", 5),
        ("a.list.1", 7),
        ("a.list.2", None),
        ("a.list.99999999999999999999", None),
        ("a.list.x", None),
        ("a.missing.c", None),
        ("text.0", None),
        ("null.x", None),
    ],
)
def test_paths(path: str, value: object) -> None:
    assert walk(TREE, source_of(path)) == value


@pytest.mark.parametrize("tree", [None, 5, "a", [], ["a"], {}])
def test_a_path_into_anything_leads_nowhere(tree: object) -> None:
    assert walk(tree, source_of("a.b")) is None
