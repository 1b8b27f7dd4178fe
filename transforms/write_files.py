"""Recommendations, evaluations and dead letters to files, or to standard output.

A local file grows. What other filesystems of Beam hold cannot grow, so there each bundle writes a
file of its own.
"""

from __future__ import annotations

import os
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import apache_beam as beam
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from transforms.batches import EvaluationBatch, RecommendationBatch
from transforms.formats import avro, json_lines
from transforms.formats.dead_letters import encode_dead_letter
from transforms.formats.records import DeadLetter

STDOUT: Final = "-"
OUTPUT_FORMATS: Final = ("json", "avro")


def is_remote(path: str) -> bool:
    """Whether a path is of one of Beam's filesystems other than the local one."""
    return "://" in path


def start_file(path: str, output_format: str = "json", *, keep: bool = False) -> None:
    """Makes `path` an empty file of its format, or with `keep` leaves what is in it.

    On another filesystem it only checks that there is one for the path.

    Raises:
        OSError: The file cannot be written.
    """
    if is_remote(path):
        try:
            FileSystems.get_filesystem(path)
        except ValueError as e:
            raise OSError(str(e)) from e
        return
    if keep and os.path.exists(path) and os.path.getsize(path):
        return
    header = b""
    if output_format == "avro":
        header = avro.RecommendationContainer(_SYNC_MARKER).header
    with open(path, "wb") as file:
        file.write(header)


# A fixed marker, as all who append to a file must agree on it, and same runs give same bytes.
_SYNC_MARKER: Final = b"flurs-beam-block"


def _append(path: str, block: bytes) -> None:
    """Appends in one system call, so that several writers do not cut into each other."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        view = memoryview(block)
        while view:
            view = view[os.write(descriptor, view) :]
    except OSError as e:
        # Of a disk that is full, the system does not say where it is.
        raise OSError(e.errno, e.strerror, path) from e
    finally:
        os.close(descriptor)


def _create(path: str, block: bytes) -> None:
    """Writes a file beside `path`, with the time and a random part in its name."""
    folder, slash, name = path.rpartition("/")
    stem, dot, ending = name.partition(".")
    unique = f"{time.time_ns() // 1_000_000}-{uuid.uuid4().hex[:8]}"
    written = f"{folder}{slash}{stem}-{unique}{dot}{ending}"
    with FileSystems.create(written, compression_type=CompressionTypes.UNCOMPRESSED) as file:
        file.write(block)


@dataclass
class WriteRecommendations(beam.PTransform):
    """Appends recommendations to a local file, prints them, or writes a file for each bundle.

    Parallelism: any on one machine, or with one of Beam's other filesystems anywhere; a bundle's
        recommendations stand together, in their order.
    Delivery: at least once, in the file when the bundle ends; `origin` tells repeats.
    On failure: the bundle is repeated, and so is what it had written.

    Attributes:
        path: A local path; `-` for standard output; or `SCHEME://.../NAME.ENDING`, beside which
            files `NAME-MILLISECONDS-RANDOM.ENDING` are written.
        output_format: `json`, or `avro` for an object container file; see `start_file`.
    """

    path: str
    output_format: str = "json"

    def __post_init__(self) -> None:
        """Raises ValueError for a format that there is not."""
        super().__init__()
        if self.output_format not in OUTPUT_FORMATS:
            msg = f"{self.output_format!r} is not an output format, expected json or avro"
            raise ValueError(msg)
        if self.path == STDOUT and self.output_format != "json":
            msg = "standard output takes json only"
            raise ValueError(msg)

    def expand(self, lists: beam.PCollection[RecommendationBatch]) -> beam.PCollection[None]:
        """Writes the elements; returns nothing."""
        if self.output_format == "json":
            return lists | "Append" >> beam.ParDo(_AppendDoFn(self.path, _json_block))
        header = avro.RecommendationContainer(_SYNC_MARKER).header
        return lists | "Append" >> beam.ParDo(_AppendDoFn(self.path, _avro_block, header))


@dataclass
class WriteEvaluations(beam.PTransform):
    """Writes what was tested to files, as JSON lines.

    Parallelism, delivery and on failure: as `WriteRecommendations`.

    Attributes:
        path: As of `WriteRecommendations`.
    """

    path: str

    def __post_init__(self) -> None:
        """Initializes the base class."""
        super().__init__()

    def expand(self, lists: beam.PCollection[EvaluationBatch]) -> beam.PCollection[None]:
        """Writes the elements; returns nothing."""
        return lists | "Append" >> beam.ParDo(_AppendDoFn(self.path, _evaluation_block))


@dataclass
class WriteDeadLetters(beam.PTransform):
    """Writes dead letters to files as JSON lines, or prints them.

    Parallelism, delivery and on failure: as `WriteRecommendations`.

    Attributes:
        path: As of `WriteRecommendations`.
    """

    path: str

    def __post_init__(self) -> None:
        """Initializes the base class."""
        super().__init__()

    def expand(self, letters: beam.PCollection[DeadLetter]) -> beam.PCollection[None]:
        """Writes the elements; returns nothing."""
        return letters | "Append" >> beam.ParDo(_AppendDoFn(self.path, _dead_letter_line))


def _json_block(batch: RecommendationBatch) -> bytes:
    lines = json_lines.encode_recommendations(batch.recommendations)
    return b"".join([line + b"\n" for line in lines])


def _evaluation_block(batch: EvaluationBatch) -> bytes:
    lines = map(json_lines.encode_evaluation, batch.evaluations)
    return b"".join([line + b"\n" for line in lines])


def _avro_block(batch: RecommendationBatch) -> bytes:
    return avro.RecommendationContainer(_SYNC_MARKER).block(batch.recommendations)


def _dead_letter_line(letter: DeadLetter) -> bytes:
    return encode_dead_letter(letter) + b"\n"


class _AppendDoFn(beam.DoFn):
    """Writes at the end of each bundle.

    Args:
        path: Where to.
        encode: Gives an element's bytes.
        header: What a file starts with if it is not there yet.
    """

    def __init__(self, path: str, encode: Callable[[Any], bytes], header: bytes = b"") -> None:
        self._path = path
        self._encode = encode
        self._header = header
        self._blocks: list[bytes] = []

    def start_bundle(self) -> None:
        self._blocks = []

    def process(self, element: Any) -> None:
        self._blocks.append(self._encode(element))

    def finish_bundle(self) -> None:
        block = b"".join(self._blocks)
        self._blocks = []
        if self._path == STDOUT:
            sys.stdout.buffer.write(block)
            sys.stdout.buffer.flush()
        elif not is_remote(self._path):
            _append(self._path, block)
        elif block:
            _create(self._path, self._header + block)
