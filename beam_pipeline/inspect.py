"""Looks into a folder that `--export_model` wrote, without any runner.

python -m beam_pipeline.inspect FOLDER             what is in it
python -m beam_pipeline.inspect FOLDER --user 196  and that user's top-N
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from beam_pipeline.failures import one_line
from transforms import model_export
from transforms.errors import IncompatibleModelError
from transforms.learning.shard import merge_items
from transforms.model_export import ExportedShard, resume_offsets
from transforms.recommenders.hashing import block_of

_PARTITIONS_SHOWN: Final = 20


def main(argv: Sequence[str]) -> int:
    """Prints what is in the folder; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m beam_pipeline.inspect", description=__doc__.split("\n")[0]
    )
    parser.add_argument("folder", metavar="FOLDER")
    parser.add_argument("--user", help="print this user's top-N, too")
    parser.add_argument("--top_n", type=int, default=10, metavar="N")
    arguments = parser.parse_args(argv)
    try:
        shards = model_export.shards_in(arguments.folder)
        if not shards:
            msg = f"no model in {arguments.folder}: expected what --export_model wrote"
            raise IncompatibleModelError(msg)
        _print_shards(arguments.folder, shards)
        if arguments.user is not None:
            _print_list(arguments.folder, shards, arguments.user, arguments.top_n)
    except (IncompatibleModelError, OSError, ValueError) as e:
        print(f"error: {one_line(e)}", file=sys.stderr)
        return 1
    return 0


def _print_shards(folder: str, shards: Sequence[ExportedShard]) -> None:
    table = Table(title=f"Models in {folder}", title_justify="left")
    for column in ("shard", "model", "lists by", "learned", "users", "items"):
        table.add_column(column)
    for one in shards:
        recommender, learned, _ = model_export.load(folder, one.shard, one.spec, one.shards)
        hyperparameters = " ".join(
            f"{k}={v}" for k, v in dataclasses.asdict(one.spec.config).items()
        )
        table.add_row(
            f"{one.shard[0]},{one.shard[1]} of {one.shards[0]}x{one.shards[1]}",
            f"{one.spec.model} {hyperparameters}",
            recommender.model.lists_by(),
            f"{learned:,}",
            f"{len(recommender.users):,}",
            f"{len(recommender.items):,}",
        )
    Console().print(table)
    try:
        positions = resume_offsets(shards)
    except IncompatibleModelError as e:
        Console().print(Text(str(e)))
        return
    if not any(one.positions for one in shards):
        return
    for source, offset in list(positions.items())[:_PARTITIONS_SHOWN]:
        Console().print(Text(f"goes on at {source}{offset}"))
    if len(positions) > _PARTITIONS_SHOWN:
        Console().print(f"and {len(positions) - _PARTITIONS_SHOWN} more partitions")


def _print_list(folder: str, shards: Sequence[ExportedShard], user: str, top_n: int) -> None:
    row = block_of(user, shards[0].shards[0])
    lists, places = [], []
    for one in shards:
        if one.shard[0] == row:
            recommender = model_export.load(folder, one.shard, one.spec, one.shards).recommender
            if not recommender.knows(user):
                msg = f"the model does not know user {user!r}"
                raise ValueError(msg)
            lists.append(recommender.recommend(user, top_n))
            if recommender.is_exact_shard:
                places.append(recommender.places(lists[-1]))
    for item, score in merge_items(lists, top_n, places):
        Console().print(Text(f"{item}\t{score:.4f}"))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
