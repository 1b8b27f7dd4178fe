"""The files of a pattern, and a reader that gives their records in batches, in one order."""

from __future__ import annotations

import itertools
import json
import os
import threading
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from apache_beam.coders import Coder, registry
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from transforms.batches import RawBatch
from transforms.errors import UnsupportedFormatError
from transforms.formats.detection import REQUEST_FORMAT
from transforms.formats.file_records import FileRecord, file_records
from transforms.formats.mapping import RecordMapping
from transforms.formats.record_reader import RecordReader
from transforms.splittable_read import Chunk, PositionRange, require_version

BATCH_RECORDS: Final = 1000
_VERSION: Final = 1


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


class OpenReaders:
    """Readers between two calls: one that goes on need not read its files from the start again."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._readers: dict[tuple[Files, int], FileReader] = {}

    def __len__(self) -> int:
        return len(self._readers)

    def pop(self, files: Files, position: int, mapping: RecordMapping | None = None) -> FileReader:
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
        read_file(path, f"{name}:", input_format) for path, name in named
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


def read_file(path: str, source: str, input_format: str) -> Iterator[RawBatch]:
    """Yields the records of one file; a file that breaks off ends with a batch that says so.

    Args:
        path: Of the file.
        source: What origins start with.
        input_format: One of `FILE_FORMATS`.

    Raises:
        UnsupportedFormatError: The file is not of that format.
        OSError: The file cannot be opened.
    """
    with FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED) as opened:
        yield from _batched(file_records(opened, path, input_format), source)


def _batched(records: Iterator[FileRecord], source: str) -> Iterator[RawBatch]:
    last = 0
    while True:
        chunk: list[FileRecord] = []
        failure = ""
        try:
            for record in itertools.islice(records, BATCH_RECORDS):
                chunk.append(record)
        except UnsupportedFormatError:
            raise
        # Decompressors and fastavro let whatever a broken file provokes escape.
        except Exception as e:
            failure = f"the rest of the file cannot be read: {type(e).__name__}: {e}"
        if chunk:
            last = chunk[-1].position
            positions, values, formats = zip(*chunk, strict=True)
            yield RawBatch(source, positions, values, formats[0])
        if failure:
            yield RawBatch(source, [last + 1], [b""], None, failure=failure)
        if failure or len(chunk) < BATCH_RECORDS:
            return


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
