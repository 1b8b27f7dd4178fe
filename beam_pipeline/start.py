"""Which model a job imports, and at which offsets it starts."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from beam_pipeline.options import InputOptions, ModelOptions
from beam_pipeline.settings import Settings
from beam_pipeline.usage import UsageError
from transforms.kafka.partitions import topics_of
from transforms.kafka.start_offset import COMMITTED, EARLIEST, EXPORTED
from transforms.kafka.topics import TopicSelection
from transforms.learning.positions import Positions
from transforms.model_export import (
    ExportedShard,
    require_fit,
    require_shards,
    resume_offsets,
    shards_in,
)

_LOGGER: Final = logging.getLogger(__name__)
_PARTITIONS_SHOWN: Final = 8


class Start(NamedTuple):
    """Which model a job imports, and at which offsets it starts.

    Attributes:
        folder: The folder of the model to import; empty for none.
        offset: The start offset of the topics.
        positions: With `exported`, the offset of each partition by origin prefix.
        topics: For each shard of the model, the ids of the topics it has learned, by name.
    """

    folder: str
    offset: str
    positions: Positions
    topics: Sequence[Mapping[str, str]]

    @property
    def resumes(self) -> bool:
        """Whether the topics resume where the model left off; the files before them are learned."""
        return self.offset == EXPORTED and bool(self.folder)

    @property
    def appends(self) -> bool:
        """Whether output files of an earlier run are appended to."""
        return self.offset in {COMMITTED, EXPORTED}


def start_of(settings: Settings) -> Start:
    """Returns where a job starts, checked, and logs it.

    Raises:
        IncompatibleModelError: The model to import is missing, damaged, or of another shape, or
            what is in the folder to export to is of another number of shards.
        UsageError: See `_start_offset`; or on Flink a restart would import the job's own exports.
    """
    model = settings.beam.view_as(ModelOptions)
    imported, exported = model.import_model or "", model.export_model or ""
    if exported:
        require_shards(exported, settings.grid)
    found = shards_in(imported) if imported else []
    offset = _start_offset(settings, found)
    if exported and settings.input_topic and settings.grid[1] > 1:
        _LOGGER.warning(
            "item shards are exported at different times: after a crash, what %s has cannot go on"
            " without a loss or a repeat; after SIGTERM it can",
            exported,
        )
    if imported and imported == exported and not found:
        _LOGGER.info("no model in %s yet: starting without one", imported)
        # A job that Flink restarts before its first checkpoint reads everything again, and would
        # import what it has exported meanwhile.
        return Start("", offset, {}, [])
    if not imported:
        return Start("", offset, {}, [])
    require_fit(imported, settings.grid, settings.spec)
    learned = sum(one.sequence for one in found)
    positions = resume_offsets(found) if offset == EXPORTED else {}
    shown = list(positions.items())[:_PARTITIONS_SHOWN]
    places = ", ".join(f"{source}{position}" for source, position in shown)
    _LOGGER.info(
        "going on with the model in %s, which has learned %d ratings%s",
        imported,
        learned,
        f"; in {len(positions)} partition(s) at {places}" if positions else "",
    )
    given = settings.beam.view_as(InputOptions).start_offset
    if settings.input_topic and offset == EARLIEST and not given:
        _LOGGER.warning(
            "the model in %s names no offsets of %s: all of it is learned; --start_offset says"
            " where to start",
            imported,
            settings.input_topic,
        )
    start = Start(imported, offset, positions, [one.topics for one in found])
    # Then shards leave out what a newer export has learned, and no other shard waits for it.
    restarts_well = start.resumes and settings.grid[1] == settings.replicas == 1
    if imported == exported and not settings.runs_here and not restarts_well:
        msg = (
            f"{imported} is to be imported and exported to, and if Flink restarts the job before"
            " its first checkpoint it imports what it has exported meanwhile: name another folder"
            " with --export_model"
        )
        raise UsageError(msg)
    if settings.input and start.resumes:
        _LOGGER.info("the files of --input were learned before the topic: they are not read again")
    elif settings.input:
        _LOGGER.warning(
            "all of --input is learned, also what the model in %s may have learned of it", imported
        )
    return start


def _start_offset(settings: Settings, found: Sequence[ExportedShard]) -> str:
    """Returns the start offset of the topics: where the imported model left off unless given.

    Args:
        settings: Of the job.
        found: The shards of the folder to import.

    Raises:
        UsageError: The model has learned from the topics, or may have learned a part of the files
            that come before them.
    """
    model = settings.beam.view_as(ModelOptions)
    given = settings.beam.view_as(InputOptions).start_offset
    if given:
        return str(given)
    if not found or not settings.input_topic:
        return EARLIEST
    # What it learned from files, or from other topics, says nothing of these.
    selection = TopicSelection.parse(settings.input_topic)
    each = [selection.of(topics_of(one.positions)) for one in found]
    learned = sorted({topic for topics in each for topic in topics})
    shards = settings.grid[0] * settings.grid[1]
    # Where files come first, a shard that has learned from a topic has learned all of its files.
    past_files = len(each) == shards and all(each)
    same = model.import_model == model.export_model
    if settings.input and not past_files and (same or learned):
        msg = (
            f"the model in {model.import_model} may have been exported amid the files of --input:"
            " empty the folder to start over; or, if they were learned to their end, leave out"
            " --input; or say with --start_offset from where on to learn the topic after all files"
        )
        raise UsageError(msg)
    if settings.input and learned and not same:
        msg = (
            f"the model in {model.import_model} has learned from {', '.join(learned)}: leave out"
            " --input to go on there, or say with --start_offset from where on to learn it again"
        )
        raise UsageError(msg)
    known = learned or selection.of(topic for one in found for topic in topics_of(one.starts))
    return EXPORTED if known and (learned or not settings.input) else EARLIEST
