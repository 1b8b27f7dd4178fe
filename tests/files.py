"""Files of ratings in every format, and what has to be found in them."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard
from apache_beam.io.filesystem import FileMetadata, FileSystem

from tests.support import movielens_like, tab_lines
from transforms.file_reader import (
    Files,
    read_batches,
)
from transforms.formats import avro
from transforms.formats.json_lines import encode_rating
from transforms.formats.records import DeadLetter, Rating
from transforms.parse import parse

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


def avro_file(
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


def parquet_file(columns: dict[str, Any], rows_in_group: int = 1000, **options: Any) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer, row_group_size=rows_in_group, **options)
    return buffer.getvalue()


PARQUET = parquet_file(
    dict(zip(Rating._fields[:4], map(list, zip(*VALUES, strict=True)), strict=True))
)
AVRO = avro_file([Rating(*values)._asdict() for values in VALUES])
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


def expected_ratings(first_line: int = 1) -> list[Rating]:
    return [Rating(*values, f"f:{line}") for line, values in enumerate(VALUES, start=first_line)]


def files_of(
    path: Path, input_format: str = "auto", *, order_by_time: bool = False, name: str = "f"
) -> Files:
    return Files((str(path),), (name,), input_format, order_by_time)


def parsed(files: Files) -> tuple[list[Rating], list[DeadLetter]]:
    ratings: list[Rating] = []
    dead: list[DeadLetter] = []
    for batch in read_batches(files):
        some_ratings, some_dead = parse(batch)
        ratings += some_ratings
        dead += some_dead
    return ratings, dead


def written(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "file"
    path.write_bytes(content)
    return path


def read_content(
    tmp_path: Path, content: bytes, input_format: str = "auto", *, order_by_time: bool = False
) -> tuple[list[Rating], list[DeadLetter]]:
    path = written(tmp_path, content)
    return parsed(files_of(path, input_format, order_by_time=order_by_time))


def make_files(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(TABS)


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
