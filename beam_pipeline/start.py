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


class Start(NamedTuple):
    """What a job starts from.

    Attributes:
        folder: Of the model to import; empty for none.
        offset: The start offset of the topics.
        positions: Where topics go on with `exported`, by what their origins start with.
    """

    folder: str
    offset: str
    positions: Positions


def start_of(settings: Settings) -> Start:
    """Returns what a job starts from, checked.

    Raises:
        IncompatibleModelError: The model to import is missing, damaged, or of another shape, or
            what is in the folder to export to is of another number of shards.
        UsageError: It has learned from the topics, and files are to be learned before them.
    """
    model = settings.beam.view_as(ModelOptions)
    imported, exported = model.import_model or "", model.export_model or ""
    if exported:
        require_shards(exported, settings.grid)
    offset = start_offset(settings)
    if imported and imported == exported and not shards_in(imported):
        left_out = (
            ""
            if offset == EXPORTED
            else (", and what stands before the start offset is not learned")
        )
        _LOGGER.warning("no model in %s yet: starting without one%s", imported, left_out)
        # A job that Flink restarts before its first checkpoint reads everything again, and would
        # import what it has exported meanwhile.
        return Start("", offset, {})
    if imported:
        require_fit(imported, settings.grid, settings.spec)
    positions = _positions(imported, settings.grid) if offset == EXPORTED else {}
    return Start(imported, offset, positions)


def start_offset(settings: Settings) -> str:
    """Returns the start offset of the topics: where the imported model stands unless one is given.

    Raises:
        IncompatibleModelError: The model to import is damaged.
        UsageError: It has learned from the topics, and files are to be learned before them.
    """
    given = settings.beam.view_as(InputOptions).start_offset
    if given:
        return str(given)
    imported = settings.beam.view_as(ModelOptions).import_model
    if not imported or not settings.input_topic:
        return EARLIEST
    # What it learned from files, or from other topics, says nothing of these.
    selection = TopicSelection.parse(settings.input_topic)
    known = {source for one in shards_in(imported) for source in one.positions}
    topics = {found[1] for found in map(_PARTITION.fullmatch, known) if found}
    learned = selection.of(topics)
    if settings.input:
        if learned:
            msg = (
                f"the model in {imported} has learned from {', '.join(learned)}: leave out --input"
                " to go on there, or say with --start_offset from where on to learn it again"
            )
            raise UsageError(msg)
        return EARLIEST
    same = imported == settings.beam.view_as(ModelOptions).export_model
    return EXPORTED if same or learned else EARLIEST


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
                " all: stop a job with SIGTERM to export all at once, or say where to start with"
                " --start_offset"
            )
            raise IncompatibleModelError(msg)
    missing = grid[0] * grid[1] - len(found)
    none: Mapping[str, int] = {}
    return earliest([*(one.positions for one in found), *[none] * missing])
