from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import fastavro
import pytest
from apache_beam.io.filesystem import FileSystem
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.test_stream import TestStream

from beam_pipeline import cli
from tests.support import movielens_like, tab_lines
from transforms.batches import RecommendationBatch, RecommendationBatchCoder
from transforms.formats.json_lines import decode_recommendation
from transforms.formats.records import DeadLetter, Recommendation, ScoredItem
from transforms.write_files import WriteDeadLetters, WriteRecommendations, start_file

LISTS = [
    Recommendation(
        str(n), [ScoredItem("242", 0.97), ScoredItem("é", 0.5)][: n % 3], float(n), f"u.data:{n}"
    )
    for n in range(6)
]
FIRST = RecommendationBatch(LISTS[:4])
SECOND = RecommendationBatch(LISTS[4:])
LETTERS = [
    DeadLetter("u.data:1", "parse", "empty record", b""),
    DeadLetter("u.data:2", "read", 'a "quoted" reason\nof two lines', b"\xff\x00"),
]


def _lists(path: Path) -> list[Recommendation]:
    return [decode_recommendation(line) for line in path.read_bytes().splitlines()]


def _write(batches: list[RecommendationBatch], path: Path, output_format: str = "json") -> None:
    with TestPipeline(runner="FnApiRunner") as pipeline:
        _ = pipeline | beam.Create(batches) | WriteRecommendations(str(path), output_format)


def test_a_list_is_a_line_of_the_form_that_others_parse(tmp_path: Path) -> None:
    path = tmp_path / "recs.jsonl"
    start_file(str(path))
    _write([RecommendationBatch(LISTS[1:3])], path)
    assert path.read_text(encoding="utf-8") == (
        '{"user":"1","items":[{"item":"242","score":0.97}],'
        '"timestamp":1.0,"origin":"u.data:1"}\n'
        '{"user":"2","items":[{"item":"242","score":0.97},{"item":"é","score":0.5}],'
        '"timestamp":2.0,"origin":"u.data:2"}\n'
    )


def test_lists_are_appended_to_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "recs.jsonl"
    path.write_bytes(b'{"before": true}\n')
    _write([FIRST], path)
    before, *rest = path.read_bytes().splitlines()
    assert before == b'{"before": true}'
    assert list(map(decode_recommendation, rest)) == LISTS[:4]


def test_a_file_that_nobody_started_is_made(tmp_path: Path) -> None:
    path = tmp_path / "recs.jsonl"
    _write([FIRST], path)
    assert _lists(path) == LISTS[:4]


def _stream_of(*elements: Any) -> TestStream:
    """Each element in a bundle of its own."""
    stream = TestStream(coder=RecommendationBatchCoder())
    for second, element in enumerate(elements, start=1):
        stream = stream.add_elements([element]).advance_watermark_to(second)
    return stream.advance_watermark_to_infinity()


def test_each_bundle_adds_its_lines_once(tmp_path: Path) -> None:
    path = tmp_path / "recs.jsonl"
    start_file(str(path))
    with TestPipeline() as pipeline:
        _ = pipeline | _stream_of(FIRST, SECOND) | WriteRecommendations(str(path))
    assert _lists(path) == LISTS


def test_each_bundle_adds_an_avro_block(tmp_path: Path) -> None:
    path = tmp_path / "recs.avro"
    start_file(str(path), "avro")
    with TestPipeline() as pipeline:
        _ = pipeline | _stream_of(FIRST, SECOND) | WriteRecommendations(str(path), "avro")
    assert _avro_lists(path) == LISTS


def test_several_blocks_and_runs_make_one_avro_container(tmp_path: Path) -> None:
    path = tmp_path / "recs.avro"
    start_file(str(path), "avro")
    assert _avro_lists(path) == []
    large = [LISTS[5]._replace(origin=f"u.data:{n}") for n in range(2000)]
    for batches in ([FIRST, RecommendationBatch([]), SECOND], [RecommendationBatch(large)]):
        _write(batches, path, "avro")
    found = _avro_lists(path)
    assert sorted(found[:6]) == LISTS
    assert found[6:] == large


def _avro_lists(path: Path) -> list[Recommendation]:
    with path.open("rb") as file:
        return [
            Recommendation(
                record["user"],
                [ScoredItem(entry["item"], entry["score"]) for entry in record["items"]],
                record["timestamp"],
                record["origin"],
            )
            for record in fastavro.reader(file)
        ]


def test_equal_lists_give_equal_bytes(tmp_path: Path) -> None:
    for output_format in ("json", "avro"):
        paths = [tmp_path / f"{number}.{output_format}" for number in range(2)]
        for path in paths:
            start_file(str(path), output_format)
            _write([FIRST], path, output_format)
        first, second = (path.read_bytes() for path in paths)
        assert first == second != b""


def test_several_writers_do_not_cut_into_each_other(tmp_path: Path) -> None:
    path = tmp_path / "recs.jsonl"
    batches = [
        RecommendationBatch([LISTS[5]._replace(origin=f"{b}:{n}") for n in range(50)])
        for b in range(40)
    ]
    options = PipelineOptions(direct_num_workers=4, direct_running_mode="multi_threading")
    with TestPipeline(runner="FnApiRunner", options=options) as pipeline:
        shuffled = pipeline | beam.Create(batches) | beam.Reshuffle()
        _ = shuffled | WriteRecommendations(str(path))
    origins = [one.origin for one in _lists(path)]
    assert sorted(origins) == sorted(f"{b}:{n}" for b in range(40) for n in range(50))
    starts = [place for place, origin in enumerate(origins) if origin.endswith(":0")]
    for start in starts:
        batch = origins[start].split(":")[0]
        assert origins[start : start + 50] == [f"{batch}:{n}" for n in range(50)]


def test_a_dash_is_standard_output(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    with TestPipeline(runner="FnApiRunner") as pipeline:
        _ = pipeline | beam.Create([FIRST]) | WriteRecommendations("-")
    lines = capfdbinary.readouterr().out.splitlines()
    assert list(map(decode_recommendation, lines)) == LISTS[:4]


@pytest.mark.parametrize("where", ["file", "-"])
def test_a_dead_letter_is_a_line_of_the_form_that_others_parse(
    where: str, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    path = tmp_path / "dead.jsonl"
    with TestPipeline(runner="FnApiRunner") as pipeline:
        letters = pipeline | beam.Create(LETTERS)
        _ = letters | WriteDeadLetters("-" if where == "-" else str(path))
    printed = capfdbinary.readouterr().out
    written = printed if where == "-" else path.read_bytes()
    found = sorted(map(json.loads, written.splitlines()), key=lambda letter: letter["origin"])
    assert found == [
        {"origin": "u.data:1", "stage": "parse", "reason": "empty record", "value": ""},
        {
            "origin": "u.data:2",
            "stage": "read",
            "reason": 'a "quoted" reason\nof two lines',
            "value": "/wA=",
        },
    ]


@pytest.mark.parametrize("output_format", ["json", "avro"])
def test_a_started_file_has_nothing_of_before(tmp_path: Path, output_format: str) -> None:
    path = tmp_path / "recs"
    path.write_bytes(b"something that was there\n" * 1000)
    start_file(str(path), output_format)
    assert path.read_bytes().startswith(b"Obj\x01" if output_format == "avro" else b"")
    assert b"was there" not in path.read_bytes()
    assert (output_format == "json") == (path.stat().st_size == 0)


def test_a_file_that_can_not_be_written_is_told_before_the_run(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        start_file(str(tmp_path / "missing" / "recs.jsonl"))


def test_an_output_format_that_there_is_not_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="'csv' is not an output format, expected json or avro"):
        WriteRecommendations("recs.csv", "csv")


def test_avro_does_not_go_to_standard_output() -> None:
    with pytest.raises(ValueError, match="standard output takes json only"):
        WriteRecommendations("-", "avro")


# Beam's other filesystems.


class KeptFiles(FileSystem):
    """In memory: `kept://bucket/path`."""

    contents: dict[str, bytes] = {}  # noqa: RUF012 - it is the storage

    @classmethod
    def scheme(cls) -> str:
        return "kept"

    def create(self, path: str, *_: Any, **__: Any) -> io.BytesIO:
        class _File(io.BytesIO):
            def close(file) -> None:
                KeptFiles.contents[path] = file.getvalue()
                super().close()

        return _File()

    def _unused(self, *_: Any, **__: Any) -> Any:
        raise NotImplementedError

    join = split = has_dirs = mkdirs = copy = rename = delete = last_updated = checksum = _unused
    _list = exists = open = metadata = size = _unused


@pytest.fixture
def kept() -> Iterator[dict[str, bytes]]:
    KeptFiles.contents.clear()
    yield KeptFiles.contents


def test_elsewhere_each_bundle_writes_a_file_of_its_own(kept: dict[str, bytes]) -> None:
    with TestPipeline(options=PipelineOptions(streaming=True)) as pipeline:
        _ = pipeline | _stream_of(FIRST, SECOND) | WriteRecommendations("kept://b/recs.jsonl")
    assert all(re.fullmatch(r"kept://b/recs-\d{13}-[0-9a-f]{8}\.jsonl", path) for path in kept)
    lines = b"".join(kept[path] for path in sorted(kept)).splitlines()
    assert list(map(decode_recommendation, lines)) == LISTS
    assert len(kept) == 2


def test_elsewhere_each_file_is_an_avro_container(kept: dict[str, bytes]) -> None:
    with TestPipeline(options=PipelineOptions(streaming=True)) as pipeline:
        batches = pipeline | _stream_of(FIRST, SECOND)
        _ = batches | WriteRecommendations("kept://b/c/recs", "avro")
    found = [
        record["origin"]
        for path in sorted(kept)
        for record in fastavro.reader(io.BytesIO(kept[path]))
    ]
    assert found == [one.origin for one in LISTS]
    assert all(path.startswith("kept://b/c/recs-") for path in kept)


def test_the_program_writes_everything_elsewhere(kept: dict[str, bytes], tmp_path: Path) -> None:
    path = tmp_path / "u.data"
    path.write_text(tab_lines(movielens_like(300)) + "broken\n")
    code = cli.main(
        [
            *("--runner=FnApiRunner", f"--input={path}", "--output=kept://b/recs.jsonl"),
            *("--dead_letters=kept://b/dead.jsonl", "--evaluation=kept://b/tests.jsonl"),
        ]
    )
    assert code == 0
    positives = sum(rating.rating >= 3 for rating in movielens_like(300))

    def lines(name: str) -> int:
        found = [content for path, content in kept.items() if path.startswith(f"kept://b/{name}-")]
        return len(b"".join(found).splitlines())

    assert (lines("recs"), lines("tests"), lines("dead")) == (positives, positives, 1)


def test_a_filesystem_that_is_not_there_is_told_before_the_run() -> None:
    with pytest.raises(OSError, match="Unable to get filesystem"):
        start_file("nowhere://b/recs.jsonl")
