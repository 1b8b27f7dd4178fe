"""Looks into a folder that `--export_model` wrote, without any runner.

python -m beam_pipeline.inspect FOLDER             what is in it
python -m beam_pipeline.inspect FOLDER --user 196  and that user's top-N
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from transforms import model_export
from transforms.errors import IncompatibleModelError
from transforms.learn import merge_items
from transforms.model_export import ExportedCell
from transforms.recommenders.blocks import block_of
from transforms.recommenders.registry import RecommenderSpec, config_class


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
        cells = model_export.cells(arguments.folder)
        if not cells:
            msg = f"no model in {arguments.folder}: expected what --export_model wrote"
            raise IncompatibleModelError(msg)
        _print_cells(arguments.folder, cells)
        if arguments.user is not None:
            _print_list(arguments.folder, cells, arguments.user, arguments.top_n)
    except (IncompatibleModelError, OSError, ValueError) as e:
        print(f"error: {e}", file=sys.stderr)
        return 1
    return 0


def spec_of(cell: ExportedCell) -> RecommenderSpec:
    """Returns what the cell's recommender was made from, but for its seed.

    Raises:
        ValueError: There is no such model.
    """
    fields: dict[str, Any] = {}
    for one in dataclasses.fields(config_class(cell.model.get("model", ""))):
        kind: Any = type(one.default)
        fields[one.name] = kind(cell.model.get(one.name, one.default))
    return RecommenderSpec(cell.model["model"], fields)


def _print_cells(folder: str, cells: Sequence[ExportedCell]) -> None:
    table = Table(title=f"Models in {folder}", title_justify="left")
    for column in ("cell", "model", "learned", "users", "items"):
        table.add_column(column)
    for cell in cells:
        recommender, learned = model_export.load(folder, cell.cell, spec_of(cell), cell.grid)
        hyperparameters = " ".join(f"{k}={v}" for k, v in cell.model.items() if k != "model")
        table.add_row(
            f"{cell.cell[0]},{cell.cell[1]} of {cell.grid[0]}x{cell.grid[1]}",
            f"{cell.model['model']} {hyperparameters}",
            f"{learned:,}",
            f"{len(recommender.users):,}",
            f"{len(recommender.items):,}",
        )
    Console().print(table)


def _print_list(folder: str, cells: Sequence[ExportedCell], user: str, top_n: int) -> None:
    row = block_of(user, cells[0].grid[0])
    lists = []
    for cell in cells:
        if cell.cell[0] == row:
            recommender, _ = model_export.load(folder, cell.cell, spec_of(cell), cell.grid)
            if not recommender.knows(user):
                msg = f"the model does not know user {user!r}"
                raise ValueError(msg)
            lists.append(recommender.recommend(user, top_n))
    for item, score in merge_items(lists, top_n):
        Console().print(Text(f"{item}\t{score:.4f}"))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
