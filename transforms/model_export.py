"""Models in a folder, apart from any runner's state: what outlives savepoints and Beam versions.

A shard is two files: `shard-U-I-SEQUENCE.safetensors` has the recommender, see `snapshot_codec`,
and `shard-U-I.json`, written after it, names that file and says what is in it. Both appear whole
or not at all. Arrays and JSON only; nothing in them is ever executed, and no file outside the
folder is opened, whatever they say. Of several replicas the first one is exported, and all of
them start from it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple
from uuid import uuid4

from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from transforms.errors import IncompatibleModelError
from transforms.learning import snapshot_codec
from transforms.learning.positions import Positions, checked, earliest
from transforms.learning.snapshot_codec import LEARNING_FIELDS
from transforms.learning.state import ShardModel
from transforms.recommenders.arrays import Arrays
from transforms.recommenders.hashing import Block
from transforms.recommenders.registry import RecommenderSpec

_SEQUENCE_DIGITS: Final = 20


@dataclass(frozen=True)
class ModelExport:
    """Where and how often models are written.

    Attributes:
        directory: A folder on any of Beam's filesystems.
        seconds: A shard that has learned is written so long after it was written last, and
            when the input has ended.
        topics: The broker's ids of the topics that are learned, by name, as far as known. A job
            that resumes has to find topics with the same ids.
        starts: The job's start offset of each partition, for those that a shard has learned
            nothing of.
        imports: Whether the job imports from another folder. Then a shard that is missing in this
            folder may have learned something.
    """

    directory: str
    seconds: float = 60.0
    topics: Mapping[str, str] = field(default_factory=dict)
    starts: Positions = field(default_factory=dict)
    imports: bool = False


class ExportedShard(NamedTuple):
    """What a shard's JSON file says.

    Attributes:
        shard: (user shard, item shard).
        shards: How many user shards and item shards there are.
        sequence: How many ratings changed the model, see `state.Meta`.
        spec: What the model was made from.
        positions: How far it has learned each partition.
        topics: See `ModelExport`.
        starts: See `ModelExport`.
        imports: See `ModelExport`.
    """

    shard: tuple[int, int]
    shards: tuple[int, int]
    sequence: int
    spec: RecommenderSpec
    positions: Positions
    topics: Mapping[str, str]
    starts: Positions
    imports: bool


def save(
    export: ModelExport,
    shard: tuple[int, int],
    shards: tuple[int, int],
    spec: RecommenderSpec,
    model: ShardModel,
    arrays: Arrays | None = None,
) -> None:
    """Writes a shard's model, and then removes the one before the last.

    Args:
        export: The folder, and what the manifest says of the job.
        shard: (user shard, item shard).
        shards: How many user shards and item shards there are.
        spec: What the model was made from.
        model: What is written.
        arrays: What the recommender's `state_dict` returned when it was that of `model`; None if
            it still is.

    Raises:
        OSError: The folder cannot be written.
    """
    directory = export.directory
    recommender, sequence, positions = model
    before = _read_manifest(directory, shard)
    items = Block(shard[1], shards[1])
    if arrays is None:
        arrays = recommender.state_dict()
    encoded = snapshot_codec.encode(spec, sequence, arrays, items)
    _write(_arrays_path(directory, shard, sequence), encoded)
    manifest = {
        "version": snapshot_codec.VERSION,
        "shard": shard,
        "shards": shards,
        "sequence": sequence,
        "spec": spec.to_dict(),
        "positions": dict(positions),
        "topics": dict(export.topics),
        "starts": dict(export.starts),
        "imports": export.imports,
    }
    _write(_manifest_path(directory, shard), json.dumps(manifest, indent=1).encode())
    if before and before.sequence != sequence:
        # Somebody may still be reading the last one; the ones before it have had their time.
        kept = {_arrays_path(directory, shard, one) for one in (sequence, before.sequence)}
        names = {FileSystems.split(path)[1] for path in kept}
        pattern = FileSystems.join(directory, f"shard-{shard[0]}-{shard[1]}-*.safetensors")
        old = [path for path in _matches(pattern) if FileSystems.split(path)[1] not in names]
        if old:
            FileSystems.delete(old)


def load(
    directory: str,
    shard: tuple[int, int],
    spec: RecommenderSpec,
    shards: tuple[int, int] = (1, 1),
    *,
    tested: bool = False,
) -> ShardModel:
    """Returns a shard's model and the offsets up to which it has learned.

    A shard that was never exported gives a new recommender. Seed, bounds and `repeats` may
    be others than those of the job that exported it.

    Args:
        directory: The folder.
        shard: (user shard, item shard).
        spec: What the recommender is made from.
        shards: How many user shards and item shards there are.
        tested: Whether it will be evaluated.

    Raises:
        IncompatibleModelError: It is damaged, of another version, of another model, or of other
            hyperparameters.
    """
    items = Block(shard[1], shards[1], tested)
    found = _read_manifest(directory, shard)
    if found is None:
        return ShardModel(spec.build(items), 0, {})
    path = _arrays_path(directory, shard, found.sequence)
    with FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED) as file:
        content = file.read()
    try:
        loaded = snapshot_codec.decode(content, spec, items, LEARNING_FIELDS)
        if loaded.sequence != found.sequence:
            msg = f"it is of {loaded.sequence} ratings, expected {found.sequence}"
            raise IncompatibleModelError(msg)
    except IncompatibleModelError as e:
        msg = f"{path}: {e}"
        raise IncompatibleModelError(msg) from e
    return ShardModel(*loaded, found.positions)


def shards_in(directory: str) -> list[ExportedShard]:
    """Returns all shards of a folder, in order; none if there is nothing.

    Raises:
        IncompatibleModelError: A file is of another version, or no export at all.
    """
    paths = _matches(FileSystems.join(directory, "shard-*.json"))
    return sorted((_parsed(path, None) for path in paths), key=lambda one: one.shard)


def resume_offsets(shards: Sequence[ExportedShard]) -> dict[str, int]:
    """Returns the offset of each partition at which a job resumes that imports these shards.

    Raises:
        IncompatibleModelError: Item shards of the same users have learned up to different offsets.
    """
    if not shards:
        return {}
    by_users: dict[int, list[ExportedShard]] = {}
    for one in shards:
        by_users.setdefault(one.shard[0], []).append(one)
    user_shards, item_shards = shards[0].shards
    for same in by_users.values():
        if len(same) < item_shards or any(one.positions != same[0].positions for one in same):
            msg = (
                "the item shards were exported at different times, so no offset fits all: empty the"
                " folder to start over, or say where to start with --start_offset, with a loss or a"
                " repeat"
            )
            raise IncompatibleModelError(msg)
    # A shard that was never exported has learned nothing from before the start of the last job.
    never = [earliest(one.starts for one in shards)] * (len(by_users) < user_shards)
    return earliest([*({**one.starts, **one.positions} for one in shards), *never])


def require_fit(directory: str, shards: tuple[int, int], spec: RecommenderSpec) -> None:
    """Checks that a folder can be imported into so many shards of this model.

    Raises:
        IncompatibleModelError: There is no model in it, or it has another number of shards,
            another model or other hyperparameters, or it is damaged.
    """
    require_shards(directory, shards)
    found = shards_in(directory)
    if not found:
        msg = f"no model in {directory}: expected what --export_model wrote"
        raise IncompatibleModelError(msg)
    lacking = shards[0] * shards[1] - len(found)
    if lacking and any(one.imports for one in found):
        msg = (
            f"{directory} lacks {lacking} of the model's shards, which its job had imported and has"
            " not exported since: import what that job imported"
        )
        raise IncompatibleModelError(msg)
    for one in found:
        load(directory, one.shard, spec, shards)


def require_shards(directory: str, shards: tuple[int, int]) -> None:
    """Checks that what is in a folder, if anything, is of so many shards.

    Raises:
        IncompatibleModelError: It has another number of shards.
    """
    for one in shards_in(directory):
        if one.shards != shards:
            msg = (
                f"{directory} has {one.shards[0]} x {one.shards[1]} shards, this job"
                f" {shards[0]} x {shards[1]}: pass the same --user_blocks and --item_blocks"
            )
            raise IncompatibleModelError(msg)


def _manifest_path(directory: str, shard: tuple[int, int]) -> str:
    return str(FileSystems.join(directory, f"shard-{shard[0]}-{shard[1]}.json"))


def _arrays_path(directory: str, shard: tuple[int, int], sequence: int) -> str:
    name = f"shard-{shard[0]}-{shard[1]}-{sequence:0{_SEQUENCE_DIGITS}}.safetensors"
    return str(FileSystems.join(directory, name))


def _read_manifest(directory: str, shard: tuple[int, int]) -> ExportedShard | None:
    path = _manifest_path(directory, shard)
    return _parsed(path, shard) if FileSystems.exists(path) else None


def _parsed(path: str, shard: tuple[int, int] | None) -> ExportedShard:
    """Reads a manifest, of this shard unless None."""
    with FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED) as file:
        content = file.read()
    try:
        fields: dict[str, Any] = json.loads(content)
        snapshot_codec.require_version(fields["version"])
        found = ExportedShard(
            _pair(fields["shard"]),
            _pair(fields["shards"]),
            _count(fields["sequence"]),
            RecommenderSpec.from_dict(fields["spec"]),
            checked(fields.get("positions", {})),
            _texts(fields.get("topics", {})),
            checked(fields.get("starts", {})),
            fields.get("imports", False) is True,
        )
        if shard not in {None, found.shard}:
            msg = f"it is of shard {found.shard}"
            raise ValueError(msg)
        if any(one >= of for one, of in zip(found.shard, found.shards, strict=True)):
            msg = f"shard {found.shard} is none of {found.shards}"
            raise ValueError(msg)
    except (ValueError, TypeError, KeyError, RecursionError) as e:
        msg = f"{path} is not a model that --export_model wrote: {e}"
        raise IncompatibleModelError(msg) from e
    return found


def _pair(value: object) -> tuple[int, int]:
    if not isinstance(value, list) or len(value) != 2:
        msg = f"{value!r} is no pair of whole numbers"
        raise ValueError(msg)
    return _count(value[0]), _count(value[1])


def _texts(value: object) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(one, str) for one in value.values()):
        msg = f"{value!r} does not name topics"
        raise ValueError(msg)
    return value


def _count(value: object) -> int:
    if type(value) is not int or not 0 <= value < 1 << 63:
        msg = f"{value!r} is no count"
        raise ValueError(msg)
    return value


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
