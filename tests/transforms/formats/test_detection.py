from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import read_rating
from transforms.errors import MalformedRecordError, UnsupportedFormatError
from transforms.formats import avro, json_lines
from transforms.formats.delimited import MOVIELENS_COLONS, MOVIELENS_TABS, Columns
from transforms.formats.detection import (
    FILE_FORMATS,
    JSON,
    MESSAGE_FORMATS,
    RecordFormat,
    format_of_messages,
    format_of_text,
    require_value,
    tree_decoder,
)
from transforms.formats.records import Rating

RATING = Rating("196", "242", 3.0, 881250949.0, "o")
TABS = RecordFormat("delimited", MOVIELENS_TABS)
COLONS = RecordFormat("delimited", MOVIELENS_COLONS)


def _columns(separator: str, *names: str) -> RecordFormat:
    return RecordFormat("delimited", Columns(separator, names, quoted=True))


NAMES = ("user", "item", "rating", "timestamp")
CSV = _columns(",", *NAMES)
SEMICOLONS = _columns(";", *NAMES)
TSV = _columns("\t", *NAMES)


@pytest.mark.parametrize(
    ("first_line", "expected"),
    [
        ('{"user": 196}', (JSON, False)),
        ('  {"user": 196}', (JSON, False)),
        ("{broken", (JSON, False)),
        ("", (JSON, False)),
        ("196\t242\t3\t881250949", (TABS, False)),
        ("1::1193::5::978300760", (COLONS, False)),
        ("a::b::5::978300760", (COLONS, False)),
        ("[]", (JSON, False)),
        ("user,item,rating,timestamp", (CSV, True)),
        ('"user","item","rating","timestamp"', (CSV, True)),
        ("user;item;rating;timestamp", (SEMICOLONS, True)),
        ('"user, or so";item;rating', (_columns(";", "user, or so", "item", "rating"), True)),
        ("user\titem\trating\ttimestamp", (TSV, True)),
    ],
)
def test_auto_judges_by_the_first_line(
    first_line: str, expected: tuple[RecordFormat, bool]
) -> None:
    assert format_of_text("auto", first_line) == expected


@pytest.mark.parametrize(
    ("name", "first_line", "expected"),
    [
        ("json", "anything", (JSON, False)),
        ("movielens", "a\tb\t3\t4", (TABS, False)),
        ("movielens", "a::b::3::4", (COLONS, False)),
        ("csv", "user,item,rating,timestamp", (CSV, True)),
        ("csv", "user;item;rating;timestamp", (SEMICOLONS, True)),
        ("tsv", "user\titem\trating\ttimestamp", (TSV, True)),
    ],
)
def test_a_named_format_is_taken_at_its_word(
    name: str, first_line: str, expected: tuple[RecordFormat, bool]
) -> None:
    assert format_of_text(name, first_line) == expected


def test_an_unknown_first_line_is_quoted_with_what_to_do() -> None:
    with pytest.raises(UnsupportedFormatError) as raised:
        format_of_text("auto", "PK\x03\x04 a zip file")
    message = str(raised.value)
    assert repr("PK\x03\x04 a zip file") in message
    assert "--input_format" in message
    assert all(name in message for name in FILE_FORMATS[1:])


@pytest.mark.parametrize(
    ("name", "kind"), [("auto", "message"), ("json", "json"), ("avro", "avro")]
)
def test_formats_of_messages(name: str, kind: str) -> None:
    assert format_of_messages(name) == RecordFormat(kind)
    assert name in MESSAGE_FORMATS


def test_a_format_that_messages_can_not_have_is_named() -> None:
    with pytest.raises(UnsupportedFormatError, match="'csv' is not a format of Kafka messages"):
        format_of_messages("csv")


@pytest.mark.parametrize(
    ("record_format", "value"),
    [
        (JSON, json_lines.encode_rating(RATING)),
        (RecordFormat("avro"), avro.encode_rating(RATING)),
        (RecordFormat("message"), json_lines.encode_rating(RATING)),
        (RecordFormat("message"), avro.encode_rating(RATING)),
        (TABS, b"196\t242\t3\t881250949"),
        (COLONS, b"196::242::3::881250949"),
        (CSV, b"196,242,3,881250949"),
        (SEMICOLONS, b"196;242;3;881250949"),
        (
            RecordFormat("datum", schema=json.dumps(avro.RATING_SCHEMA)),
            avro.encode_rating(RATING)[10:],
        ),
    ],
)
def test_each_format_has_its_decoder(record_format: RecordFormat, value: bytes) -> None:
    assert read_rating(value, record_format) == RATING


@pytest.mark.parametrize("record_format", [RecordFormat("xml"), RecordFormat("delimited")])
def test_a_format_without_a_decoder_is_unsupported(record_format: RecordFormat) -> None:
    with pytest.raises(UnsupportedFormatError, match="no decoder for RecordFormat"):
        tree_decoder(record_format)


@pytest.mark.parametrize(
    ("kind", "value", "reason"),
    [
        ("message", b"\xc3\x01", "marker C3 01 is missing"),
        ("message", b"\xc3\x01" + b"\0" * 20, "unknown Avro schema: fingerprint 0000000000000000"),
        ("message", b"\xc3\x02", "invalid JSON"),
        ("avro", json_lines.encode_rating(RATING), "not Avro single-object encoding"),
        ("json", avro.encode_rating(RATING), "invalid JSON"),
    ],
)
def test_a_message_of_another_format_is_malformed(kind: str, value: bytes, reason: str) -> None:
    with pytest.raises(MalformedRecordError) as raised:
        tree_decoder(RecordFormat(kind))(value)
    assert reason in str(raised.value)


@settings(deadline=None, max_examples=300)
@given(st.binary() | st.binary().map(lambda rest: b"\xc3\x01" + rest))
def test_arbitrary_messages_are_malformed_or_a_rating(value: bytes) -> None:
    try:
        rating = read_rating(value, RecordFormat("message"))
    except MalformedRecordError as e:
        assert str(e)
    else:
        assert isinstance(rating, Rating)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"", "empty record"),
        (b" \t\r\n", "empty record"),
        (b"x" * 11, "11 bytes, more than the 10 that a record may have"),
    ],
)
def test_what_is_no_value_at_all_says_so(value: bytes, reason: str) -> None:
    with pytest.raises(MalformedRecordError) as raised:
        require_value(value, 10)
    assert str(raised.value) == reason


@pytest.mark.parametrize("value", [b"x", b"x" * 10, b" x "])
def test_a_value_up_to_the_limit_passes_unchanged(value: bytes) -> None:
    assert require_value(value, 10) == value
