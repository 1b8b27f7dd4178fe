from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.errors import MalformedRecordError
from transforms.formats.dead_letters import (
    CUT,
    ORIGIN,
    PREFIX,
    REASON,
    STAGE,
    Kept,
    class_name,
    decode_dead_letter,
    encode_dead_letter,
    letter_headers,
    letter_of_record,
)
from transforms.formats.records import DeadLetter, Header

SECONDS = st.floats(min_value=0.0, allow_nan=False, allow_infinity=False)
NAMES = st.text().filter(lambda name: not name.startswith(PREFIX))
LETTERS = st.builds(
    DeadLetter,
    *[st.text(), st.text(), st.text(), st.binary()],
    key=st.none() | st.binary(),
    headers=st.lists(st.builds(Header, NAMES, st.binary()), max_size=3).map(tuple),
    time=SECONDS,
    exception=st.text(),
)
OURS = [Header(ORIGIN, b"r-0-1"), Header(STAGE, b"parse"), Header(REASON, b"no JSON")]


def test_a_dead_letter_has_the_form_that_others_parse() -> None:
    letter = DeadLetter("u.data:2", "parse", "empty record", b"\xff\n")
    assert encode_dead_letter(letter) == (
        b'{"origin":"u.data:2","stage":"parse","reason":"empty record","value":"/wo="}'
    )


def test_what_a_kafka_record_has_beside_its_value_follows() -> None:
    headers = [Header("traceparent", b"00-1"), Header("b", b"\xff")]
    letter = DeadLetter("r-0-1", "parse", "no", b"", b"k", headers, 12.5, "a.Error")
    assert json.loads(encode_dead_letter(letter)) == {
        "origin": "r-0-1",
        "stage": "parse",
        "reason": "no",
        "value": "",
        "exception": "a.Error",
        "key": "aw==",
        "headers": [["traceparent", "MDAtMQ=="], ["b", "/w=="]],
        "time": 12.5,
    }


@settings(deadline=None)
@given(LETTERS)
def test_dead_letters_round_trip_on_one_line(letter: DeadLetter) -> None:
    line = encode_dead_letter(letter)
    assert b"\n" not in line
    assert decode_dead_letter(line) == letter


@settings(deadline=None)
@given(LETTERS, st.none() | st.integers(0, 2**40))
def test_dead_letters_round_trip_as_records(letter: DeadLetter, whole_bytes: int | None) -> None:
    headers = letter_headers(letter, whole_bytes)
    found = letter_of_record(letter.key, letter.value, headers, letter.time)
    assert found == Kept(letter, whole_bytes)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{}",
        b"[]",
        b"7",
        b'{"origin":"o","stage":"s","reason":"r","value":"?"}',
        b'{"origin":"o","stage":"s","reason":1,"value":""}',
        b'{"origin":"o","stage":"s","reason":"r","value":"","key":5}',
        b'{"origin":"o","stage":"s","reason":"r","value":"","headers":[["a"]]}',
        b'{"origin":"o","stage":"s","reason":"r","value":"","headers":{"a":""}}',
        b'{"origin":"o","stage":"s","reason":"r","value":"","time":"now"}',
    ],
)
def test_a_line_that_is_no_dead_letter_says_so(line: bytes) -> None:
    with pytest.raises(MalformedRecordError, match="not a dead letter"):
        decode_dead_letter(line)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(DeadLetter._fields), JSON_VALUES))
def test_arbitrary_fields_are_malformed_or_a_letter(fields: dict[str, Any]) -> None:
    try:
        assert isinstance(decode_dead_letter(json.dumps(fields).encode()), DeadLetter)
    except MalformedRecordError as e:
        assert "not a dead letter" in str(e)


@pytest.mark.parametrize("missing", [ORIGIN, STAGE, REASON])
def test_a_record_without_our_headers_is_no_dead_letter(missing: str) -> None:
    headers = [header for header in OURS if header.key != missing]
    with pytest.raises(MalformedRecordError, match=f"the header {missing} is missing"):
        letter_of_record(b"k", b"v", headers, 0.0)


def test_a_size_that_is_no_number_is_no_dead_letter() -> None:
    with pytest.raises(MalformedRecordError, match=r"cut is 'many', expected a number of bytes"):
        letter_of_record(b"k", b"v", [*OURS, Header(CUT, b"many")], 0.0)


def test_a_letter_that_died_before_has_the_new_reason_only() -> None:
    first = DeadLetter("r-0-1", "parse", "first", b"v", None, [Header("a", b"1")])
    headers = letter_headers(first)
    again = letter_headers(DeadLetter("r-0-9", "parse", "second", b"v", None, headers))
    assert again == [
        Header("a", b"1"),
        Header("__flurs_beam.errors.origin", b"r-0-9"),
        Header("__flurs_beam.errors.stage", b"parse"),
        Header("__flurs_beam.errors.reason", b"second"),
    ]


def test_a_class_is_named_with_its_module() -> None:
    assert class_name(MalformedRecordError()) == "transforms.errors.MalformedRecordError"
