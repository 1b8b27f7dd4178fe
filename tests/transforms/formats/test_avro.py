from __future__ import annotations

import io
import json
import math
from typing import Any

import fastavro
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import read_rating
from transforms.errors import MalformedRecordError
from transforms.formats.avro import (
    RATING_SCHEMA,
    RECOMMENDATION_SCHEMA,
    RecommendationContainer,
    decode_recommendation,
    encode_datum,
    encode_rating,
    encode_recommendation,
    single_object_header,
)
from transforms.formats.detection import RecordFormat
from transforms.formats.records import Features, Rating, Recommendation, ScoredItem

FINITE = st.floats(allow_nan=False, allow_infinity=False)
SECONDS = st.floats(min_value=0.0, max_value=1e11, exclude_max=True)
RATINGS = st.builds(
    Rating,
    st.text(min_size=1),
    st.text(min_size=1),
    FINITE,
    SECONDS,
    st.just("t-0-7"),
    st.none(),
    weight=st.just(1.0),
    headers=st.just(()),
)
VECTORS = st.lists(FINITE, max_size=3).map(tuple)
WITH_FEATURES = st.builds(
    Rating._replace, RATINGS, features=st.builds(Features, VECTORS, VECTORS, VECTORS)
)
SCORED = st.builds(ScoredItem, st.text(max_size=5), FINITE)
RECOMMENDATIONS = st.builds(
    Recommendation,
    *[st.text(), st.lists(SCORED, max_size=5), SECONDS, st.text()],
    st.sampled_from(["", "popular"]),
    headers=st.just(()),
)
RATING = Rating("196", "242", 3.0, 881250949.0, "o")
LIST = Recommendation("196", [ScoredItem("242", 0.5)], 881250949.0, "o")
RATING_JSON = json.dumps(RATING_SCHEMA)
NULLABLE_JSON = json.dumps(
    {
        "type": "record",
        "name": "Loose",
        "fields": [
            {"name": "user", "type": ["null", "long", "boolean", "double", "string"]},
            {"name": "item", "type": ["string", "bytes", "int"]},
            {"name": "rating", "type": ["null", "float", "double"]},
            {"name": "timestamp", "type": ["long", "double", "boolean"]},
        ],
    }
)
# Parsing canonical form of RATING_SCHEMA, written by hand.
CANONICAL_RATING = (
    '{"name":"flurs_beam.Rating","type":"record","fields":['
    '{"name":"user","type":"string"},{"name":"item","type":"string"},'
    '{"name":"rating","type":"double"},{"name":"timestamp","type":"double"}]}'
)


def _crc_64_avro(data: bytes) -> int:
    """The fingerprint as the Avro specification gives it."""
    empty = 0xC15D213AA4D7A795
    fingerprint = empty
    for byte in data:
        fingerprint ^= byte
        for _ in range(8):
            fingerprint = (fingerprint >> 1) ^ (empty if fingerprint & 1 else 0)
    return fingerprint


def test_the_header_of_ratings_never_changes() -> None:
    header = single_object_header(RATING_SCHEMA)
    assert header.hex() == "c3019ec2033f95ff2038"
    fingerprint = _crc_64_avro(CANONICAL_RATING.encode())
    assert header == b"\xc3\x01" + fingerprint.to_bytes(8, "little")


def test_the_header_of_recommendations_never_changes() -> None:
    assert single_object_header(RECOMMENDATION_SCHEMA).hex() == "c301b410e6aa2c7a1435"


def test_the_bytes_of_a_rating_never_change() -> None:
    assert encode_rating(RATING) == (
        bytes.fromhex("c3019ec2033f95ff2038")
        + b"\x06196\x06242"
        + bytes.fromhex("0000000000000840")
        + bytes.fromhex("000080426943ca41")
    )


@settings(deadline=None)
@given(RATINGS | WITH_FEATURES)
def test_ratings_round_trip(rating: Rating) -> None:
    assert read_rating(encode_rating(rating), RecordFormat("avro"), origin=rating.origin) == rating


@settings(deadline=None)
@given(RATINGS)
def test_a_datum_round_trips(rating: Rating) -> None:
    datum = encode_datum(rating._asdict(), RATING_JSON)
    assert (
        read_rating(datum, RecordFormat("datum", schema=RATING_JSON), origin=rating.origin)
        == rating
    )


@settings(deadline=None)
@given(RECOMMENDATIONS)
def test_recommendations_are_read_by_others(recommendation: Recommendation) -> None:
    value = encode_recommendation(recommendation)
    assert value.startswith(single_object_header(RECOMMENDATION_SCHEMA))
    record = fastavro.schemaless_reader(io.BytesIO(value[10:]), RECOMMENDATION_SCHEMA, None)
    assert _recommendation(record) == recommendation


@settings(deadline=None)
@given(RECOMMENDATIONS)
def test_recommendations_round_trip(recommendation: Recommendation) -> None:
    assert decode_recommendation(encode_recommendation(recommendation)) == recommendation


@settings(deadline=None, max_examples=50)
@given(st.lists(st.lists(RECOMMENDATIONS, max_size=3), max_size=4))
def test_a_container_of_any_blocks_is_read_by_others(
    blocks: list[list[Recommendation]],
) -> None:
    container = RecommendationContainer(b"0123456789abcdef")
    data = container.header + b"".join(container.block(block) for block in blocks)
    reader = fastavro.reader(io.BytesIO(data))
    assert list(map(_recommendation, reader)) == [one for block in blocks for one in block]


def test_blocks_of_writers_that_agree_on_the_marker_fit_together() -> None:
    lists = [Recommendation(str(n), [ScoredItem("i", 0.5)], 1.0, f"o{n}") for n in range(5000)]
    one, other = (RecommendationContainer(b"0123456789abcdef") for _ in range(2))
    assert one.header == other.header
    data = one.header + other.block(lists[:4000]) + one.block([]) + one.block(lists[4000:])
    assert list(map(_recommendation, fastavro.reader(io.BytesIO(data)))) == lists


def test_a_container_draws_its_marker_if_none_is_given() -> None:
    first, second = RecommendationContainer(), RecommendationContainer()
    assert first.sync_marker != second.sync_marker
    assert first.header == first.header
    assert first.block([]) == b""


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"", "empty record"),
        (b"\xc3\x01", "not Avro single-object encoding: the marker C3 01 is missing"),
        (b"Obj\x01" + b"\0" * 40, "not Avro single-object encoding"),
        (b'{"user": 196}', "not Avro single-object encoding"),
        (
            b"\xc3\x01" + bytes(range(8)) + b"\x06196",
            "unknown Avro schema: fingerprint 0001020304050607, expected 9ec2033f95ff2038",
        ),
        (
            encode_recommendation(Recommendation("1", [], 1.0, "o")),
            "unknown Avro schema: fingerprint b410e6aa2c7a1435",
        ),
        (encode_rating(RATING)[:-1], "not a datum of its Avro schema"),
        (encode_rating(RATING)[:10], "not a datum of its Avro schema"),
        (encode_rating(RATING) + b"xy", "2 byte(s) left over after the Avro datum"),
        (encode_rating(RATING)[:10] + b"\x02\xff" + b"\x02i" + b"\0" * 16, "not a datum"),
        (encode_rating(RATING)[:10] + b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01", "not a datum"),
        (encode_rating(RATING)[:10] + b"\x01" + b"\0" * 30, "not a datum"),
        (encode_rating(RATING._replace(rating=math.nan)), "rating is nan"),
        (encode_rating(RATING._replace(rating=-math.inf)), "rating is -inf"),
        (encode_rating(RATING._replace(timestamp=math.inf)), "timestamp is inf"),
        (encode_rating(RATING._replace(timestamp=-1.0)), "timestamp is -1.0"),
        (encode_rating(RATING._replace(user="")), "user is empty"),
    ],
)
def test_a_malformed_message_says_what_is_wrong(value: bytes, reason: str) -> None:
    with pytest.raises(MalformedRecordError) as raised:
        read_rating(value, RecordFormat("avro"), origin="o")
    assert reason in str(raised.value)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"", "not Avro single-object encoding"),
        (b"\xc3\x01", "not Avro single-object encoding"),
        (b'{"user": "196", "items": []}', "not Avro single-object encoding"),
        (
            encode_rating(RATING),
            "unknown Avro schema: fingerprint 9ec2033f95ff2038, expected b410e6aa2c7a1435",
        ),
        (encode_recommendation(LIST)[:-1], "not a datum of its Avro schema"),
        (encode_recommendation(LIST)[:10], "not a datum of its Avro schema"),
        (encode_recommendation(LIST) + b"xy", "2 byte(s) left over after the Avro datum"),
    ],
)
def test_a_malformed_list_says_what_is_wrong(value: bytes, reason: str) -> None:
    with pytest.raises(MalformedRecordError) as raised:
        decode_recommendation(value)
    assert reason in str(raised.value)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (("196", "242", 3.5, 9), Rating("196", "242", 3.5, 9.0, "o")),
        ((196, 242, 3.5, 9.5), Rating("196", "242", 3.5, 9.5, "o")),
        ((None, "242", 3.5, 9), "user is missing"),
        ((True, "242", 3.5, 9), "user is of type bool"),
        ((1.5, "242", 3.5, 9), "user is of type float"),
        (("196", b"242", 3.5, 9), "item is of type bytes"),
        (("196", "242", None, 9), Rating("196", "242", 1.0, 9.0, "o")),
        (("196", "242", 3.5, -9), "timestamp is -9.0"),
        (("196", "242", 3.5, True), "timestamp is of type bool"),
    ],
)
def test_a_datum_of_a_schema_of_others(fields: tuple[Any, ...], expected: Rating | str) -> None:
    record = dict(zip(("user", "item", "rating", "timestamp"), fields, strict=True))
    datum = encode_datum(record, NULLABLE_JSON)
    if isinstance(expected, Rating):
        assert (
            read_rating(datum, RecordFormat("datum", schema=NULLABLE_JSON), origin="o") == expected
        )
    else:
        with pytest.raises(MalformedRecordError, match=expected):
            read_rating(datum, RecordFormat("datum", schema=NULLABLE_JSON), origin="o")


@pytest.mark.parametrize(
    ("schema", "record", "reason"),
    [
        ("string", "text", "of type str, expected an object with fields"),
        (
            {"type": "array", "items": "int"},
            [1],
            "event 1 of 1: of type int, expected an object with fields",
        ),
        ({"type": "record", "name": "Empty", "fields": []}, {}, "empty record"),
    ],
)
def test_a_datum_that_is_no_rating_says_what_is_wrong(
    schema: Any, record: Any, reason: str
) -> None:
    schema_json = json.dumps(schema)
    with pytest.raises(MalformedRecordError, match=reason):
        read_rating(
            encode_datum(record, schema_json), RecordFormat("datum", schema=schema_json), origin="o"
        )


@settings(deadline=None, max_examples=500)
@given(st.binary() | st.binary().map(lambda rest: encode_rating(RATING)[:10] + rest))
def test_arbitrary_bytes_are_malformed_or_a_rating(value: bytes) -> None:
    try:
        rating = read_rating(value, RecordFormat("avro"), origin="o")
    except MalformedRecordError as e:
        assert str(e)
    else:
        assert encode_rating(rating)[:10] == value[:10]


@settings(deadline=None, max_examples=500)
@given(st.binary().map(lambda rest: encode_recommendation(LIST)[:10] + rest))
def test_arbitrary_bytes_are_malformed_or_a_list(value: bytes) -> None:
    try:
        found = decode_recommendation(value)
    except MalformedRecordError as e:
        assert str(e)
    else:
        assert encode_recommendation(found)[:10] == value[:10]


@pytest.mark.parametrize("schema_json", [RATING_JSON, NULLABLE_JSON])
@settings(deadline=None, max_examples=300)
@given(value=st.binary())
def test_arbitrary_datums_are_malformed_or_a_rating(schema_json: str, value: bytes) -> None:
    try:
        rating = read_rating(value, RecordFormat("datum", schema=schema_json), origin="o")
    except MalformedRecordError as e:
        assert str(e)
    else:
        assert isinstance(rating, Rating)


@settings(deadline=None, max_examples=100)
@given(RATINGS, st.data())
def test_a_truncated_rating_is_malformed(rating: Rating, data: st.DataObject) -> None:
    value = encode_rating(rating)
    length = data.draw(st.integers(0, len(value) - 1))
    with pytest.raises(MalformedRecordError):
        read_rating(value[:length], RecordFormat("avro"), origin="o")


@settings(deadline=None, max_examples=300)
@given(RATINGS, st.data())
def test_a_rating_with_a_changed_byte_is_malformed_or_a_rating(
    rating: Rating, data: st.DataObject
) -> None:
    value = bytearray(encode_rating(rating))
    value[data.draw(st.integers(0, len(value) - 1))] = data.draw(st.integers(0, 255))
    try:
        read_rating(bytes(value), RecordFormat("avro"), origin="o")
    except MalformedRecordError as e:
        assert str(e)


def _recommendation(record: Any) -> Recommendation:
    items = [ScoredItem(entry["item"], entry["score"]) for entry in record["items"]]
    return Recommendation(
        record["user"], items, record["timestamp"], record["origin"], record["fallback"]
    )
