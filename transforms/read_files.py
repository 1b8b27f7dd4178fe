"""Files to undecoded records, in the order in which they stand or in that of their time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import apache_beam as beam
from apache_beam.io.watermark_estimators import ManualWatermarkEstimator

from transforms.batches import RawBatch
from transforms.errors import UnsupportedFormatError
from transforms.file_reader import Files, OpenReaders, match_files, read_file
from transforms.formats.detection import FILE_FORMATS
from transforms.formats.mapping import RecordMapping
from transforms.formats.plans import require_fields
from transforms.runtime.worker_context import WORKER
from transforms.splittable_read import (
    Limits,
    PositionRangeProvider,
    ReadBudget,
    is_stopping,
    read_in_bounds,
)


@dataclass
class ReadRatingsFromFiles(beam.PTransform):
    """Undecoded ratings of the files that a pattern matches, as `RawBatch`.

    gzip, bzip2, xz and Zstandard are decompressed. Any of Beam's filesystems will do. Requests, in
    JSON lines, may follow from other files; their batches have the format `REQUEST_FORMAT`.

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
        """Raises UnsupportedFormatError for a format that files cannot have."""
        super().__init__()
        if self.input_format not in FILE_FORMATS:
            msg = f"{self.input_format!r} is not a format, expected {', '.join(FILE_FORMATS)}"
            raise UnsupportedFormatError(msg)

    def expand(self, root: beam.Pipeline) -> beam.PCollection[RawBatch]:
        """Returns the records; raises as `files` does."""
        return (
            root
            | "Files" >> beam.Create([self.files()])
            | "Read" >> beam.ParDo(_ReadFilesDoFn(self.mapping)).with_output_types(RawBatch)
        )

    def files(self) -> Files:
        """Returns the files that match now.

        Raises:
            FileNotFoundError: Nothing matches the pattern.
            UnsupportedFormatError: The first file is not of the format, or of none, or its header
                names no user or no item.
            OSError: The first file cannot be opened.
        """
        paths, names = match_files(self.pattern)
        _require_fields(paths[0], self.input_format, self.mapping)
        asked = match_files(self.requests) if self.requests else ((), ())
        return Files(
            paths + asked[0],
            names + asked[1],
            self.input_format,
            self.order_by_time,
            request_files=len(asked[0]),
        )


def _require_fields(path: str, input_format: str, mapping: RecordMapping) -> None:
    first = next(read_file(path, "", input_format), None)
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
