"""What a job starts from: the model that it imports, and where its topics go on."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from beam_pipeline.options import InputOptions, ModelOptions
from beam_pipeline.settings import Settings
from beam_pipeline.usage import UsageError
from transforms.errors import IncompatibleModelError
from transforms.kafka.start_offset import EARLIEST, EXPORTED
from transforms.kafka.topics import TopicSelection
from transforms.learning.positions import Positions, earliest
from transforms.model_export import ExportedShard, require_fit, require_shards, shards_in

_LOGGER: Final = logging.getLogger(__name__)
_PARTITION: Final = re.compile(r"(.+)-\d+-")
_TOLD: Final = 8


class Start(NamedTuple):
    """What a job starts from.

    Attributes:
        folder: Of the model to import; empty for none.
        offset: The start offset of the topics.
        positions: Where topics go on with `exported`, by what their origins start with.
        topics: The ids of the topics that the model has learned, by name.
    """

    folder: str
    offset: str
    positions: Positions
    topics: Mapping[str, str]

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
        return Start("", offset, {}, {})
    if not imported:
        return Start("", offset, {}, {})
    require_fit(imported, settings.grid, settings.spec)
    found = shards_in(imported)
    learned = sum(one.sequence for one in found)
    positions = _positions(imported, settings.grid) if offset == EXPORTED else {}
    places = ", ".join(f"{source}{offset}" for source, offset in list(positions.items())[:_TOLD])
    _LOGGER.info(
        "going on with the model in %s, which has learned %d ratings%s",
        imported,
        learned,
        f"; in {len(positions)} partition(s) at {places}" if positions else "",
    )
    topics = {name: one for shard in found for name, one in shard.topics.items()}
    start = Start(imported, offset, positions, topics)
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
    known = {source for one in found for source in one.positions}
    topics = {match[1] for match in map(_PARTITION.fullmatch, known) if match}
    learned = selection.of(topics)
    same = model.import_model == model.export_model
    if settings.input and learned and not same:
        msg = (
            f"the model in {model.import_model} has learned from {', '.join(learned)}: leave out"
            " --input to go on there, or say with --start_offset from where on to learn it again"
        )
        raise UsageError(msg)
    if settings.input and not learned and same:
        msg = (
            f"the model in {model.import_model} was exported before the first rating of the topic,"
            " perhaps amid the files: empty the folder to start over, name another --export_model"
            " to add all files to this model, or give --start_offset"
        )
        raise UsageError(msg)
    return EXPORTED if learned else EARLIEST


def _positions(folder: str, grid: tuple[int, int]) -> Positions:
    """Returns where the shards of a folder stand together.

    Raises:
        IncompatibleModelError: Item shards of the same users stand in different places.
    """
    found = shards_in(folder)
    by_users: dict[int, list[ExportedShard]] = {}
    for one in found:
        by_users.setdefault(one.shard[0], []).append(one)
    for shards in by_users.values():
        if any(one.positions != shards[0].positions for one in shards):
            msg = (
                f"the item shards in {folder} were exported at different times, so no offset fits"
                " all: empty the folder to start over, or say where to start with --start_offset,"
                " with a loss or a repeat"
            )
            raise IncompatibleModelError(msg)
    missing = grid[0] * grid[1] - len(found)
    none: Mapping[str, int] = {}
    return earliest([*(one.positions for one in found), *[none] * missing])
