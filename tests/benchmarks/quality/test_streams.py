from __future__ import annotations

import gzip
import json
from pathlib import Path

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from beam_pipeline.settings import parse
from benchmarks.quality.streams import Positives, read_positives
from transforms.errors import UnsupportedFormatError

ROWS = [
    {"who": "u1", "sku": "a", "at": 3000, "kind": "view"},
    {"who": "u2", "sku": "b", "at": 1000, "kind": "buy"},
    {"who": "u1", "sku": "c", "at": 2000, "kind": "hide"},
    {"who": "u1", "sku": "d", "at": 2000, "kind": "unheard-of"},
]
FLAGS = (
    "--fields=user=who,item=sku,timestamp=at",
    "--event_field=kind",
    "--event_weights=view=0.5,buy=1,hide=-1",
    "--timestamp_unit=ms",
)
READ = [("u2", "b", 1.0, 1.0), ("u1", "c", 2.0, -1.0), ("u1", "a", 3.0, 0.5)]


def _read(path: Path | str, *flags: str) -> Positives:
    return read_positives(str(path), parse(list(flags)))


def _write(path: Path) -> None:
    match path.name.removeprefix("clicks."):
        case "jsonl":
            path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
        case "jsonl.gz":
            path.write_bytes(gzip.compress("\n".join(map(json.dumps, ROWS)).encode()))
        case "csv":
            lines = [",".join(ROWS[0]), *(",".join(map(str, row.values())) for row in ROWS)]
            path.write_text("\n".join(lines))
        case "parquet":
            pq.write_table(pa.Table.from_pylist(ROWS), path)
        case "avro":
            types = {"who": "string", "sku": "string", "at": "long", "kind": "string"}
            columns = [{"name": name, "type": kind} for name, kind in types.items()]
            schema = {"type": "record", "name": "Click", "fields": columns}
            with path.open("wb") as file:
                fastavro.writer(file, schema, ROWS)


@pytest.mark.parametrize("ending", ["jsonl", "jsonl.gz", "csv", "parquet", "avro"])
def test_reads_what_the_pipeline_reads_in_the_order_of_time(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"clicks.{ending}"
    _write(path)
    found = _read(path, *FLAGS)
    assert [(one.user, one.item, one.timestamp, one.weight) for one in found.ratings] == READ
    assert (found.read, found.dead) == (4, 0)
    assert any("'who'" in note and "'sku'" in note for note in found.notes)


def test_low_ratings_are_no_positives(tmp_path: Path) -> None:
    (tmp_path / "u.data").write_text("1\t10\t5\t30\n1\t11\t4\t20\n2\t10\t5\t10\nx\n")
    found = _read(tmp_path / "u.data", "--min_rating=5")
    assert [(one.user, one.item) for one in found.ratings] == [("2", "10"), ("1", "10")]
    assert (found.read, found.dead) == (4, 1)


def test_equal_times_stay_in_the_order_of_the_files(tmp_path: Path) -> None:
    for name, item in (("b.csv", "later"), ("a.csv", "sooner")):
        (tmp_path / name).write_text(f"user,item,timestamp\nu,{item},5\n")
    found = _read(tmp_path / "*.csv")
    assert [one.item for one in found.ratings] == ["sooner", "later"]


def test_a_file_without_a_positive_is_refused_with_the_reason(tmp_path: Path) -> None:
    path = tmp_path / "few.csv"
    path.write_text("user,item,rating\nu,a,2\n")
    with pytest.raises(UnsupportedFormatError, match="none of 1 events is a positive: no rating"):
        _read(path)
    path.write_text("user,item,rating\nu,a,high\n")
    with pytest.raises(UnsupportedFormatError, match="'high'"):
        _read(path)
