from __future__ import annotations

import bz2
import datetime
import decimal
import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from apache_beam.testing.test_pipeline import TestPipeline

from tests.files import (
    AVRO,
    COLONS,
    COMPRESS,
    CONTENTS,
    CSV,
    JSON,
    PARQUET,
    TABS,
    TSV,
    avro_file,
    expected_ratings,
    files_of,
    parquet_file,
    parsed,
    read_content,
    written,
)
from tests.support import movielens_like, tab_lines
from transforms.errors import UnsupportedFormatError
from transforms.file_reader import (
    FileReader,
    read_batches,
)
from transforms.formats.records import Rating
from transforms.read_files import ReadRatingsFromFiles
from transforms.splittable_read import END


@pytest.mark.parametrize("compress", [bytes, *COMPRESS.values()], ids=["", *COMPRESS])
@pytest.mark.parametrize("kind", CONTENTS)
def test_every_format_is_told_by_its_beginning(
    tmp_path: Path, kind: str, compress: Callable[[bytes], bytes]
) -> None:
    content, first_line = CONTENTS[kind]
    assert read_content(tmp_path, compress(content)) == (expected_ratings(first_line), [])


@pytest.mark.parametrize(
    ("input_format", "content", "first_line"),
    [
        ("movielens", TABS, 1),
        ("movielens", COLONS, 1),
        ("csv", CSV, 2),
        ("tsv", TSV, 2),
        ("json", JSON, 1),
        ("avro", AVRO, 1),
    ],
)
def test_a_named_format_is_read(
    tmp_path: Path, input_format: str, content: bytes, first_line: int
) -> None:
    assert read_content(tmp_path, content, input_format) == (expected_ratings(first_line), [])


def test_ids_that_are_no_numbers_need_a_named_format(tmp_path: Path) -> None:
    content = b"anna\tcasablanca\t3\t9\n"
    assert read_content(tmp_path, content, "movielens")[0] == [
        Rating("anna", "casablanca", 3.0, 9.0, "f:1")
    ]
    with pytest.raises(UnsupportedFormatError, match="has no column for user"):
        _ = TestPipeline() | ReadRatingsFromFiles(str(written(tmp_path, content * 2)))


@pytest.mark.parametrize("ending", [".csv", ".gz", ".bz2", ".avro", ""])
@pytest.mark.parametrize("compress", [bytes, *COMPRESS.values()], ids=["", *COMPRESS])
def test_a_files_ending_does_not_matter(
    tmp_path: Path, ending: str, compress: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / f"ratings{ending}"
    path.write_bytes(compress(CSV))
    assert parsed(files_of(path)) == (expected_ratings(2), [])


def test_several_compressed_members_are_one_file(tmp_path: Path) -> None:
    for compress in COMPRESS.values():
        assert read_content(tmp_path, compress(TABS[:40]) + compress(TABS[40:])) == (
            expected_ratings(),
            [],
        )


@pytest.mark.parametrize("kind", [kind for kind in CONTENTS if kind != "avro"])
def test_marks_and_line_ends_of_other_systems_are_no_part_of_a_record(
    tmp_path: Path, kind: str
) -> None:
    content, first_line = CONTENTS[kind]
    for variant in (
        b"\xef\xbb\xbf" + content,
        content.replace(b"\n", b"\r\n"),
        content.removesuffix(b"\n"),
        b"\xef\xbb\xbf" + content.replace(b"\n", b"\r\n").removesuffix(b"\r\n"),
    ):
        assert read_content(tmp_path, variant) == (expected_ratings(first_line), [])


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xef\xbb\xbf",
        b"user,item,rating,timestamp\n",
        b"user,item,rating,timestamp",
        # Without the time, which would give the processes that run tests other names for it.
        gzip.compress(b"", mtime=0),
        bz2.compress(b""),
        avro_file([]),
    ],
)
def test_a_file_without_records_gives_nothing(tmp_path: Path, content: bytes) -> None:
    assert read_content(tmp_path, content) == ([], [])


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_a_line_end_is_no_part_of_a_dead_letter(tmp_path: Path, end: bytes) -> None:
    _, dead = read_content(tmp_path, end.join([b"1\t2\t3\t4", b"broken", b"", b"last"]))
    assert [letter.value for letter in dead] == [b"broken", b"", b"last"]


def test_a_bad_line_is_a_dead_letter_in_its_place(tmp_path: Path) -> None:
    lines = [b"1,2,3,4", b"", b"x" * 2_000_000, b"1,2,nan,4", b"\xff,2,3,4", b"5,6,4,8", b"1,2"]
    ratings, dead = read_content(tmp_path, b"user,item,rating,timestamp\n" + b"\n".join(lines))
    assert ratings == [Rating("1", "2", 3.0, 4.0, "f:2"), Rating("5", "6", 4.0, 8.0, "f:7")]
    assert [(letter.origin, letter.stage, letter.reason, letter.value) for letter in dead] == [
        ("f:3", "parse", "empty record", b""),
        ("f:4", "parse", "2000000 bytes, more than the 1048576 that a record may have", lines[2]),
        ("f:5", "parse", "rating is nan, expected a finite number", lines[3]),
        ("f:6", "parse", "invalid UTF-8 at byte 0", lines[4]),
        ("f:8", "parse", "2 column(s), expected at least 4", lines[6]),
    ]


@pytest.mark.parametrize("count", [999, 1000, 1001, 2000, 2500])
def test_long_files_come_in_batches_without_a_gap(tmp_path: Path, count: int) -> None:
    ratings = movielens_like(count)
    path = tmp_path / "file"
    path.write_text(tab_lines(ratings))
    batches = list(read_batches(files_of(path, name="u.data")))
    assert max(map(len, batches)) <= 1000
    assert parsed(files_of(path, name="u.data")) == (ratings, [])


# Parquet.


@pytest.mark.parametrize("codec", ["none", "snappy", "zstd"])
@pytest.mark.parametrize("named", ["auto", "parquet"])
def test_parquet_is_read_row_by_row(tmp_path: Path, codec: str, named: str) -> None:
    ratings = movielens_like(2500)
    columns = dict(
        zip(Rating._fields[:4], zip(*[r[:4] for r in ratings], strict=True), strict=True)
    )
    content = parquet_file(columns, rows_in_group=700, compression=codec)
    found, dead = read_content(tmp_path, content, named)
    assert dead == []
    assert [one[:4] for one in found] == [one[:4] for one in ratings]
    assert [one.origin for one in found] == [f"f:{row}" for row in range(1, 2501)]


def test_parquets_types_become_jsons(tmp_path: Path) -> None:
    moment = datetime.datetime(1997, 12, 4, 15, 55, 49, 500_000, tzinfo=datetime.UTC)
    columns = {
        "time": pa.array([moment, None], pa.timestamp("ns", "Europe/Berlin")),
        "local": pa.array([moment.replace(tzinfo=None), None], pa.timestamp("s")),
        "day": pa.array([moment.date(), None]),
        "price": pa.array([decimal.Decimal("1.50"), None]),
        "raw": pa.array([b"\xc3\xbc\xff", None]),
        "long": pa.array([datetime.timedelta(seconds=90), None]),
        "nested": pa.array([{"sku": "x9", "tags": ["a", "b"]}, None]),
        "kind": pa.array(["view", None]).dictionary_encode(),
        "many": pa.array([1 << 60, None]),
    }
    path = tmp_path / "file"
    path.write_bytes(parquet_file(columns))
    (batch,) = read_batches(files_of(path))
    first, second = [json.loads(value or b"") for value in batch.values]
    assert first == {
        "time": 881250949.5,
        "local": 881250949.0,
        "day": "1997-12-04",
        "price": 1.5,
        "raw": "\u00fc\\xff",
        "long": 90.0,
        "nested": {"sku": "x9", "tags": ["a", "b"]},
        "kind": "view",
        "many": 1 << 60,
    }
    assert second == dict.fromkeys(columns)


def test_parquet_that_is_none_or_breaks_off(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedFormatError, match="is not a Parquet file"):
        read_content(tmp_path, TABS, "parquet")
    ratings, (letter,) = read_content(tmp_path, PARQUET[:-20])
    assert (ratings, letter.origin, letter.stage) == ([], "f:1", "read")
    assert "the rest of the file cannot be read" in letter.reason


def test_parquet_goes_on_in_its_midst(tmp_path: Path) -> None:
    ratings = movielens_like(2500)
    columns = dict(
        zip(Rating._fields[:4], zip(*[r[:4] for r in ratings], strict=True), strict=True)
    )
    path = tmp_path / "file"
    path.write_bytes(parquet_file(columns, rows_in_group=700))
    chunk = FileReader(files_of(path), 1650).read(1650, END, 0.0)
    assert chunk.batch.positions[0] == 1651
    assert json.loads(chunk.batch.values[0] or b"")["item"] == ratings[1650].item


# Avro containers with schemas of others.


def test_a_container_may_have_any_schema_with_the_fields(tmp_path: Path) -> None:
    schema = {
        "type": "record",
        "name": "View",
        "fields": [
            {"name": "mood", "type": {"type": "enum", "name": "Mood", "symbols": ["A", "B"]}},
            {"name": "before", "type": ["null", "Mood"]},
            {"name": "tags", "type": {"type": "map", "values": {"type": "array", "items": "long"}}},
            {"name": "day", "type": {"type": "int", "logicalType": "date"}},
            {"name": "timestamp", "type": "long"},
            {"name": "rating", "type": ["null", "float"]},
            {"name": "item", "type": ["null", "int", "string"]},
            {"name": "user", "type": "long"},
        ],
    }
    common = {"mood": "A", "before": "B", "tags": {"x": [1, 2]}, "day": 7, "user": 196}
    records = [
        {**common, "timestamp": 881250949, "rating": 3.5, "item": 242},
        {**common, "timestamp": 881250950, "rating": 1.0, "item": "é"},
        {**common, "timestamp": -1, "rating": 1.0, "item": "é"},
        {**common, "timestamp": 1, "rating": None, "item": "é"},
        {**common, "timestamp": 1, "rating": 1.0, "item": None},
    ]
    ratings, dead = read_content(tmp_path, avro_file(records, schema=schema))
    assert ratings == [
        Rating("196", "242", 3.5, 881250949.0, "f:1"),
        Rating("196", "é", 1.0, 881250950.0, "f:2"),
        Rating("196", "é", 1.0, 1.0, "f:4"),
    ]
    assert [(letter.origin, letter.stage, letter.reason) for letter in dead] == [
        ("f:3", "parse", "timestamp is -1.0, expected finite seconds since the epoch, 0 or later"),
        ("f:5", "parse", "item is missing: no value at 'item'"),
    ]


def test_a_container_of_something_else_is_dead_record_by_record(tmp_path: Path) -> None:
    ratings, dead = read_content(tmp_path, avro_file(["a", "b"], schema={"type": "string"}))
    assert ratings == []
    assert [(letter.origin, letter.reason) for letter in dead] == [
        ("f:1", "of type str, expected an object with fields"),
        ("f:2", "of type str, expected an object with fields"),
    ]
