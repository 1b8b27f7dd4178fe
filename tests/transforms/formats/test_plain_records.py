from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.batches import RawBatch
from transforms.formats.delimited import MOVIELENS_TABS
from transforms.formats.detection import RecordFormat
from transforms.formats.found import Found
from transforms.formats.mapping import RecordMapping
from transforms.formats.record_reader import RecordReader
from transforms.formats.records import Header

MESSAGES = RecordFormat("message")
PLAIN = {"user": 1, "item": "a", "rating": 3.0, "timestamp": 881250949}

IDS = st.sampled_from([1, "196", "é", "", None, 1.5, True, "x" * 1000, "x" * 1001, -7])
RATINGS = st.sampled_from([3.0, 4, None, "5", "", " ", "1e3", "x", True, 1e308, 10**18])
TIMES = st.sampled_from(
    [881250949, 0.5, -1, None, "881250949", "2026-11-25T10:00:00Z", 1764064800000, True, "x"]
)
ODD = st.fixed_dictionaries({"user": IDS, "item": IDS, "rating": RATINGS, "timestamp": TIMES})
TREES = st.one_of(
    st.just(PLAIN),
    ODD,
    st.fixed_dictionaries({"user": IDS, "item": IDS}),
    st.fixed_dictionaries({"user": IDS, "item": IDS, "timestamp": TIMES}),
    st.fixed_dictionaries({"customer_id": IDS, "sku": IDS, "ts": TIMES}),
    st.just([PLAIN, {"user": 2}]),
    st.just(7),
)
VALUES = st.one_of(
    TREES.map(orjson.dumps),
    st.sampled_from([None, b"", b" \n", b"{", b'{"user": 1},{"item": 2}', b"[1", b'{"user":NaN}']),
)


def batch_of(
    values: Sequence[bytes | None],
    record_format: RecordFormat = MESSAGES,
    headers: Sequence[Sequence[Header]] = (),
    times_ms: Sequence[int] = (),
) -> RawBatch:
    positions = list(range(len(values)))
    return RawBatch("t-0-", positions, values, record_format, headers=headers, times_ms=times_ms)


def one_by_one(batch: RawBatch, mapping: RecordMapping | None = None) -> Found:
    """Reads each record with a reader of its own, whose first record is never read as columns."""
    whole = Found()
    for at, value in enumerate(batch.values):
        alone = RawBatch(
            batch.source,
            [at],
            [value],
            batch.record_format,
            headers=batch.headers[at : at + 1],
            times_ms=batch.times_ms[at : at + 1],
        )
        found = RecordReader(mapping, header_names={"traceparent"}).read(alone)
        whole.unrated += [len(whole.parts) + index for index in found.unrated]
        whole.untimed += [len(whole.parts) + index for index in found.untimed]
        whole.parts.extend(found.ratings)
        whole.skipped += found.skipped
        whole.unusable += [one._replace(record=at) for one in found.unusable]
    return whole


@settings(max_examples=200)
@given(st.lists(VALUES, max_size=40))
def test_a_batch_is_read_as_its_records_one_by_one(values: list[bytes | None]) -> None:
    batch = batch_of([orjson.dumps(PLAIN), *values], times_ms=[12500] * (len(values) + 1))
    assert RecordReader().read(batch) == one_by_one(batch)


def test_a_long_batch_with_a_few_bad_records() -> None:
    values: list[bytes | None] = [
        orjson.dumps({**PLAIN, "user": at, "item": f"i{at}"}) for at in range(1000)
    ]
    values[300], values[301], values[777] = b"{", None, orjson.dumps({**PLAIN, "rating": "x"})
    batch = batch_of(values)
    found = RecordReader().read(batch)
    assert found == one_by_one(batch)
    assert [one.record for one in found.unusable] == [300, 777]
    assert len(found.ratings) == 997


def test_headers_come_with_their_record() -> None:
    sent = [Header("TraceParent", b"00-1"), Header("x", b"")]
    each = [sent if at % 3 else [] for at in range(20)]
    batch = batch_of([orjson.dumps(PLAIN)] * 20, headers=each)
    found = RecordReader(header_names={"traceparent"}).read(batch)
    assert found == one_by_one(batch)
    assert [list(rating.headers) for rating in found.ratings] == [one[:1] for one in each]


LINES = [b"1\t2\t3\t5", b"1\t2\t\t5", b"1\t2\tx\t5", b"1\t2", b" ", b"\t\t\t", b"1\t2\t3\tx"]


@given(st.lists(st.sampled_from(LINES), max_size=20))
def test_rows_are_read_as_their_lines_one_by_one(lines: list[bytes]) -> None:
    rows = RecordFormat("delimited", MOVIELENS_TABS)
    batch = batch_of([b"1\t2\t3\t881250949", *lines], rows)
    assert RecordReader().read(batch) == one_by_one(batch)


def test_times_of_a_unit_that_was_given() -> None:
    mapping = RecordMapping(timestamp_unit="ms")
    batch = batch_of([orjson.dumps({**PLAIN, "timestamp": 1500 + at}) for at in range(50)])
    found = RecordReader(mapping).read(batch)
    assert found == one_by_one(batch, mapping)
    assert found.ratings[1].timestamp == 1.501


def test_an_event_without_its_type_is_dead_wherever_it_stands() -> None:
    mapping = RecordMapping(event_weights={"view": 0.5})
    events: list[Any] = [{**PLAIN, "event": "view"}, PLAIN, PLAIN, {**PLAIN, "event": "other"}]
    batch = batch_of(list(map(orjson.dumps, events)))
    found = RecordReader(mapping).read(batch)
    assert found == one_by_one(batch, mapping)
    assert len(found.unusable) == 2
