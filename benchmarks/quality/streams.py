"""The positives of files in any format that the pipeline reads, in the order of time."""

from __future__ import annotations

from typing import NamedTuple

from beam_pipeline.options import InputOptions, ModelOptions
from beam_pipeline.settings import Settings
from transforms.errors import UnsupportedFormatError
from transforms.file_reader import read_batches
from transforms.filter import positives
from transforms.formats.parse_watch import ParseWatch
from transforms.formats.record_reader import RecordReader
from transforms.formats.records import Rating
from transforms.parse import parse_batch
from transforms.read_files import ReadRatingsFromFiles


class Positives(NamedTuple):
    """What some files gave.

    Attributes:
        ratings: The ratings that a pipeline would learn, in the order of time, equal times in
            that of the files; those that only mark an item as seen or unwanted are among them.
        read: Number of events.
        dead: How many of them could not be used.
        notes: Lines to show: what was taken for which field, and why events could not be used.
    """

    ratings: list[Rating]
    read: int
    dead: int
    notes: list[str]


def read_positives(pattern: str, settings: Settings) -> Positives:
    """Reads files as the pipeline does that `settings` describes.

    Args:
        pattern: A path or a glob.
        settings: For format, mapping and the lowest rating; its own input is not read.

    Raises:
        FileNotFoundError: Nothing matches the pattern.
        UnsupportedFormatError: A file is of no known format, or nothing in the files can be used.
        OSError: A file cannot be opened.
    """
    options = settings.beam.view_as(InputOptions)
    lowest = settings.beam.view_as(ModelOptions).min_rating
    source = ReadRatingsFromFiles(
        pattern, options.input_format, order_by_time=True, mapping=settings.mapping
    )
    reader = RecordReader(settings.mapping, options.max_record_bytes)
    watch = ParseWatch()
    kept: list[Rating] = []
    notes: list[str] = []
    read = dead = 0
    for batch in read_batches(source.files(), settings.mapping):
        parsed = parse_batch(batch, reader)
        kept += positives(parsed.batch.ratings, lowest, parsed.batch.unrated)
        read += parsed.read
        dead += len(parsed.dead)
        notes += [*reader.notes(), watch.note(parsed.read, parsed.dead)]
    notes = [note for note in dict.fromkeys(notes) if note]
    if not kept:
        why = notes[-1] if dead else f"no rating reaches --min_rating {lowest:g}"
        msg = f"{pattern}: none of {read} events is a positive: {why}"
        raise UnsupportedFormatError(msg)
    return Positives(kept, read, dead, notes)
