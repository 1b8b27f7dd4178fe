"""Files to undecoded records, in the order in which they stand or in that of their time."""

from __future__ import annotations

import bz2
import gzip
import itertools
import json
import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import IO, Any, Final, NamedTuple, cast

import apache_beam as beam
import fastavro
from apache_beam.coders import Coder, registry
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems
from apache_beam.io.watermark_estimators import ManualWatermarkEstimator

from transforms.batches import RawBatch
from transforms.errors import UnsupportedFormatError
from transforms.formats import avro
from transforms.formats.detection import (
    FILE_FORMATS,
    REQUEST_FORMAT,
    RecordFormat,
    format_of_text,
)
from transforms.formats.mapping import RecordMapping
from transforms.formats.plans import require_fields
from transforms.formats.record_reader import RecordReader
from transforms.runtime.worker_context import WORKER
from transforms.splittable_read import (
    Chunk,
    Limits,
    PositionRange,
    PositionRangeProvider,
    ReadBudget,
    is_stopping,
    read_in_bounds,
    require_version,
)

BATCH_RECORDS: Final = 1000
_VERSION: Final = 1
_UTF8_MARK: Final = b"\xef\xbb\xbf"


class Files(NamedTuple):
    """The files that one reader reads, one after the other.

    Attributes:
        paths: In the order of reading.
        names: What their origins start with, one for each path.
        input_format: One of `FILE_FORMATS`.
        order_by_time: Whether the ratings come in the order of their timestamps.
        positions: Which records, numbered through all files.
        request_files: How many of the paths, the last ones, hold requests.
    """

    paths: tuple[str, ...]
    names: tuple[str, ...]
    input_format: str
    order_by_time: bool
    positions: PositionRange = PositionRange(0)
    request_files: int = 0


class FilesCoder(Coder):
    """A JSON document with a version: what savepoints hold, so it must not change."""

    def encode(self, value: Files) -> bytes:
        """Returns the files as bytes."""
        *fields, positions, request_files = value
        # The standard library's writer, as a path may be bytes that are not UTF-8.
        return json.dumps([_VERSION, *fields, *positions, request_files]).encode("ascii")

    def decode(self, encoded: bytes) -> Files:
        """Returns the files that `encode` wrote.

        Raises:
            IncompatibleStateError: Another version wrote it.
        """
        document = json.loads(encoded)
        require_version("files", document, _VERSION)
        _, paths, names, input_format, order_by_time, start, stop, request_files = document
        positions = PositionRange(start, stop)
        return Files(
            tuple(paths), tuple(names), input_format, order_by_time, positions, request_files
        )

    def is_deterministic(self) -> bool:
        """Equal files have equal bytes."""
        return True


registry.register_coder(Files, FilesCoder)


def match_files(pattern: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Returns the paths that a pattern matches, sorted, and a short name for each.

    A name is the path below the deepest folder that all have in common: a lone file's own.

    Raises:
        FileNotFoundError: Nothing matches.
    """
    # Beam would list the folder '' for a relative pattern that begins with a wildcard.
    relative = "://" not in pattern and not os.path.isabs(pattern)
    rooted = os.path.join(".", pattern) if relative else pattern
    found = FileSystems.match([rooted])[0].metadata_list
    paths = tuple(sorted(metadata.path for metadata in found))
    if not paths:
        msg = f"no file matches {pattern!r}"
        raise FileNotFoundError(msg)
    split = [path.split("/") for path in paths]
    folders = zip(*(parts[:-1] for parts in split), strict=False)
    common = sum(1 for _ in itertools.takewhile(lambda names: len(set(names)) == 1, folders))
    names = ("/".join(parts[common:]) for parts in split)
    # A file's name may be any bytes, an origin is text.
    return paths, tuple(name.encode("utf-8", "backslashreplace").decode() for name in names)


@dataclass
class ReadRatingsFromFiles(beam.PTransform):
    """Undecoded ratings of the files that a pattern matches, as `RawBatch`.

    gz and bz2 are decompressed. Any of Beam's filesystems will do. Requests, in JSON lines, may
    follow from other files; their batches have the format `REQUEST_FORMAT`.

    Parallelism: one reader, so that the order is that of the files.
    Delivery: each record once; a file that breaks off gives one dead letter in its place.
    On failure: reading goes on where the last committed bundle ended.

    Attributes:
        pattern: A path or a glob.
        input_format: One of `FILE_FORMATS`; `auto` judges each file by its beginning.
        order_by_time: Whether to read the records in the order of their timestamps, equal ones
            in the order of the files; all of them are held in memory then.
        requests: A path or a glob of files with requests, read when all ratings have been;
            empty for none.
        mapping: Where records have the fields of a rating: for the check of a header, and for
            the timestamps of `order_by_time`.
    """

    pattern: str
    input_format: str = "auto"
    order_by_time: bool = False
    requests: str = ""
    mapping: RecordMapping = field(default_factory=RecordMapping)

    def __post_init__(self) -> None:
        """Raises UnsupportedFormatError for a format that files can not have."""
        super().__init__()
        if self.input_format not in FILE_FORMATS:
            msg = f"{self.input_format!r} is not a format, expected {', '.join(FILE_FORMATS)}"
            raise UnsupportedFormatError(msg)

    def expand(self, root: beam.Pipeline) -> beam.PCollection[RawBatch]:
        """Adds the source.

        Raises:
            FileNotFoundError: Nothing matches the pattern.
            UnsupportedFormatError: The first file is not of the format, or of none, or its header
                names no user or no item.
            OSError: The first file can not be opened.
        """
        paths, names = match_files(self.pattern)
        _require_fields(paths[0], self.input_format, self.mapping)
        asked = match_files(self.requests) if self.requests else ((), ())
        files = Files(
            paths + asked[0],
            names + asked[1],
            self.input_format,
            self.order_by_time,
            request_files=len(asked[0]),
        )
        return (
            root
            | "Files" >> beam.Create([files])
            | "Read" >> beam.ParDo(_ReadFilesDoFn(self.mapping)).with_output_types(RawBatch)
        )


def _require_fields(path: str, input_format: str, mapping: RecordMapping) -> None:
    first = next(_read_file(path, "", input_format), None)
    if first and first.record_format and first.record_format.columns:
        try:
            require_fields(first.record_format.columns, mapping)
        except UnsupportedFormatError as e:
            msg = f"{path}: {e}"
            raise UnsupportedFormatError(msg) from e


class _ReadFilesDoFn(beam.DoFn):
    def __init__(self, mapping: RecordMapping) -> None:
        self._mapping = mapping

    def process(
        self,
        element: Files,
        tracker: Any = beam.DoFn.RestrictionParam(PositionRangeProvider()),
        watermark: Any = beam.DoFn.WatermarkEstimatorParam(
            ManualWatermarkEstimator.default_provider()
        ),
    ) -> Iterator[Any]:
        open_readers = WORKER.get(OpenReaders)
        reader = open_readers.pop(element, tracker.current_restriction().start, self._mapping)
        for batch, timestamp in read_in_bounds(reader, tracker, watermark, ReadBudget(Limits())):
            yield beam.window.TimestampedValue(batch, timestamp)
        if not (reader.exhausted or is_stopping()):
            open_readers.put(element, reader.position, reader)


class OpenReaders:
    """Readers between two calls: one that goes on need not read its files from the start again."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._readers: dict[tuple[Files, int], FileReader] = {}

    def __len__(self) -> int:
        return len(self._readers)

    def pop(self, files: Files, position: int, mapping: RecordMapping) -> FileReader:
        """Returns the reader that is at this position, or a new one."""
        with self._lock:
            reader = self._readers.pop((files, position), None)
        return reader or FileReader(files, position, mapping)

    def put(self, files: Files, position: int, reader: FileReader) -> None:
        """Keeps a reader for the call that goes on at this position."""
        with self._lock:
            self._readers[files, position] = reader


class FileReader:
    """Reads files in batches from a record number on; forward only.

    Args:
        files: What to read.
        position: The first record's number.
        mapping: Where the timestamps are.

    Attributes:
        position: The next record's number.
        exhausted: Whether there is no next record.
    """

    def __init__(self, files: Files, position: int, mapping: RecordMapping | None = None) -> None:
        self.position = position
        self.exhausted = False
        batches = read_batches(files, mapping)
        self._batches = _skip(batches, position) if position else batches

    @property
    def sources(self) -> int:
        """One: the files of a pattern are read one after the other."""
        return 1

    def read(self, position: int, stop: int, wait_seconds: float) -> Chunk:
        """Returns the next batch, which starts at `position`."""
        if position != self.position:
            msg = f"the reader stands at {self.position}, not at {position}"
            raise ValueError(msg)
        batch = next(self._batches, None)
        if batch is None:
            self.exhausted = True
            return Chunk(RawBatch("", [], [], None), position, exhausted=True)
        self.position += len(batch)
        return Chunk(batch, self.position)


def read_batches(files: Files, mapping: RecordMapping | None = None) -> Iterator[RawBatch]:
    """Yields all records in batches, in the order that `files` asks for."""
    named = list(zip(files.paths, files.names, strict=True))
    ratings = len(named) - files.request_files
    batches = _read_all(named[:ratings], files.input_format)
    ordered = _in_time_order(batches, RecordReader(mapping)) if files.order_by_time else batches
    return itertools.chain(ordered, _read_all(named[ratings:], REQUEST_FORMAT.kind))


def _read_all(named: Sequence[tuple[str, str]], input_format: str) -> Iterator[RawBatch]:
    return itertools.chain.from_iterable(
        _read_file(path, f"{name}:", input_format) for path, name in named
    )


def _skip(batches: Iterator[RawBatch], count: int) -> Iterator[RawBatch]:
    for batch in batches:
        if count >= len(batch):
            count -= len(batch)
            continue
        yield RawBatch(
            batch.source,
            batch.positions[count:],
            batch.values[count:],
            batch.record_format,
            failure=batch.failure,
        )
        count = 0


def _read_file(path: str, source: str, input_format: str) -> Iterator[RawBatch]:
    with FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED) as opened:
        yield from _batched(_records(_decompressed(opened), path, input_format), source)


def _decompressed(opened: IO[bytes]) -> IO[bytes]:
    """Goes by the first bytes, as not every compressed file has the ending for it."""
    start = opened.read(3)
    opened.seek(0)
    if start.startswith(b"\x1f\x8b"):
        return cast("IO[bytes]", gzip.open(opened))
    if start == b"BZh":
        return bz2.open(opened)
    return opened


def _records(stream: IO[bytes], path: str, input_format: str) -> Iterator[_Record]:
    start = stream.read(len(avro.CONTAINER_MAGIC))
    stream.seek(0)
    if start == avro.CONTAINER_MAGIC and input_format in {"auto", "avro"}:
        yield from _avro_records(stream)
        return
    if input_format == "avro":
        msg = f"{path} is not an Avro object container file"
        raise UnsupportedFormatError(msg)
    yield from _text_records(stream, path, input_format)


class _Record(NamedTuple):
    position: int
    value: bytes
    record_format: RecordFormat


def _batched(records: Iterator[_Record], source: str) -> Iterator[RawBatch]:
    last = 0
    while True:
        chunk: list[_Record] = []
        failure = ""
        try:
            for record in itertools.islice(records, BATCH_RECORDS):
                chunk.append(record)
        except UnsupportedFormatError:
            raise
        # Decompressors and fastavro let whatever a broken file provokes escape.
        except Exception as e:
            failure = f"the rest of the file can not be read: {type(e).__name__}: {e}"
        if chunk:
            last = chunk[-1].position
            positions, values, formats = zip(*chunk, strict=True)
            yield RawBatch(source, positions, values, formats[0])
        if failure:
            yield RawBatch(source, [last + 1], [b""], None, failure=failure)
        if failure or len(chunk) < BATCH_RECORDS:
            return


def _text_records(stream: IO[bytes], path: str, input_format: str) -> Iterator[_Record]:
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
        yield _Record(number, line.rstrip(b"\r\n"), record_format)


def _avro_records(stream: IO[bytes]) -> Iterator[_Record]:
    reader = fastavro.reader(stream)
    schema = json.dumps(reader.writer_schema)
    record_format = RecordFormat("datum", schema=schema)
    for number, record in enumerate(reader, start=1):
        yield _Record(number, avro.encode_datum(record, schema), record_format)


def _in_time_order(batches: Iterator[RawBatch], reader: RecordReader) -> Iterator[RawBatch]:
    entries: list[tuple[float, RawBatch, int]] = []
    latest = 0.0
    for batch in batches:
        for index, time in enumerate(_times(batch, reader)):
            # A record without a time of its own stays behind the one that it stood behind.
            latest = latest if time is None else time
            entries.append((latest, batch, index))
    entries.sort(key=lambda entry: entry[0])
    for start in range(0, len(entries), BATCH_RECORDS):
        ordered = entries[start : start + BATCH_RECORDS]
        for _, run in itertools.groupby(
            ordered, key=lambda entry: (entry[1].source, entry[1].record_format, entry[1].failure)
        ):
            yield _picked([(batch, index) for _, batch, index in run])


def _times(batch: RawBatch, reader: RecordReader) -> Sequence[float | None]:
    return [None] * len(batch) if batch.record_format is None else reader.times(batch)


def _picked(picks: Sequence[tuple[RawBatch, int]]) -> RawBatch:
    first = picks[0][0]
    return RawBatch(
        first.source,
        [batch.positions[index] for batch, index in picks],
        [batch.values[index] for batch, index in picks],
        first.record_format,
        failure=first.failure,
    )
