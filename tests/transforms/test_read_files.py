from __future__ import annotations

import bz2
import datetime
import decimal
import gzip
import io
import json
import lzma
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from apache_beam.io.filesystem import FileMetadata, FileSystem
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.util import BeamAssertException, assert_that, equal_to
from apache_beam.utils.timestamp import Timestamp
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import counts, movielens_like, tab_lines
from transforms.batches import RatingBatch, RawBatch
from transforms.errors import IncompatibleStateError, UnsupportedFormatError
from transforms.file_reader import (
    FileReader,
    Files,
    FilesCoder,
    OpenReaders,
    match_files,
    read_batches,
)
from transforms.formats import avro
from transforms.formats.json_lines import encode_rating
from transforms.formats.mapping import RecordMapping
from transforms.formats.records import DeadLetter, Rating, Request
from transforms.parse import ParseRatings, parse
from transforms.read_files import ReadRatingsFromFiles
from transforms.runtime.worker_context import WORKER
from transforms.splittable_read import END

COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": zstandard.compress,
}

# What every format below says of the same four ratings.
VALUES = [
    ("196", "242", 3.0, 881250949.0),
    ("186", "302", 3.0, 891717742.0),
    ("22", "377", 1.0, 878887116.0),
    ("196", "51", 5.0, 881250949.0),
]
TABS = b"".join(b"%s\t%s\t%.0f\t%.0f\n" % (u.encode(), i.encode(), r, t) for u, i, r, t in VALUES)
COLONS = TABS.replace(b"\t", b"::")
CSV = b"userId,movieId,rating,timestamp\n" + TABS.replace(b"\t", b",")
SHUFFLED_CSV = b"timestamp,title,rating,item,user_id\n" + b"".join(
    b'%.0f,"a ""b"", c",%.1f,"%s",%s\n' % (t, r, i.encode(), u.encode()) for u, i, r, t in VALUES
)
QUOTED_CSV = b'"userId","movieId","rating","timestamp"\n' + b"".join(
    b'"%s","%s","%.1f","%.0f"\n' % (u.encode(), i.encode(), r, t) for u, i, r, t in VALUES
)
TSV = b"user_id:token\titem_id:token\trating:float\ttimestamp:float\n" + TABS
JSON = b"".join(encode_rating(Rating(*values)) + b"\n" for values in VALUES)


def _avro(
    ratings: list[Any], codec: str = "null", schema: Any = None, sync_interval: int = 16_000
) -> bytes:
    buffer = io.BytesIO()
    fastavro.writer(
        buffer,
        schema or avro.RATING_SCHEMA,
        ratings,
        codec=codec,
        sync_interval=sync_interval,
        sync_marker=b"0123456789abcdef",
    )
    return buffer.getvalue()


def _parquet(columns: dict[str, Any], rows_in_group: int = 1000, **options: Any) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer, row_group_size=rows_in_group, **options)
    return buffer.getvalue()


PARQUET = _parquet(dict(zip(Rating._fields[:4], map(list, zip(*VALUES, strict=True)), strict=True)))
AVRO = _avro([Rating(*values)._asdict() for values in VALUES])
CONTENTS = {
    "tabs": (TABS, 1),
    "colons": (COLONS, 1),
    "csv": (CSV, 2),
    "shuffled csv": (SHUFFLED_CSV, 2),
    "quoted csv": (QUOTED_CSV, 2),
    "tsv": (TSV, 2),
    "json": (JSON, 1),
    "avro": (AVRO, 1),
}


def _ratings(first_line: int = 1) -> list[Rating]:
    return [Rating(*values, f"f:{line}") for line, values in enumerate(VALUES, start=first_line)]


def _files(
    path: Path, input_format: str = "auto", *, order_by_time: bool = False, name: str = "f"
) -> Files:
    return Files((str(path),), (name,), input_format, order_by_time)


def _parsed(files: Files) -> tuple[list[Rating], list[DeadLetter]]:
    ratings: list[Rating] = []
    dead: list[DeadLetter] = []
    for batch in read_batches(files):
        some_ratings, some_dead = parse(batch)
        ratings += some_ratings
        dead += some_dead
    return ratings, dead


def _written(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "file"
    path.write_bytes(content)
    return path


def _read(
    tmp_path: Path, content: bytes, input_format: str = "auto", *, order_by_time: bool = False
) -> tuple[list[Rating], list[DeadLetter]]:
    path = _written(tmp_path, content)
    return _parsed(_files(path, input_format, order_by_time=order_by_time))


@pytest.mark.parametrize("compress", [bytes, *COMPRESS.values()], ids=["", *COMPRESS])
@pytest.mark.parametrize("kind", CONTENTS)
def test_every_format_is_told_by_its_beginning(
    tmp_path: Path, kind: str, compress: Callable[[bytes], bytes]
) -> None:
    content, first_line = CONTENTS[kind]
    assert _read(tmp_path, compress(content)) == (_ratings(first_line), [])


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
    assert _read(tmp_path, content, input_format) == (_ratings(first_line), [])


def test_ids_that_are_no_numbers_need_a_named_format(tmp_path: Path) -> None:
    content = b"anna\tcasablanca\t3\t9\n"
    assert _read(tmp_path, content, "movielens")[0] == [
        Rating("anna", "casablanca", 3.0, 9.0, "f:1")
    ]
    with pytest.raises(UnsupportedFormatError, match="has no column for user"):
        _ = TestPipeline() | ReadRatingsFromFiles(str(_written(tmp_path, content * 2)))


@pytest.mark.parametrize("ending", [".csv", ".gz", ".bz2", ".avro", ""])
@pytest.mark.parametrize("compress", [bytes, *COMPRESS.values()], ids=["", *COMPRESS])
def test_a_files_ending_does_not_matter(
    tmp_path: Path, ending: str, compress: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / f"ratings{ending}"
    path.write_bytes(compress(CSV))
    assert _parsed(_files(path)) == (_ratings(2), [])


def test_several_compressed_members_are_one_file(tmp_path: Path) -> None:
    for compress in COMPRESS.values():
        assert _read(tmp_path, compress(TABS[:40]) + compress(TABS[40:])) == (_ratings(), [])


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
        assert _read(tmp_path, variant) == (_ratings(first_line), [])


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
        _avro([]),
    ],
)
def test_a_file_without_records_gives_nothing(tmp_path: Path, content: bytes) -> None:
    assert _read(tmp_path, content) == ([], [])


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_a_line_end_is_no_part_of_a_dead_letter(tmp_path: Path, end: bytes) -> None:
    _, dead = _read(tmp_path, end.join([b"1\t2\t3\t4", b"broken", b"", b"last"]))
    assert [letter.value for letter in dead] == [b"broken", b"", b"last"]


def test_a_bad_line_is_a_dead_letter_in_its_place(tmp_path: Path) -> None:
    lines = [b"1,2,3,4", b"", b"x" * 2_000_000, b"1,2,nan,4", b"\xff,2,3,4", b"5,6,4,8", b"1,2"]
    ratings, dead = _read(tmp_path, b"user,item,rating,timestamp\n" + b"\n".join(lines))
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
    batches = list(read_batches(_files(path, name="u.data")))
    assert max(map(len, batches)) <= 1000
    assert _parsed(_files(path, name="u.data")) == (ratings, [])


# Parquet.


@pytest.mark.parametrize("codec", ["none", "snappy", "zstd"])
@pytest.mark.parametrize("named", ["auto", "parquet"])
def test_parquet_is_read_row_by_row(tmp_path: Path, codec: str, named: str) -> None:
    ratings = movielens_like(2500)
    columns = dict(
        zip(Rating._fields[:4], zip(*[r[:4] for r in ratings], strict=True), strict=True)
    )
    content = _parquet(columns, rows_in_group=700, compression=codec)
    found, dead = _read(tmp_path, content, named)
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
    path.write_bytes(_parquet(columns))
    (batch,) = read_batches(_files(path))
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
        _read(tmp_path, TABS, "parquet")
    ratings, (letter,) = _read(tmp_path, PARQUET[:-20])
    assert (ratings, letter.origin, letter.stage) == ([], "f:1", "read")
    assert "the rest of the file cannot be read" in letter.reason


def test_parquet_goes_on_in_its_midst(tmp_path: Path) -> None:
    ratings = movielens_like(2500)
    columns = dict(
        zip(Rating._fields[:4], zip(*[r[:4] for r in ratings], strict=True), strict=True)
    )
    path = tmp_path / "file"
    path.write_bytes(_parquet(columns, rows_in_group=700))
    chunk = FileReader(_files(path), 1650).read(1650, END, 0.0)
    assert chunk.batch.positions[0] == 1651
    assert json.loads(chunk.batch.values[0] or b"")["item"] == ratings[1650].item


# Files that break off.


LONG = movielens_like(2500)
LONG_TABS = tab_lines(LONG).encode()


def _is_a_start_and_one_dead_letter(
    found: tuple[list[Rating], list[DeadLetter]], whole: list[Rating]
) -> int:
    ratings, dead = found
    count = len(ratings)
    assert [rating[:4] for rating in ratings] == [rating[:4] for rating in whole[:count]]
    assert [(letter.origin, letter.stage, letter.value) for letter in dead] == [
        (f"f:{count + 1}", "read", b"")
    ]
    assert "the rest of the file cannot be read: " in dead[0].reason
    return count


@pytest.mark.parametrize("compress", COMPRESS.values(), ids=COMPRESS)
@pytest.mark.parametrize("part", [0.5, 0.9, 0.999])
def test_a_truncated_file_gives_what_is_there_and_one_dead_letter(
    tmp_path: Path, compress: Callable[[bytes], bytes], part: float
) -> None:
    compressed = compress(LONG_TABS)
    found = _read(tmp_path, compressed[: int(len(compressed) * part)])
    count = _is_a_start_and_one_dead_letter(found, LONG)
    # bz2 has only whole blocks, and this is one.
    assert count > 0 or compress is not gzip.compress


@pytest.mark.parametrize(
    ("kind", "length"),
    [
        (kind, length)
        for kind, known_by in (("gz", 3), ("bz2", 3), ("xz", 6), ("zst", 4))
        for length in (known_by, 7, 9, 12, 20)
    ],
)
def test_a_file_that_breaks_off_at_its_start_is_one_dead_letter(
    tmp_path: Path, kind: str, length: int
) -> None:
    ratings, dead = _read(tmp_path, COMPRESS[kind](TABS)[:length])
    assert ratings == []
    assert [(letter.origin, letter.stage) for letter in dead] == [("f:1", "read")]


def test_a_truncated_trailer_costs_no_record(tmp_path: Path) -> None:
    found = _read(tmp_path, gzip.compress(LONG_TABS)[:-4])
    assert _is_a_start_and_one_dead_letter(found, LONG) == len(LONG)


def test_a_wrong_checksum_is_told(tmp_path: Path) -> None:
    compressed = bytearray(gzip.compress(TABS))
    compressed[-6] ^= 0xFF
    found = _read(tmp_path, bytes(compressed))
    assert _is_a_start_and_one_dead_letter(found, _ratings()) == len(VALUES)
    assert "CRC check failed" in found[1][0].reason


@pytest.mark.parametrize("good", [b"", LONG_TABS], ids=["at once", "later"])
def test_gz_with_bytes_that_can_not_be_inflated(tmp_path: Path, good: bytes) -> None:
    compressor = zlib.compressobj(wbits=31)
    start = compressor.compress(good) + compressor.flush(zlib.Z_FULL_FLUSH)
    # Ones from here on are a block of the type that there is not.
    found = _read(tmp_path, start + b"\xff" * 50)
    count = _is_a_start_and_one_dead_letter(found, LONG)
    assert (count > 0) == bool(good)


def test_bz2_with_a_broken_block(tmp_path: Path) -> None:
    ratings = movielens_like(6000)
    compressed = bytearray(bz2.compress(tab_lines(ratings).encode(), compresslevel=1))
    compressed[-1000] ^= 0xFF  # in the second of two blocks
    found = _read(tmp_path, bytes(compressed))
    assert 0 < _is_a_start_and_one_dead_letter(found, ratings) < len(ratings)


@pytest.mark.parametrize("codec", ["null", "deflate", "bzip2"])
def test_a_container_that_is_truncated(tmp_path: Path, codec: str) -> None:
    content = _avro([rating._asdict() for rating in LONG], codec, sync_interval=4000)
    found = _read(tmp_path, content[: len(content) // 2])
    assert 0 < _is_a_start_and_one_dead_letter(found, LONG) < len(LONG)


@pytest.mark.parametrize("codec", ["null", "deflate", "bzip2"])
def test_a_container_with_a_broken_sync_marker(tmp_path: Path, codec: str) -> None:
    content = _avro([rating._asdict() for rating in LONG], codec, sync_interval=4000)
    blocks = content.split(b"0123456789abcdef")
    blocks[5] += b"0123456789abcdeX" + blocks.pop(6)
    found = _read(tmp_path, b"0123456789abcdef".join(blocks))
    assert 0 < _is_a_start_and_one_dead_letter(found, LONG) < len(LONG)


@pytest.mark.parametrize("codec", ["deflate", "bzip2"])
def test_a_container_with_a_block_that_can_not_be_decompressed(tmp_path: Path, codec: str) -> None:
    content = _avro([rating._asdict() for rating in LONG], codec, sync_interval=4000)
    blocks = content.split(b"0123456789abcdef")
    # Behind the block's count and size, two bytes each, its data.
    blocks[5] = blocks[5][:4] + b"\xff" * (len(blocks[5]) - 4)
    found = _read(tmp_path, b"0123456789abcdef".join(blocks))
    assert 0 < _is_a_start_and_one_dead_letter(found, LONG) < len(LONG)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"name": "user"', b'"nane": "user"'),  # a field without a name
        (b'"type": "double"', b'"type": "duoble"'),  # a type that there is not
        (b'"type": "record"', b'"type": "recor}"'),
        (b'{"type"', b'["type"'),  # no JSON
        (b"avro.schema", b"avro.schemX"),
        (b"avro.codec", b"avro.codeX"),
        (b"\x08null", b"\x08nulX"),
    ],
)
def test_a_container_with_a_broken_header_is_one_dead_letter(
    tmp_path: Path, old: bytes, new: bytes
) -> None:
    assert old in AVRO
    ratings, dead = _read(tmp_path, AVRO.replace(old, new, 1))
    if old == b"avro.codec":  # the codec may be left out
        assert (ratings, dead) == (_ratings(), [])
        return
    assert ratings == []
    assert [(letter.origin, letter.stage) for letter in dead] == [("f:1", "read")]


def test_a_file_that_breaks_off_does_not_stop_the_files_behind_it(tmp_path: Path) -> None:
    (tmp_path / "a.gz").write_bytes(gzip.compress(TABS)[:-4])
    (tmp_path / "b.tsv").write_bytes(TSV)
    paths = tuple(str(tmp_path / name) for name in ("a.gz", "b.tsv"))
    ratings, dead = _parsed(Files(paths, ("a.gz", "b.tsv"), "auto", order_by_time=False))
    assert [rating.origin for rating in ratings] == [
        *(f"a.gz:{line}" for line in range(1, 5)),
        *(f"b.tsv:{line}" for line in range(2, 6)),
    ]
    assert [letter.origin for letter in dead] == ["a.gz:5"]


SMALL_TABS = b"1\t2\t3\t4\n" * 30


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_no_damage_to_a_file_makes_it_fail(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    content = bytearray(
        data.draw(
            st.sampled_from(
                [
                    AVRO,
                    _avro([Rating(*values)._asdict() for values in VALUES] * 9, "deflate"),
                    gzip.compress(SMALL_TABS),
                    bz2.compress(SMALL_TABS),
                ]
            )
        )
    )
    # The first bytes say what the file is.
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(4, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "damaged"
    path.write_bytes(content[: data.draw(st.integers(4, len(content)))])
    try:
        _, dead = _parsed(_files(path))
    except UnsupportedFormatError:
        return
    assert sum(letter.stage == "read" for letter in dead) <= 1


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
    ratings, dead = _read(tmp_path, _avro(records, schema=schema))
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
    ratings, dead = _read(tmp_path, _avro(["a", "b"], schema={"type": "string"}))
    assert ratings == []
    assert [(letter.origin, letter.reason) for letter in dead] == [
        ("f:1", "of type str, expected an object with fields"),
        ("f:2", "of type str, expected an object with fields"),
    ]


# What cannot be read at all is told when the pipeline is built.


@pytest.mark.parametrize(
    ("content", "input_format", "reason"),
    [
        (b"PK\x03\x04", "auto", "is of no known format; say which with --input_format"),
        (b"user,rating\n1,3\n", "auto", "has no column for item; expected item, item_id, "),
        (b"user,item,user\n", "csv", "names the column 'user' twice"),
        (b"1,2,3,4\n5,6,7,8\n", "csv", "has no column for user, item"),
        (b"a\tb\tc\n1\t2\t3\n", "auto", "or --fields user=COLUMN,item=COLUMN"),
        (TABS, "avro", "is not an Avro object container file"),
        (b"user,item,rating,timestamp\r1,2,3,4\r", "auto", ""),
    ],
)
def test_a_file_of_no_known_format_is_named(
    tmp_path: Path, content: bytes, input_format: str, reason: str
) -> None:
    path = tmp_path / "ratings.x"
    path.write_bytes(content)
    with pytest.raises(UnsupportedFormatError) as raised:
        _ = TestPipeline() | ReadRatingsFromFiles(str(path), input_format)
    assert str(path) in str(raised.value)
    assert reason in str(raised.value)


def test_an_unknown_format_is_refused_at_once() -> None:
    with pytest.raises(UnsupportedFormatError, match="'xml' is not a format, expected auto, json"):
        ReadRatingsFromFiles("u.data", input_format="xml")


@pytest.mark.parametrize("pattern", ["u.data", "*.csv", "no/such/folder/u.data"])
def test_a_missing_file_is_named(tmp_path: Path, pattern: str) -> None:
    path = str(tmp_path / pattern)
    with pytest.raises(FileNotFoundError) as raised:
        _ = TestPipeline() | ReadRatingsFromFiles(path)
    assert str(raised.value) == f"no file matches {path!r}"


def test_a_folder_can_not_be_read(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="Is a directory"):
        _ = TestPipeline() | ReadRatingsFromFiles(str(tmp_path))


# Patterns and the names that origins start with.


def _make(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(TABS)


@pytest.mark.parametrize(
    ("present", "pattern", "names"),
    [
        (["u.data"], "u.data", ["u.data"]),
        (["a/b/u.data"], "a/b/u.data", ["u.data"]),
        (["a/b/u.data"], "a/*/u.data", ["u.data"]),
        (["b.csv", "a.csv", "c.txt"], "*.csv", ["a.csv", "b.csv"]),
        (["x/b.csv", "x/a.csv"], "x/*", ["a.csv", "b.csv"]),
        (["2024/a.csv", "2025/a.csv", "2025/b.csv"], "*/a.csv", ["2024/a.csv", "2025/a.csv"]),
        (["x/aa/f.csv", "x/ab/f.csv"], "x/a*/f.csv", ["aa/f.csv", "ab/f.csv"]),
        (["x/f.csv", "x/sub/f.csv"], "x/**.csv", ["f.csv", "sub/f.csv"]),
        (["x/y/f.csv", "xy/f.csv"], "x**.csv", ["x/y/f.csv", "xy/f.csv"]),
    ],
)
def test_names_are_paths_below_the_folder_that_all_have_in_common(
    tmp_path: Path, present: list[str], pattern: str, names: list[str]
) -> None:
    _make(tmp_path, *present)
    paths, found = match_files(str(tmp_path / pattern))
    assert sorted(found) == names
    assert list(paths) == sorted(paths)
    for path, name in zip(paths, found, strict=True):
        assert path.endswith("/" + name)
        assert Path(path).is_file()


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("u.data", ["u.data"]),
        ("./u.data", ["u.data"]),
        ("sub/a.csv", ["a.csv"]),
        ("sub/*.csv", ["a.csv", "b.csv"]),
        ("./sub/*.csv", ["a.csv", "b.csv"]),
        ("*.data", ["u.data", "v.data"]),
        ("./*.data", ["u.data", "v.data"]),
        ("*/a.csv", ["a.csv"]),
    ],
)
def test_patterns_may_be_relative_to_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pattern: str, names: list[str]
) -> None:
    _make(tmp_path, "u.data", "v.data", "sub/a.csv", "sub/b.csv")
    monkeypatch.chdir(tmp_path)
    paths, found = match_files(pattern)
    assert list(found) == names
    for path, name in zip(paths, found, strict=True):
        assert path.endswith(name)
        assert Path(path).is_file()


class StoredFiles(FileSystem):
    """One more of Beam's filesystems, as remote ones are, in memory: `stored://bucket/path`."""

    contents = {  # noqa: RUF012 - it is the storage
        "stored://bucket/ratings/a.csv": CSV,
        "stored://bucket/ratings/more/b.csv": CSV,
        "stored://bucket/large/u.data": tab_lines(movielens_like(25_000)).encode(),
    }
    opened: list[str] = []  # noqa: RUF012 - it is the log

    @classmethod
    def scheme(cls) -> str:
        return "stored"

    def join(self, basepath: str, *paths: str) -> str:
        return "/".join([basepath.rstrip("/"), *paths])

    def split(self, path: str) -> tuple[str, str]:
        head, _, tail = path.rpartition("/")
        return head, tail

    def has_dirs(self) -> bool:
        return False

    def _list(self, dir_or_prefix: str) -> Iterator[FileMetadata]:
        for path, content in self.contents.items():
            if path.startswith(dir_or_prefix):
                yield FileMetadata(path, len(content))

    def exists(self, path: str) -> bool:
        return path in self.contents

    def open(self, path: str, *_: Any, **__: Any) -> io.BytesIO:
        self.opened.append(path)
        return io.BytesIO(self.contents[path])

    def metadata(self, path: str) -> FileMetadata:
        return FileMetadata(path, self.size(path))

    def size(self, path: str) -> int:
        return len(self.contents[path])

    def _unused(self, *_: Any, **__: Any) -> Any:
        raise NotImplementedError

    create = mkdirs = copy = rename = delete = last_updated = checksum = _unused


def test_any_of_beams_filesystems_will_do() -> None:
    assert match_files("stored://bucket/ratings/a.csv") == (
        ("stored://bucket/ratings/a.csv",),
        ("a.csv",),
    )
    paths, names = match_files("stored://bucket/ratings/**.csv")
    assert paths == ("stored://bucket/ratings/a.csv", "stored://bucket/ratings/more/b.csv")
    assert names == ("a.csv", "more/b.csv")
    ratings, dead = _parsed(Files(paths, names, "auto", order_by_time=False))
    assert [rating[:4] for rating in ratings] == VALUES * 2
    assert dead == []


# In the order of time.


def test_ratings_come_in_the_order_of_their_time_ties_as_they_stand(tmp_path: Path) -> None:
    ratings, dead = _read(tmp_path, TABS, order_by_time=True)
    expected = _ratings()
    assert ratings == [expected[2], expected[0], expected[3], expected[1]]
    assert dead == []


@pytest.mark.parametrize("kind", CONTENTS)
def test_every_format_can_be_ordered(tmp_path: Path, kind: str) -> None:
    content, first_line = CONTENTS[kind]
    ratings, dead = _read(tmp_path, content, order_by_time=True)
    lines = [int(rating.origin.removeprefix("f:")) - first_line for rating in ratings]
    assert (lines, dead) == ([2, 0, 3, 1], [])


def test_times_are_compared_across_files_of_different_formats(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(JSON)
    (tmp_path / "b.csv").write_bytes(CSV)
    (tmp_path / "c.gz").write_bytes(gzip.compress(TABS))
    (tmp_path / "d.json").write_bytes(JSON)
    names = ("a.json", "b.csv", "c.gz", "d.json")
    files = Files(tuple(str(tmp_path / name) for name in names), names, "auto", order_by_time=True)
    ratings, dead = _parsed(files)
    assert dead == []
    lines = [(2, name) for name in names]
    lines += [(line, name) for name in names for line in (0, 3)]
    lines += [(1, name) for name in names]
    assert [rating.origin for rating in ratings] == [
        f"{name}:{line + (2 if name == 'b.csv' else 1)}" for line, name in lines
    ]


def test_a_large_file_is_ordered_as_a_whole(tmp_path: Path) -> None:
    ratings = movielens_like(2500)
    path = tmp_path / "u.data"
    path.write_text(tab_lines(ratings))
    found, _ = _parsed(_files(path, order_by_time=True, name="u.data"))
    assert found == sorted(ratings, key=lambda rating: rating.timestamp)


def _origins_in_order(files: Files) -> list[str]:
    return [f"{b.source}{position}" for b in read_batches(files) for position in b.positions]


def test_what_has_no_time_stays_behind_what_it_stood_behind(tmp_path: Path) -> None:
    path = tmp_path / "file.gz"
    lines = [b"no time", b"1\t2\t3\t50", b"", b"1\t2\tnan\t99", b"1\t2\t3\t10", b"1\t2\t3\t50"]
    path.write_bytes(gzip.compress(b"\n".join(lines) + b"\nlast\n")[:-4])
    files = _files(path, "movielens", order_by_time=True)
    assert _origins_in_order(files) == [
        "f:1",  # before all, as it was
        "f:5",
        "f:2",
        "f:3",
        "f:4",
        "f:6",
        "f:7",
        "f:8",  # the rest that cannot be read
    ]
    dead = _parsed(files)[1]
    assert [letter.stage for letter in dead] == ["parse"] * 4 + ["read"]
    assert dead[-1].reason.startswith("the rest of the file cannot be read: EOFError: ")


@settings(deadline=None, max_examples=100)
@given(st.lists(st.none() | st.integers(0, 5), max_size=40))
def test_ordering_is_a_stable_sort(
    tmp_path_factory: pytest.TempPathFactory, times: list[int | None]
) -> None:
    path = tmp_path_factory.getbasetemp() / "ordered"
    path.write_text("".join("broken\n" if t is None else f"1\t2\t3\t{t}\n" for t in times))
    keys, latest = [], 0
    for time in times:
        latest = latest if time is None else time
        keys.append(latest)
    expected = sorted(range(len(times)), key=lambda line: keys[line])
    files = _files(path, "movielens", order_by_time=True)
    assert _origins_in_order(files) == [f"f:{line + 1}" for line in expected]


# Going on from a record number.


Record = tuple[str, bytes | None, Any, str]


def _records(batches: list[RawBatch]) -> list[Record]:
    return [
        (f"{batch.source}{position}", value, batch.record_format, batch.failure)
        for batch in batches
        for position, value in zip(batch.positions, batch.values, strict=True)
    ]


def _rest(files: Files, position: int) -> list[RawBatch]:
    reader = FileReader(files, position)
    batches: list[RawBatch] = []
    while True:
        chunk = reader.read(position, END, 0.0)
        if chunk.exhausted:
            assert len(chunk.batch) == 0
            assert chunk.next_position == position
            return batches
        assert len(chunk.batch) > 0
        assert chunk.next_position == position + len(chunk.batch)
        batches.append(chunk.batch)
        position = chunk.next_position


@pytest.fixture
def mixed(tmp_path: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    contents = {
        "a.csv": CSV + b"\nbroken\n",
        "b.gz": gzip.compress(TABS * 3)[:-4],
        "c.avro": _avro([Rating(*values)._asdict() for values in VALUES * 5], sync_interval=100),
        "d.json": b"",
        "e.json": JSON + b"{",
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    return tuple(str(tmp_path / name) for name in contents), tuple(contents)


@pytest.mark.parametrize("order_by_time", [False, True])
@pytest.mark.parametrize("size", [1, 3, 4, 1000])
def test_reading_goes_on_from_any_record(
    mixed: tuple[tuple[str, ...], tuple[str, ...]],
    monkeypatch: pytest.MonkeyPatch,
    size: int,
    order_by_time: bool,
) -> None:
    monkeypatch.setattr("transforms.file_reader.BATCH_RECORDS", size)
    files = Files(*mixed, "auto", order_by_time)
    everything = _records(list(read_batches(files)))
    assert len(everything) == 6 + 13 + 20 + 0 + 5
    for position in range(len(everything) + 1):
        assert _records(_rest(files, position)) == everything[position:]


def test_a_reader_goes_forward_only(tmp_path: Path) -> None:
    _make(tmp_path, "u.data")
    reader = FileReader(_files(tmp_path / "u.data"), 2)
    with pytest.raises(ValueError, match="the reader stands at 2, not at 0"):
        reader.read(0, END, 0.0)
    assert list(reader.read(2, END, 0.0).batch.positions) == [3, 4]


# As a transform.


def _with_time(
    batch: RatingBatch, timestamp: Timestamp = beam.DoFn.TimestampParam
) -> tuple[int, list[str]]:
    return timestamp.micros, [rating.origin for rating in batch.ratings]


@pytest.mark.parametrize("order_by_time", [False, True])
def test_a_file_of_several_calls_is_read_once_and_in_order(
    tmp_path: Path, order_by_time: bool
) -> None:
    """Each call of the source ends after 20,000 records at the latest, so this takes two."""
    ratings = movielens_like(25_000)
    path = tmp_path / "u.data"
    path.write_text(tab_lines(ratings))
    if order_by_time:
        ratings.sort(key=lambda rating: rating.timestamp)
    expected = [rating.origin for rating in ratings]

    def matches(found: list[tuple[int, list[str]]]) -> None:
        if [origin for _, origins in sorted(found) for origin in origins] != expected:
            msg = "the batches do not make the file, or not in its order"
            raise BeamAssertException(msg)
        if len({micros for micros, _ in found}) != len(found):
            msg = "two batches have the same time"
            raise BeamAssertException(msg)

    with TestPipeline(runner="FnApiRunner") as pipeline:
        raw = pipeline | ReadRatingsFromFiles(str(path), order_by_time=order_by_time)
        assert raw.element_type is RawBatch
        assert_that((raw | ParseRatings()).ratings | beam.Map(_with_time), matches)
    assert counts(pipeline.result) == {"read": 25_000, "dead": 0}


def test_a_reader_goes_on_where_it_stands_and_is_not_kept_at_the_end() -> None:
    path = "stored://bucket/large/u.data"
    StoredFiles.opened.clear()
    before = len(WORKER.get(OpenReaders))
    with TestPipeline(runner="FnApiRunner") as pipeline:
        _ = pipeline | ReadRatingsFromFiles(path) | ParseRatings()
    assert counts(pipeline.result) == {"read": 25_000, "dead": 0}
    assert StoredFiles.opened == [path] * 2  # one look when the pipeline is built, one reading
    assert len(WORKER.get(OpenReaders)) == before


def test_files_of_a_pattern_are_read_with_their_names(tmp_path: Path) -> None:
    _make(tmp_path, "2024/u.data", "2025/u.data")
    (tmp_path / "2025" / "v.csv").write_bytes(CSV + b"broken\n")
    with TestPipeline(runner="FnApiRunner") as pipeline:
        parsed = pipeline | ReadRatingsFromFiles(str(tmp_path / "*" / "*")) | ParseRatings()
        expected = [f"{year}/u.data:{line}" for year in (2024, 2025) for line in range(1, 5)]
        expected += [f"2025/v.csv:{line}" for line in range(2, 6)]
        origins = parsed.ratings | beam.FlatMap(lambda b: [rating.origin for rating in b.ratings])
        assert_that(origins, equal_to(expected), label="Ratings")
        dead = parsed.dead_letters | beam.Map(lambda letter: letter.origin)
        assert_that(dead, equal_to(["2025/v.csv:6"]), label="Dead")
    assert counts(pipeline.result) == {"read": 13, "dead": 1}


def test_a_file_that_breaks_off_at_its_start_does_not_stop_the_pipeline(tmp_path: Path) -> None:
    path = tmp_path / "u.data.gz"
    path.write_bytes(gzip.compress(TABS)[:12])
    with TestPipeline(runner="FnApiRunner") as pipeline:
        parsed = pipeline | ReadRatingsFromFiles(str(path)) | ParseRatings()
        dead = parsed.dead_letters | beam.Map(lambda letter: (letter.origin, letter.stage))
        assert_that(dead, equal_to([("u.data.gz:1", "read")]))


def test_a_file_whose_name_is_not_utf8_is_read(tmp_path: Path) -> None:
    name = b"caf\xe9.data".decode("utf-8", errors="surrogateescape")
    _make(tmp_path, name)
    with TestPipeline(runner="FnApiRunner") as pipeline:
        parsed = pipeline | ReadRatingsFromFiles(str(tmp_path / "*.data")) | ParseRatings()
        values = parsed.ratings | beam.FlatMap(lambda b: [rating[:4] for rating in b.ratings])
        assert_that(values, equal_to(VALUES))


def test_requests_follow_the_ratings_whatever_their_order(tmp_path: Path) -> None:
    ratings, asks = tmp_path / "u.data", tmp_path / "asks.jsonl"
    ratings.write_text(tab_lines(movielens_like(1500)))
    asks.write_bytes(b'{"user": "196"}\n{"user": 3}\n{}\n')
    source = ReadRatingsFromFiles(str(ratings), order_by_time=True, requests=str(asks))

    def matches(batches: list[RatingBatch]) -> None:
        assert [len(batch.requests) for batch in batches] == [0] * (len(batches) - 1) + [2]
        assert batches[-1] == RatingBatch(
            [], 0.0, [Request("196", 0.0, "asks.jsonl:1"), Request("3", 0.0, "asks.jsonl:2")]
        )
        assert sum(map(len, batches)) == 1500

    with TestPipeline(runner="FnApiRunner") as pipeline:
        assert_that((pipeline | source | ParseRatings()).ratings, matches)
    assert counts(pipeline.result) == {"read": 1501, "requests": 2, "dead": 1}


def test_requests_that_are_not_there() -> None:
    with pytest.raises(FileNotFoundError, match=r"no file matches 'no\.jsonl'"):
        _ = TestPipeline() | ReadRatingsFromFiles(str(__file__), "json", requests="no.jsonl")


@pytest.mark.parametrize("encoded", [b'[2,["a"],["a"],"auto",false,0,9,0]', b"[]", b'{"a": 1}'])
def test_files_of_another_version_are_refused(encoded: bytes) -> None:
    with pytest.raises(IncompatibleStateError, match=r"files is of version .*, expected 1"):
        FilesCoder().decode(encoded)


def test_a_mapping_names_columns_and_the_times_to_sort_by(tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    path.write_text(
        "Kunde;Artikel;Zeit\na;x;2026-11-25T10:00:02Z\nb;y;1795600801000\nc;z;\nd;w;1795600800\n"
    )
    fields = {"user": "Kunde", "item": "Artikel", "timestamp": "Zeit"}
    mapping = RecordMapping(fields)
    with TestPipeline(runner="FnApiRunner") as pipeline:
        raw = pipeline | ReadRatingsFromFiles(str(path), order_by_time=True, mapping=mapping)
        parsed = raw | ParseRatings(mapping=mapping)
        users = parsed.ratings | beam.Map(lambda batch: [one.user for one in batch.ratings])
        # The record without a time stays behind the one that it stood behind.
        assert_that(users, equal_to([["d", "b", "c", "a"]]))


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"user": "Kunde"}, "has no column for item; expected item, item_id, movie, movie_id"),
        (
            {"user": "Kunde", "item": "Artikel", "rating": "Sterne"},
            "has no column 'Sterne', which is to be the rating",
        ),
    ],
)
def test_a_header_that_does_not_fit_the_mapping_is_told_at_once(
    tmp_path: Path, fields: dict[str, str], reason: str
) -> None:
    path = tmp_path / "events.csv"
    path.write_text("Kunde;Artikel\na;x\n")
    with pytest.raises(UnsupportedFormatError) as raised:
        _ = TestPipeline() | ReadRatingsFromFiles(str(path), mapping=RecordMapping(fields))
    assert reason in str(raised.value)
    assert str(path) in str(raised.value)
