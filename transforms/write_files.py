"""Lists and dead letters to lines: of a local file, or of standard output."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import apache_beam as beam

from transforms.batches import EvaluationBatch, RecommendationBatch
from transforms.formats import avro, json_lines
from transforms.formats.dead_letters import encode_dead_letter
from transforms.formats.records import DeadLetter

STDOUT: Final = "-"
OUTPUT_FORMATS: Final = ("json", "avro")


def start_file(path: str, output_format: str = "json", *, keep: bool = False) -> None:
    """Makes `path` an empty file of its format, or with `keep` leaves what is in it.

    Raises:
        OSError: The file can not be written.
    """
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


@dataclass
class WriteRecommendations(beam.PTransform):
    """Appends lists to a local file, or prints them.

    Parallelism: any on one machine; a bundle's lists stand together, in their order.
    Delivery: at least once, in the file when the bundle ends; `origin` tells repeats.
    On failure: the bundle is repeated, and so are lines that it had written.

    Attributes:
        path: A local path, or `-` for standard output.
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
        """Adds the sink."""
        encode = _json_block if self.output_format == "json" else _avro_block
        return lists | "Append" >> beam.ParDo(_AppendDoFn(self.path, encode))


@dataclass
class WriteEvaluations(beam.PTransform):
    """Appends what was tested to a local file, as JSON lines.

    Parallelism, delivery and on failure: as `WriteRecommendations`.

    Attributes:
        path: A local path.
    """

    path: str

    def __post_init__(self) -> None:
        """Lets Beam name the transform."""
        super().__init__()

    def expand(self, lists: beam.PCollection[EvaluationBatch]) -> beam.PCollection[None]:
        """Adds the sink."""
        return lists | "Append" >> beam.ParDo(_AppendDoFn(self.path, _evaluation_block))


@dataclass
class WriteDeadLetters(beam.PTransform):
    """Appends dead letters to a local file as JSON lines, or prints them.

    Parallelism: any on one machine.
    Delivery: at least once, in the file when the bundle ends; `origin` tells repeats.
    On failure: the bundle is repeated, and so are lines that it had written.

    Attributes:
        path: A local path, or `-` for standard output.
    """

    path: str

    def __post_init__(self) -> None:
        """Lets Beam name the transform."""
        super().__init__()

    def expand(self, letters: beam.PCollection[DeadLetter]) -> beam.PCollection[None]:
        """Adds the sink."""
        return letters | "Append" >> beam.ParDo(_AppendDoFn(self.path, _dead_letter_line))


def _json_block(batch: RecommendationBatch) -> bytes:
    lines = map(json_lines.encode_recommendation, batch.recommendations)
    return b"".join([line + b"\n" for line in lines])


def _evaluation_block(batch: EvaluationBatch) -> bytes:
    lines = map(json_lines.encode_evaluation, batch.evaluations)
    return b"".join([line + b"\n" for line in lines])


def _avro_block(batch: RecommendationBatch) -> bytes:
    return avro.RecommendationContainer(_SYNC_MARKER).block(batch.recommendations)


def _dead_letter_line(letter: DeadLetter) -> bytes:
    return encode_dead_letter(letter) + b"\n"


class _AppendDoFn(beam.DoFn):
    def __init__(self, path: str, encode: Callable[[Any], bytes]) -> None:
        self._path = path
        self._encode = encode
        self._blocks: list[bytes] = []

    def start_bundle(self) -> None:
        self._blocks = []

    def process(self, element: Any) -> None:
        self._blocks.append(self._encode(element))

    def finish_bundle(self) -> None:
        block = b"".join(self._blocks)
        self._blocks = []
        if self._path != STDOUT:
            _append(self._path, block)
        else:
            sys.stdout.buffer.write(block)
            sys.stdout.buffer.flush()
