"""One recommender as bytes: what snapshots in state and exported files hold.

A safetensors document whose metadata say what the arrays are: the version, the spec that the
recommender was made from, its items, how many ratings changed it, and a digest of the arrays.
Decoding trusts nothing: it compares the spec field by field, and every array is checked before a
kernel sees it, see `SavedArrays`; a digest only tells that a file was damaged by accident.
"""

from __future__ import annotations

import hashlib
import json
import struct
from typing import Any, Final, NamedTuple

import numpy as np
import orjson
import safetensors
import safetensors.numpy

from transforms.errors import IncompatibleModelError
from transforms.recommenders.arrays import Arrays
from transforms.recommenders.hashing import EVERYTHING, Block
from transforms.recommenders.recommender import Recommender
from transforms.recommenders.registry import RecommenderSpec

VERSION: Final = 4

_HEADER_LENGTH: Final = struct.Struct("<Q")
_METADATA: Final = "flurs_beam"

LEARNING_FIELDS: Final = ("model", "hyperparameters")
"""Fields of a spec that an import has to share; the others may be changed between two jobs."""


class Snapshot(NamedTuple):
    """What `decode` returns.

    Attributes:
        recommender: The recommender.
        sequence: How many ratings changed it.
    """

    recommender: Recommender
    sequence: int


def encode(
    spec: RecommenderSpec, sequence: int, arrays: Arrays, items: Block = EVERYTHING
) -> bytes:
    """Returns a recommender as bytes.

    Args:
        spec: What it was made from.
        sequence: How many ratings changed it.
        arrays: What its `state_dict` returned.
        items: The items that it learns.
    """
    metadata = {
        "version": VERSION,
        "sequence": sequence,
        "items": _share(items),
        "spec": spec.to_dict(),
    }
    return encode_arrays(arrays, metadata)


def _share(items: Block) -> list[int]:
    """Returns which items a model learns, whether it is evaluated or not."""
    return [items.number, items.of]


def encode_arrays(arrays: Arrays, metadata: dict[str, Any]) -> bytes:
    """Returns arrays and metadata, and a digest of the arrays with them, as bytes."""
    whole = {**metadata, "digest": _digest(arrays)}
    return safetensors.numpy.save(arrays, {_METADATA: orjson.dumps(whole, default=list).decode()})


def decode(
    encoded: bytes,
    spec: RecommenderSpec,
    items: Block = EVERYTHING,
    fields: tuple[str, ...] = (),
) -> Snapshot:
    """Returns the recommender that `encode` wrote.

    Args:
        encoded: What `encode` returned, perhaps damaged since.
        spec: What the recommender has to be made from.
        items: The items that it has to learn.
        fields: The fields of the spec that have to be the same; all if empty.

    Raises:
        IncompatibleModelError: It is damaged, of another version, or made from another spec.
    """
    try:
        arrays = safetensors.numpy.load(encoded)
        metadata = _metadata(encoded)
    # An unknown dtype is a KeyError, a damaged header any of the others.
    except (safetensors.SafetensorError, KeyError, ValueError, TypeError, struct.error) as e:
        msg = f"the saved model is damaged: {type(e).__name__}: {e}"
        raise IncompatibleModelError(msg) from e
    require_version(metadata.get("version"))
    require_same_spec(metadata.get("spec"), spec, fields)
    if metadata.get("items") != _share(items):
        msg = f"the saved model is of items {metadata.get('items')}, expected {_share(items)}"
        raise IncompatibleModelError(msg)
    sequence = metadata.get("sequence")
    if type(sequence) is not int or not 0 <= sequence < 1 << 63:
        msg = f"the saved model's sequence is {sequence!r}, expected a whole number"
        raise IncompatibleModelError(msg)
    if metadata.get("digest") != _digest(arrays):
        msg = "the saved model is damaged: its arrays are not those that were saved"
        raise IncompatibleModelError(msg)
    recommender = spec.build(items)
    recommender.load_state_dict(arrays)
    return Snapshot(recommender, sequence)


def _digest(arrays: Arrays) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(array.data.cast("B") if array.size else b"")
    return digest.hexdigest()


def require_version(version: object) -> None:
    """Checks the version of anything that holds a saved model.

    Raises:
        IncompatibleModelError: It is another version.
    """
    if version != VERSION:
        msg = (
            f"the saved model has version {version}, expected {VERSION}: start without the"
            " savepoint or the import"
        )
        raise IncompatibleModelError(msg)


def require_same_spec(
    saved: object, expected: RecommenderSpec, fields: tuple[str, ...] = ()
) -> None:
    """Checks that a model was made from a spec.

    Args:
        saved: What `RecommenderSpec.to_dict` returned.
        expected: The spec.
        fields: The fields that have to be the same; all if empty.

    Raises:
        IncompatibleModelError: A field differs; the error names it, and both values.
    """
    saved_fields = _flat(saved if isinstance(saved, dict) else {}, fields)
    expected_fields = _flat(expected.to_dict(), fields)
    for name in sorted({*saved_fields, *expected_fields}, key=lambda name: (name != "model", name)):
        found, wanted = saved_fields.get(name), expected_fields.get(name)
        if found != wanted or type(found) is not type(wanted):
            msg = f"the saved model has {name} {_text(found)}, this job {_text(wanted)}"
            raise IncompatibleModelError(msg)


def _flat(spec: dict[str, Any], fields: tuple[str, ...]) -> dict[str, Any]:
    chosen = {name: value for name, value in spec.items() if not fields or name in fields}
    hyperparameters = chosen.pop("hyperparameters", None)
    return {**chosen, **(hyperparameters if isinstance(hyperparameters, dict) else {})}


def _text(value: object) -> str:
    return "none" if value is None else str(value)


def _metadata(encoded: bytes) -> dict[str, Any]:
    # safetensors reads metadata from files alone; the header is JSON behind its length.
    (length,) = _HEADER_LENGTH.unpack_from(encoded)
    header = json.loads(encoded[_HEADER_LENGTH.size : _HEADER_LENGTH.size + length])
    return dict(json.loads(header["__metadata__"][_METADATA]))
