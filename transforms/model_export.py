"""Models in a folder, apart from any runner's state: what outlives savepoints and Beam versions.

A cell is two files: `cell-R-C-SEQUENCE.safetensors` has the recommender's arrays, and
`cell-R-C.json`, written after it, names the arrays' file and says what they are. Both appear
whole or not at all. Arrays and JSON only; nothing in them is ever executed.
"""

from __future__ import annotations

import json
from typing import Any, Final, NamedTuple
from uuid import uuid4

import safetensors
import safetensors.numpy
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from transforms.errors import IncompatibleModelError
from transforms.recommenders.base import Recommender
from transforms.recommenders.blocks import Block
from transforms.recommenders.registry import RecommenderSpec

VERSION: Final = 1


class ExportedCell(NamedTuple):
    """What a cell's JSON file says.

    Attributes:
        cell: (user block, item block).
        grid: How many blocks of users and of items there are.
        sequence: How many ratings changed the model, see `model_state.Meta`.
        model: The model's name and hyperparameters, as text.
        arrays: Name of the file with the arrays.
    """

    cell: tuple[int, int]
    grid: tuple[int, int]
    sequence: int
    model: dict[str, str]
    arrays: str


def save(
    directory: str,
    cell: tuple[int, int],
    grid: tuple[int, int],
    spec: RecommenderSpec,
    sequence: int,
    recommender: Recommender,
) -> None:
    """Writes a cell's model, and then removes the one before the last.

    Raises:
        OSError: The folder can not be written.
    """
    before = _read_manifest(_manifest_path(directory, cell))
    name = f"cell-{cell[0]}-{cell[1]}-{sequence:020}.safetensors"
    arrays = safetensors.numpy.save(recommender.state_dict(), spec.describe())
    _write(FileSystems.join(directory, name), arrays)
    manifest = {
        "version": VERSION,
        "cell": cell,
        "grid": grid,
        "sequence": sequence,
        "model": spec.describe(),
        "arrays": name,
    }
    _write(_manifest_path(directory, cell), json.dumps(manifest, indent=1).encode())
    if before and before.arrays != name:
        # Somebody may still be reading the last one; the ones before it have had their time.
        pattern = FileSystems.join(directory, f"cell-{cell[0]}-{cell[1]}-*.safetensors")
        old = [p for p in _matches(pattern) if not p.endswith((name, before.arrays))]
        if old:
            FileSystems.delete(old)


def load(
    directory: str,
    cell: tuple[int, int],
    spec: RecommenderSpec,
    grid: tuple[int, int] = (1, 1),
) -> tuple[Recommender, int]:
    """Returns a cell's recommender and how many ratings changed it.

    A cell that was never exported gives a new recommender.

    Raises:
        IncompatibleModelError: It is of another version, another model or another k.
    """
    recommender = spec.build(Block(cell[1], grid[1]))
    found = _read_manifest(_manifest_path(directory, cell))
    if found is None:
        return recommender, 0
    if found.model.get("model") != spec.model:
        msg = f"{directory} holds a model {found.model.get('model')!r}, expected {spec.model!r}"
        raise IncompatibleModelError(msg)
    with FileSystems.open(FileSystems.join(directory, found.arrays)) as file:
        content = file.read()
    try:
        arrays = safetensors.numpy.load(content)
    except safetensors.SafetensorError as e:
        msg = f"{found.arrays} in {directory} is damaged: {e}"
        raise IncompatibleModelError(msg) from e
    recommender.load_state_dict(arrays)
    return recommender, found.sequence


def cells(directory: str) -> list[ExportedCell]:
    """Returns all cells of a folder, in order; none if there is nothing.

    Raises:
        IncompatibleModelError: A file is of another version, or no export at all.
    """
    found = (_read_manifest(path) for path in _matches(FileSystems.join(directory, "cell-*.json")))
    return sorted(cell for cell in found if cell)


def require_fit(directory: str, grid: tuple[int, int], spec: RecommenderSpec) -> None:
    """Checks that a folder can be imported into a grid of this size and this model.

    Raises:
        IncompatibleModelError: There is no model in it, or it has another grid or shape.
    """
    require_grid(directory, grid)
    found = cells(directory)
    if not found:
        msg = f"no model in {directory}: expected what --export_model wrote"
        raise IncompatibleModelError(msg)
    load(directory, found[0].cell, spec, grid)


def require_grid(directory: str, grid: tuple[int, int]) -> None:
    """Checks that what is in a folder, if anything, is of a grid of this size.

    Raises:
        IncompatibleModelError: It has another grid.
    """
    for cell in cells(directory):
        if cell.grid != grid:
            msg = (
                f"{directory} has a grid of {cell.grid[0]} x {cell.grid[1]} cells, this job"
                f" {grid[0]} x {grid[1]}: pass the same --user_blocks and --item_blocks"
            )
            raise IncompatibleModelError(msg)


def _manifest_path(directory: str, cell: tuple[int, int]) -> str:
    return str(FileSystems.join(directory, f"cell-{cell[0]}-{cell[1]}.json"))


def _read_manifest(path: str) -> ExportedCell | None:
    if not FileSystems.exists(path):
        return None
    with FileSystems.open(path) as file:
        content = file.read()
    try:
        fields: dict[str, Any] = json.loads(content)
        version = fields.pop("version")
        user_block, item_block = fields.pop("cell")
        user_blocks, item_blocks = fields.pop("grid")
        found = ExportedCell(
            cell=(user_block, item_block), grid=(user_blocks, item_blocks), **fields
        )
    except (ValueError, TypeError, KeyError, AttributeError) as e:
        msg = f"{path} is not a model that --export_model wrote: {e}"
        raise IncompatibleModelError(msg) from e
    if version != VERSION:
        msg = f"{path} has version {version}, expected {VERSION}"
        raise IncompatibleModelError(msg)
    return found


def _matches(pattern: str) -> list[str]:
    return [metadata.path for metadata in FileSystems.match([pattern])[0].metadata_list]


def _write(path: str, content: bytes) -> None:
    """A reader sees the old file or the new one, never a part."""
    folder = FileSystems.split(path)[0]
    if folder and not FileSystems.exists(folder):
        FileSystems.mkdirs(folder)
    partial = f"{path}.{uuid4().hex}.partial"
    with FileSystems.create(partial, compression_type=CompressionTypes.UNCOMPRESSED) as file:
        file.write(content)
    FileSystems.rename([partial], [path])
