"""What a file holds, record by record: compressed or not, text, Avro or Parquet."""

from __future__ import annotations

import bz2
import datetime
import decimal
import gzip
import io
import itertools
import json
import lzma
from collections.abc import Iterator
from typing import IO, Any, Final, NamedTuple, cast

import fastavro
import orjson

from transforms.errors import UnsupportedFormatError
from transforms.formats import avro
from transforms.formats.detection import JSON, RecordFormat, format_of_text

_UTF8_MARK: Final = b"\xef\xbb\xbf"
_PARQUET_MAGIC: Final = b"PAR1"
_GZIP_MAGIC: Final = b"\x1f\x8b"
_BZIP2_MAGIC: Final = b"BZh"
_XZ_MAGIC: Final = b"\xfd7zXZ\x00"
_ZSTANDARD_MAGIC: Final = b"\x28\xb5\x2f\xfd"
_ROWS: Final = 1000


class FileRecord(NamedTuple):
    """An undecoded record.

    Attributes:
        position: Its number in the file, from 1: of its line, or of its row.
        value: Its bytes.
        record_format: How to decode them.
    """

    position: int
    value: bytes
    record_format: RecordFormat


def file_records(opened: IO[bytes], path: str, input_format: str) -> Iterator[FileRecord]:
    """Yields the records of a file.

    Args:
        opened: The file as it is on disk; seekable.
        path: For messages.
        input_format: One of `FILE_FORMATS`, or `request`; `auto` goes by the first bytes.

    Raises:
        UnsupportedFormatError: The file is not of that format.
        Exception: Whatever a broken file provokes in a library.
    """
    start = _start_of(opened, len(_PARQUET_MAGIC))
    if start == _PARQUET_MAGIC and input_format in {"auto", "parquet"}:
        yield from _parquet_records(opened)
        return
    if input_format == "parquet":
        msg = f"{path} is not a Parquet file"
        raise UnsupportedFormatError(msg)
    stream = _decompressed(opened)
    start = _start_of(stream, len(avro.CONTAINER_MAGIC))
    if start == avro.CONTAINER_MAGIC and input_format in {"auto", "avro"}:
        yield from _avro_records(stream)
        return
    if input_format == "avro":
        msg = f"{path} is not an Avro object container file"
        raise UnsupportedFormatError(msg)
    yield from _text_records(stream, path, input_format)


def _start_of(stream: IO[bytes], count: int) -> bytes:
    if not stream.seekable():
        return cast("io.BufferedReader", stream).peek(count)[:count]
    start = stream.read(count)
    stream.seek(0)
    return start


def _decompressed(opened: IO[bytes]) -> IO[bytes]:
    """Goes by the first bytes, as not every compressed file has the ending for it."""
    start = _start_of(opened, len(_XZ_MAGIC))
    if start.startswith(_GZIP_MAGIC):
        return cast("IO[bytes]", gzip.open(opened))
    if start.startswith(_BZIP2_MAGIC):
        return bz2.open(opened)
    if start.startswith(_XZ_MAGIC):
        return lzma.open(opened)
    if start.startswith(_ZSTANDARD_MAGIC):
        return _zstandard(opened)
    return opened


def _zstandard(opened: IO[bytes]) -> IO[bytes]:
    # 40 MB that only who has such files needs.
    import pyarrow as pa  # noqa: PLC0415

    return io.BufferedReader(pa.CompressedInputStream(pa.PythonFile(opened), "zstd"))


def _text_records(stream: IO[bytes], path: str, input_format: str) -> Iterator[FileRecord]:
    first = stream.readline().removeprefix(_UTF8_MARK)
    if not first:
        return
    header = first.rstrip(b"\r\n").decode("utf-8", errors="replace")
    try:
        record_format, has_header = format_of_text(input_format, header)
    except UnsupportedFormatError as e:
        msg = f"{path}: {e}"
        raise UnsupportedFormatError(msg) from e
    lines = stream if has_header else itertools.chain([first], stream)
    for number, line in enumerate(lines, start=2 if has_header else 1):
        yield FileRecord(number, line.rstrip(b"\r\n"), record_format)


def _avro_records(stream: IO[bytes]) -> Iterator[FileRecord]:
    reader = fastavro.reader(stream)
    schema = json.dumps(reader.writer_schema)
    record_format = RecordFormat("datum", schema=schema)
    for number, record in enumerate(reader, start=1):
        yield FileRecord(number, avro.encode_datum(record, schema), record_format)


def _parquet_records(opened: IO[bytes]) -> Iterator[FileRecord]:
    """Yields rows as JSON objects; one row group at a time is in memory."""
    import pyarrow.parquet as pq  # noqa: PLC0415

    numbers = itertools.count(1)
    for batch in pq.ParquetFile(opened).iter_batches(_ROWS):
        columns = [_seconds(column) for column in batch.columns]
        for row in zip(*columns, strict=True):
            fields = dict(zip(batch.schema.names, row, strict=True))
            value = orjson.dumps(fields, default=_plain, option=orjson.OPT_NAIVE_UTC)
            yield FileRecord(next(numbers), value, JSON)


def _seconds(column: Any) -> list[Any]:
    """Returns a column's values; those of a column of timestamps as seconds since the epoch."""
    import pyarrow as pa  # noqa: PLC0415

    if not pa.types.is_timestamp(column.type):
        return cast("list[Any]", column.to_pylist())
    micros = column.cast(pa.timestamp("us", column.type.tz), safe=False).cast(pa.int64())
    return [None if one is None else one / 1e6 for one in micros.to_pylist()]


def _plain(value: object) -> object:
    """Returns what JSON has for a value of Parquet that it lacks."""
    if isinstance(value, decimal.Decimal):
        return float(value)
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, datetime.timedelta):
        return value.total_seconds()
    raise TypeError
