from __future__ import annotations

import itertools
import json
from collections.abc import Iterable

import apache_beam as beam
import pytest
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.test_stream import TestStream
from apache_beam.testing.util import assert_that, equal_to
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import counts
from transforms.batches import RatingBatch, RawBatch, RawBatchCoder
from transforms.formats import avro
from transforms.formats.delimited import MOVIELENS_COLONS, MOVIELENS_TABS, columns_of_header
from transforms.formats.detection import JSON, REQUEST_FORMAT, RecordFormat
from transforms.formats.found import TOMBSTONE, Skipped
from transforms.formats.mapping import RecordMapping
from transforms.formats.record_reader import RecordReader
from transforms.formats.records import DeadLetter, Header, Rating, Request
from transforms.parse import MAX_RECORD_BYTES, ParseRatings, parse, parse_batch, parse_requests

MESSAGE = RecordFormat("message")
CSV = RecordFormat("delimited", columns_of_header("user,item,rating,timestamp", ","))
DATUM = RecordFormat("datum", schema=json.dumps(avro.RATING_SCHEMA))
GOOD = b'{"user": 196, "item": 242, "rating": 3.0, "timestamp": 881250949}'
GOOD_RATING = Rating("196", "242", 3.0, 881250949.0, "")


def _json(user: str, item: str = "i", rating: float = 3.0, timestamp: float = 1.0) -> bytes:
    return json.dumps(
        {"user": user, "item": item, "rating": rating, "timestamp": timestamp}
    ).encode()


def test_each_record_is_in_one_of_the_two_lists_in_order() -> None:
    batch = RawBatch("t-0-", [3, 4, 8, 9], [_json("a"), b"{", _json("b"), None], JSON)
    ratings, dead = parse(batch)
    assert ratings == [Rating("a", "i", 3.0, 1.0, "t-0-3"), Rating("b", "i", 3.0, 1.0, "t-0-8")]
    assert [(letter.origin, letter.stage, letter.value) for letter in dead] == [
        ("t-0-4", "parse", b"{")
    ]
    assert parse_batch(batch, RecordReader()).skipped == [Skipped(TOMBSTONE)]


def test_a_dead_letter_has_all_that_the_record_had() -> None:
    headers = [(), [Header("traceparent", b"00-1")], ()]
    batch = RawBatch(
        "t-0-",
        [1, 2, 3],
        [GOOD, b"{", b""],
        JSON,
        5.0,
        "",
        [b"a", b"k", None],
        headers,
        [1, 2000, 3000],
    )
    _, (broken, empty) = parse(batch)
    error = "transforms.errors.MalformedRecordError"
    assert broken[3:] == (b"{", b"k", headers[1], 2, error)
    assert empty[3:] == (b"", None, (), 3, error)


def test_selected_headers_come_with_ratings_and_requests() -> None:
    headers = [(Header("traceparent", b"1"), Header("other", b"2")), (), (Header("tenant", b"3"),)]
    batch = RawBatch("t-0-", [1, 2, 3], [GOOD] * 3, JSON, headers=headers)
    ratings, _ = parse(batch, header_names={"traceparent", "tenant"})
    assert [rating.headers for rating in ratings] == [headers[0][:1], (), headers[2]]
    asked = RawBatch("a-0-", [1], [b'{"user": 1}'], REQUEST_FORMAT, headers=headers[:1])
    (request,), _ = parse_requests(asked, header_names={"other"})
    assert request.headers == headers[0][1:]


def test_tombstones_are_filtered_and_counted() -> None:
    batches = [
        RawBatch("t-0-", [1, 2, 3, 4], [_json("a"), None, b"{", None], JSON),
        RawBatch("asks-0-", [1, 2], [None, b'{"user": 1}'], REQUEST_FORMAT),
        RawBatch("t-0-", [9], [None], None, failure="deleted before they were read"),
    ]
    with TestPipeline(runner="FnApiRunner") as pipeline:
        parsed = pipeline | beam.Create(batches) | ParseRatings()
        dead = parsed.dead_letters | beam.Map(lambda letter: (letter.origin, letter.stage))
        assert_that(dead, equal_to([("t-0-3", "parse"), ("t-0-9", "read")]))
    found = {name: count for name, count in counts(pipeline.result).items() if count}
    assert found == {"read": 6, "filtered": 3, "tombstones": 3, "dead": 2, "requests": 1}


def test_a_tombstone_does_not_count_as_a_record_that_could_be_used(
    caplog: pytest.LogCaptureFixture,
) -> None:
    batch = RawBatch("t-0-", [1, 2, 3], [None, b"{", None], JSON)
    with TestPipeline(runner="FnApiRunner") as pipeline:
        _ = pipeline | beam.Create([batch]) | ParseRatings()
    assert "none of the first 1 record(s) could be used" in caplog.text


def test_a_request_has_the_brokers_time_if_it_has_none() -> None:
    values = [b'{"user": 1}', b'{"user": 2, "timestamp": 3}', b"{}", None]
    batch = RawBatch("asks-0-", range(4), values, REQUEST_FORMAT, published=12.5)
    requests, dead = parse_requests(batch)
    assert requests == [Request("1", 12.5, "asks-0-0"), Request("2", 3.0, "asks-0-1")]
    assert [(letter.origin, letter.stage, letter.reason) for letter in dead] == [
        (
            "asks-0-2",
            "parse",
            "user is missing: no usual name for it among ''; say where with --fields user=PATH",
        )
    ]


def test_an_empty_batch_gives_nothing() -> None:
    assert parse(RawBatch("a:", [], [], JSON)) == ([], [])


@pytest.mark.parametrize(
    ("record_format", "value", "reason"),
    [
        (MESSAGE, GOOD[:-10], "invalid JSON"),
        (MESSAGE, b"", "empty record"),
        (MESSAGE, b" \r\n", "empty record"),
        (MESSAGE, b"\xff\xff\xff", "invalid JSON"),
        (MESSAGE, GOOD.replace(b"196", b"true"), "user is of type bool"),
        (MESSAGE, GOOD.replace(b"242", b"[]"), "item is of type list"),
        (MESSAGE, GOOD.replace(b"3.0", b'"3 stars"'), "rating is '3 stars', expected a number"),
        (MESSAGE, GOOD.replace(b"3.0", b"NaN"), "invalid JSON"),
        (MESSAGE, GOOD.replace(b"3.0", b"1e999"), "infinity"),
        (MESSAGE, GOOD.replace(b'"item": 242, ', b""), "item is missing: no usual name for it"),
        (MESSAGE, GOOD.replace(b"881250949", b"-5"), "timestamp is -5.0"),
        (MESSAGE, b"\xc3\x01" + b"\7" * 30, "unknown Avro schema: fingerprint 0707070707070707"),
        (MESSAGE, avro.encode_rating(GOOD_RATING)[:-1], "not a datum of its Avro schema"),
        (JSON, avro.encode_rating(GOOD_RATING), "invalid JSON"),
        (RecordFormat("avro"), GOOD, "not Avro single-object encoding"),
        (DATUM, b"\x06196", "not a datum of its Avro schema"),
        (CSV, b"1,2,3", "3 column(s), expected at least 4"),
        (CSV, b"1,2,nan,4", "rating is nan"),
        (CSV, b"1,2,1e999,4", "rating is inf"),
        (CSV, b"1,2,1_000,4", "rating is '1_000'"),
        (CSV, b"\xe9,2,3,4", "invalid UTF-8 at byte 0"),
        (CSV, b"1,2,3,-4", "timestamp is -4.0"),
        (CSV, b",2,3,4", "user is empty"),
        (RecordFormat("delimited", MOVIELENS_TABS), b"", "empty record"),
    ],
)
def test_a_bad_record_is_a_dead_letter_that_names_the_trouble(
    record_format: RecordFormat, value: bytes, reason: str
) -> None:
    ratings, dead = parse(RawBatch("t-0-", [7], [value], record_format))
    assert ratings == []
    assert [(letter.origin, letter.stage, letter.value) for letter in dead] == [
        ("t-0-7", "parse", value)
    ]
    assert reason in dead[0].reason


def test_ten_megabytes_are_a_dead_letter_with_all_its_bytes() -> None:
    value = _json("u" * 10_000_000)
    ratings, (letter,) = parse(RawBatch("t-0-", [7], [value], MESSAGE))
    assert ratings == []
    assert letter.value == value
    assert letter.reason == f"{len(value)} bytes, more than the 1048576 that a record may have"


def test_the_limit_is_the_longest_that_is_read() -> None:
    longest = GOOD.ljust(MAX_RECORD_BYTES)
    batch = RawBatch("t-0-", [1, 2], [longest, longest + b" "], JSON)
    ratings, dead = parse(batch)
    assert [rating.origin for rating in ratings] == ["t-0-1"]
    assert [letter.origin for letter in dead] == ["t-0-2"]
    assert len(parse(batch, len(longest) + 1)[0]) == 2


def test_what_could_not_be_read_is_a_dead_letter_of_the_stage_read() -> None:
    batch = RawBatch("t-0-", [5, 6], [b"", None], None, failure="the rest is gone")
    assert parse(batch) == (
        [],
        [
            DeadLetter("t-0-5", "read", "the rest is gone", b""),
            DeadLetter("t-0-6", "read", "the rest is gone", b""),
        ],
    )


@pytest.mark.parametrize(
    "record_format",
    [
        JSON,
        MESSAGE,
        RecordFormat("avro"),
        DATUM,
        CSV,
        RecordFormat("delimited", MOVIELENS_TABS),
        RecordFormat("delimited", MOVIELENS_COLONS),
    ],
    ids=lambda form: f"{form.kind}{form.columns.separator if form.columns else ''}",
)
@settings(deadline=None, max_examples=100)
@given(values=st.lists(st.none() | st.binary() | st.just(GOOD), max_size=6))
def test_no_value_makes_it_fail_and_none_vanishes(
    record_format: RecordFormat, values: list[bytes | None]
) -> None:
    batch = RawBatch("t-0-", list(range(len(values))), values, record_format)
    ratings, dead = parse(batch)
    origins = [rating.origin for rating in ratings] + [letter.origin for letter in dead]
    not_null = [f"t-0-{n}" for n, value in enumerate(values) if value is not None]
    assert sorted(origins) == sorted(not_null)
    assert len(parse_batch(batch, RecordReader()).skipped) == len(values) - len(not_null)
    assert all(letter.reason and letter.stage == "parse" for letter in dead)


BATCHES = [
    RawBatch("t-0-", [1, 2, 3], [_json("a"), b"[]", _json("b")], JSON, published=5.0),
    RawBatch("t-1-", [1], [b"broken"], JSON, published=6.0),
    RawBatch("u.data:", [1], [b"c\ti\t2\t1"], RecordFormat("delimited", MOVIELENS_TABS)),
    RawBatch("u.data:", [2], [b""], None, failure="it broke off"),
]
EXPECTED = [
    RatingBatch(
        [Rating("a", "i", 3.0, 1.0, "t-0-1"), Rating("b", "i", 3.0, 1.0, "t-0-3")], published=5.0
    ),
    RatingBatch([Rating("c", "i", 2.0, 1.0, "u.data:1")]),
]
EXPECTED_DEAD = [
    ("t-0-2", "parse", "an empty array, expected events", b"[]"),
    ("t-1-1", "parse", "invalid JSON: ", b"broken"),
    ("u.data:2", "read", "it broke off", b""),
]


def _without_details(letter: DeadLetter) -> tuple[str, str, str, bytes]:
    reason = "invalid JSON: " if letter.reason.startswith("invalid JSON: ") else letter.reason
    return letter.origin, letter.stage, reason, letter.value


def test_batches_stay_batches_and_dead_letters_come_one_by_one() -> None:
    with TestPipeline(runner="FnApiRunner") as pipeline:
        parsed = pipeline | beam.Create(BATCHES) | ParseRatings()
        assert_that(parsed.ratings, equal_to(EXPECTED), label="Ratings")
        dead = parsed.dead_letters | beam.Map(_without_details)
        assert_that(dead, equal_to(EXPECTED_DEAD), label="Dead")
    found = {name: count for name, count in counts(pipeline.result).items() if count}
    assert found == {"read": 6, "dead": 3}


def test_it_parses_a_stream() -> None:
    stream = TestStream(coder=RawBatchCoder())
    for second, batch in zip(itertools.count(10, 10), BATCHES, strict=False):
        stream = stream.add_elements([batch]).advance_watermark_to(second)
    with TestPipeline() as pipeline:
        parsed = pipeline | stream.advance_watermark_to_infinity() | ParseRatings()
        assert_that(parsed.ratings, equal_to(EXPECTED), label="Ratings")
        dead = parsed.dead_letters | beam.Map(_without_details)
        assert_that(dead, equal_to(EXPECTED_DEAD), label="Dead")


def test_the_outputs_are_typed() -> None:
    parsed = TestPipeline() | beam.Create(BATCHES) | ParseRatings()
    assert parsed.ratings.element_type is RatingBatch
    assert parsed.dead_letters.element_type is DeadLetter


def test_dead_letters_cross_a_shuffle() -> None:
    with TestPipeline(runner="FnApiRunner") as pipeline:
        parsed = pipeline | beam.Create(BATCHES[-1:]) | ParseRatings()
        crossed = parsed.dead_letters | beam.Reshuffle() | beam.Map(lambda one: tuple(one)[:4])
        assert_that(crossed, equal_to([("u.data:2", "read", "it broke off", b"")]))


def test_its_mapping_reaches_the_workers_and_the_log(caplog: pytest.LogCaptureFixture) -> None:
    shop = b'{"customer": {"id": "c1"}, "sku": "x9", "event": "view", "ts": 1764064800123}'
    mapping = RecordMapping({"user": "customer.id"}, event_weights={"view": 0.2})
    caplog.set_level("INFO", "transforms.parse")
    with TestPipeline(runner="FnApiRunner") as pipeline:
        batch = RawBatch("t-0-", [1, 2], [shop, b"[%s, 7]" % shop], JSON)
        parsed = pipeline | beam.Create([batch]) | ParseRatings(mapping=mapping)
        expected = [
            Rating("c1", "x9", 1.0, 1764064800.123, origin, weight=0.2)
            for origin in ("t-0-1", "t-0-2#1")
        ]
        assert_that(parsed.ratings, equal_to([RatingBatch(expected, unrated=[0, 1])]), label="R")
        dead = parsed.dead_letters | beam.Map(lambda one: (one.origin, one.value))
        assert_that(dead, equal_to([("t-0-2#2", b"7")]), label="Dead")
    told = [one.getMessage() for one in caplog.records if one.name == "transforms.parse"]
    assert told == [
        "fields of the first record: user from 'customer.id', item from 'sku', timestamp from"
        " 'ts', event from 'event', rating 1 (the record has none)",
        "timestamps such as 1764064800123 are taken for milliseconds; --timestamp_unit says"
        " otherwise",
    ]


def test_its_limit_reaches_the_workers() -> None:
    with TestPipeline(runner="FnApiRunner") as pipeline:
        batch = RawBatch("t-0-", [1, 2], [GOOD, GOOD + b" "], JSON)
        parsed = pipeline | beam.Create([batch]) | ParseRatings(max_record_bytes=len(GOOD))
        assert_that(parsed.ratings | beam.FlatMap(_origins), equal_to(["t-0-1"]))


def _origins(batch: RatingBatch) -> Iterable[str]:
    return [rating.origin for rating in batch.ratings]


def test_a_limit_below_one_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="max_record_bytes is 0, expected at least 1"):
        ParseRatings(max_record_bytes=0)
