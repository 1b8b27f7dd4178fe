"""What a job starts from: the model that it imports, and where its topics go on."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from beam_pipeline.options import InputOptions, ModelOptions
from beam_pipeline.settings import Settings
from beam_pipeline.usage import UsageError
from transforms.kafka.start_offset import EARLIEST, EXPORTED
from transforms.kafka.topics import TopicSelection
from transforms.learning.positions import Positions
from transforms.model_export import (
    goes_on_at,
    require_fit,
    require_shards,
    shards_in,
)

_LOGGER: Final = logging.getLogger(__name__)
_PARTITION: Final = re.compile(r"(.+)-\d+-")
_TOLD: Final = 8


class Start(NamedTuple):
    """What a job starts from.

    Attributes:
        folder: Of the model to import; empty for none.
        offset: The start offset of the topics.
        positions: Where topics go on with `exported`, by what their origins start with.
        topics: For each of its shards, the ids of the topics that it has learned, by name.
    """

    folder: str
    offset: str
    positions: Positions
    topics: Sequence[Mapping[str, str]]

    @property
    def goes_on(self) -> bool:
        """Whether the topics go on where the model stands, and files before them were learned."""
        return self.offset == EXPORTED and bool(self.folder)


def start_of(settings: Settings) -> Start:
    """Returns what a job starts from, checked, and logs it.

    Raises:
        IncompatibleModelError: The model to import is missing, damaged, or of another shape, or
            what is in the folder to export to is of another number of shards.
        UsageError: See `start_offset`.
    """
    model = settings.beam.view_as(ModelOptions)
    imported, exported = model.import_model or "", model.export_model or ""
    if exported:
        require_shards(exported, settings.grid)
    offset = start_offset(settings)
    if exported and settings.input_topic and settings.grid[1] > 1:
        _LOGGER.warning(
            "item shards are exported at different times: after a crash, what %s has cannot go on"
            " without a loss or a repeat; after SIGTERM it can",
            exported,
        )
    if imported and imported == exported and not shards_in(imported):
        _LOGGER.info("no model in %s yet: starting without one", imported)
        # A job that Flink restarts before its first checkpoint reads everything again, and would
        # import what it has exported meanwhile.
        return Start("", offset, {}, [])
    if not imported:
        return Start("", offset, {}, [])
    require_fit(imported, settings.grid, settings.spec)
    found = shards_in(imported)
    learned = sum(one.sequence for one in found)
    positions = goes_on_at(found) if offset == EXPORTED else {}
    places = ", ".join(f"{source}{offset}" for source, offset in list(positions.items())[:_TOLD])
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
    alone = start.goes_on and settings.grid[1] == settings.replicas == 1
    if imported == exported and not settings.runs_here and not alone:
        msg = (
            f"{imported} is to be imported and exported to, and if Flink restarts the job before"
            " its first checkpoint it imports what it has exported meanwhile: name another folder"
            " with --export_model"
        )
        raise UsageError(msg)
    if settings.input and start.goes_on:
        _LOGGER.info("the files of --input were learned before the topic: they are not read again")
    elif settings.input:
        _LOGGER.warning(
            "all of --input is learned, also what the model in %s may have learned of it", imported
        )
    return start


def start_offset(settings: Settings) -> str:
    """Returns the start offset of the topics: where the imported model stands unless one is given.

    Raises:
        IncompatibleModelError: The model to import is damaged.
        UsageError: It has learned from the topics, or may have learned a part of the files that
            come before them.
    """
    model = settings.beam.view_as(ModelOptions)
    given = settings.beam.view_as(InputOptions).start_offset
    found = shards_in(model.import_model) if model.import_model else []
    if given:
        return str(given)
    if not found or not settings.input_topic:
        return EARLIEST
    # What it learned from files, or from other topics, says nothing of these.
    selection = TopicSelection.parse(settings.input_topic)
    each = [selection.of(_topics(one.positions)) for one in found]
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
    known = learned or selection.of(topic for one in found for topic in _topics(one.starts))
    return EXPORTED if known and (learned or not settings.input) else EARLIEST


def _topics(positions: Positions) -> set[str]:
    """Returns the topics of partitions."""
    found = map(_PARTITION.fullmatch, positions)
    return {match[1] for match in found if match}
