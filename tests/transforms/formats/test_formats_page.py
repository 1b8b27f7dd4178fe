"""The examples of docs/formats.md, through the functions of the stages."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from beam_pipeline.settings import parse
from tests.support import ROOT
from transforms.batches import RawBatch
from transforms.filter import positives
from transforms.formats.detection import format_of_messages, format_of_text
from transforms.formats.mapping import RecordMapping
from transforms.formats.names import FIELDS, USUAL_NAMES
from transforms.formats.record_reader import RecordReader
from transforms.formats.records import Header, Rating
from transforms.parse import parse_batch

PAGE: Final = ROOT / "docs" / "formats.md"
MIN_RATING: Final = 3.0
_CODE: Final = re.compile("`([^`]*)`")


@dataclass(frozen=True)
class Example:
    """A row of the page."""

    line: int
    batch: RawBatch
    mapping: RecordMapping
    outcome: list[str]


def _examples() -> list[Example]:
    examples = []
    columns: list[str] = []
    for number, line in enumerate(PAGE.read_text().splitlines(), start=1):
        cells = [cell.strip() for cell in line.strip("|").split("|")] if line[:1] == "|" else []
        if not cells:
            columns = []
        elif not columns:
            columns = cells
        elif columns[0] == "record" and not cells[0].startswith("---"):
            row = dict(zip(columns, cells, strict=True))
            examples.append(_example(number, row))
    return examples


def _example(line: int, row: dict[str, str]) -> Example:
    flags = shlex.split("".join(_CODE.findall(row.get("flags", ""))))
    becomes = row["becomes"]
    outcome = _CODE.findall(becomes)
    if becomes.startswith("a dead letter"):
        outcome = [f"dead: {outcome[0]}"]
    mapping = parse(["--input", "x", *flags]).mapping
    return Example(line, _batch(row["record"]), mapping, outcome)


def _batch(record: str) -> RawBatch:
    parts = _CODE.findall(record)
    if record.startswith("line"):
        line, header = parts
        return RawBatch("f:", [2], [line.encode()], format_of_text("auto", header)[0])
    form = format_of_messages("auto")
    value, *more = (part.encode() for part in parts)
    if not more:
        return RawBatch("t-0-", [1], [value], form)
    (around,) = more
    if "key `" in record:
        return RawBatch("t-0-", [1], [value], form, keys=[around])
    if "broker time `" in record:
        return RawBatch("t-0-", [1], [value], form, times_ms=[round(float(around) * 1000)])
    name = record.split("header ")[1].split(maxsplit=1)[0]
    return RawBatch("t-0-", [1], [value], form, headers=[[Header(name, around)]])


def _shown(rating: Rating) -> str:
    text = f"{rating.user}, {rating.item}, {rating.rating:g}, {rating.timestamp!r}"
    weight = f", weight {rating.weight:g}" if rating.weight != 1 else ""
    return f"{text.removesuffix('.0')}{weight}"


def _outcome(example: Example) -> list[str]:
    """What the stages make of an example."""
    parsed = parse_batch(example.batch, RecordReader(example.mapping))
    kept = positives(parsed.batch.ratings, MIN_RATING, parsed.batch.unrated)
    return [*map(_shown, kept), *(f"dead: {letter.reason}" for letter in parsed.dead)]


@pytest.mark.parametrize("example", _examples(), ids=lambda one: f"line {one.line}")
def test_each_row_becomes_what_it_says(example: Example) -> None:
    outcome = _outcome(example)
    assert len(outcome) == len(example.outcome)
    for found, expected in zip(outcome, example.outcome, strict=True):
        assert found.startswith(expected) if expected.startswith("dead: ") else found == expected


def test_all_tables_are_found() -> None:
    assert len(_examples()) >= 30


def test_the_page_has_all_usual_names() -> None:
    text = Path(PAGE).read_text()
    for field in FIELDS:
        if not field.endswith("features") and field != "context":
            names = ", ".join(f"`{name}`" for name in USUAL_NAMES[field])
            assert f"| {field} | {names} |" in text
