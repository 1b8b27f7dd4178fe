from __future__ import annotations

import gzip
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.util import BeamAssertException, assert_that, equal_to
from apache_beam.utils.timestamp import Timestamp

from tests.files import (
    CSV,
    TABS,
    VALUES,
    StoredFiles,
    make_files,
)
from tests.support import counts, movielens_like, tab_lines
from transforms.batches import RatingBatch, RawBatch
from transforms.errors import IncompatibleStateError, UnsupportedFormatError
from transforms.file_reader import (
    FilesCoder,
    OpenReaders,
)
from transforms.formats.mapping import RecordMapping
from transforms.formats.records import Request
from transforms.parse import ParseRatings
from transforms.read_files import ReadRatingsFromFiles
from transforms.runtime.worker_context import WORKER

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
    make_files(tmp_path, "2024/u.data", "2025/u.data")
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
    make_files(tmp_path, name)
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
