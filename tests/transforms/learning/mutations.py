"""Loads damaged snapshots: an error or a usable recommender. Run in a process of its own.

python -m tests.transforms.learning.mutations MODEL COUNT SEED

A kernel that reads outside of an array ends the process with a signal, which is what the test
that starts this one looks for.
"""

from __future__ import annotations

import json
import struct
import sys
from typing import Any

import numpy as np
import safetensors.numpy

from tests.transforms.recommenders.featured import featured
from transforms.errors import IncompatibleModelError
from transforms.learning.snapshot_codec import decode, encode, encode_arrays
from transforms.recommenders.arrays import Arrays
from transforms.recommenders.hashing import EVERYTHING, Block
from transforms.recommenders.recommender import Recommender
from transforms.recommenders.registry import RecommenderSpec

_SPECS = {
    "sparse": RecommenderSpec("itemknn", {"neighbors": 8, "history": 5}),
    "shard": RecommenderSpec("itemknn"),
    "sparse_shard": RecommenderSpec("itemknn", {"neighbors": 8, "history": 5}),
    "sketch": RecommenderSpec("sketch", {"proj": "RandomProjection", "k": 12}),
}
_BLOCKS = {"shard": Block(0, 2), "sparse_shard": Block(0, 2)}
_EXTREMES = (-1, 0, 1, 2, 63, 1 << 20, 500_000_000, (1 << 31) - 1, -(1 << 31), 1 << 62)
_EXTREME_FLOATS = (0.0, -1.0, 1e-300, 1e30, 1e300, np.inf, -np.inf, np.nan)


def _of_arrays(arrays: Arrays, random: np.random.Generator) -> Arrays:
    """Changes an array: a number, its order, its length, its dtype, or that it is there.

    What is saved of it has the right digest, as if another program had written it.
    """
    name = str(random.choice(sorted(arrays)))
    array = arrays[name].copy()
    kind = random.integers(8)
    if kind < 4 and array.size:
        extremes = _EXTREME_FLOATS if array.dtype.kind == "f" else _EXTREMES
        with np.errstate(all="ignore"):
            value = np.array(extremes)[random.integers(len(extremes))].astype(array.dtype)
        array.flat[random.integers(array.size)] = value
    elif kind == 4:
        array = array[::-1].copy()
    elif kind == 5:
        array = np.concatenate([array, array[:1]]) if random.random() < 0.5 else array[:-1]
    elif kind == 6:
        dtypes = (np.int8, np.int32, np.int64, np.uint8, np.float32, np.float64)
        with np.errstate(all="ignore"):
            array = array.astype(dtypes[random.integers(len(dtypes))])
    else:
        return {key: value for key, value in arrays.items() if key != name}
    return {**arrays, name: np.ascontiguousarray(array)}


def _of_bytes(encoded: bytes, random: np.random.Generator) -> bytes:
    """Changes a few bytes, half of the time of the header, or cuts the end off."""
    changed = bytearray(encoded)
    header = 8 + struct.unpack_from("<Q", encoded)[0]
    if random.random() < 0.1:
        return bytes(changed[: random.integers(len(changed))])
    for _ in range(random.integers(1, 4)):
        end = header if random.random() < 0.5 else len(changed)
        changed[random.integers(end)] = random.integers(256)
    return bytes(changed)


def _use(recommender: Recommender, ratings: list[Any]) -> None:
    for rating in ratings:
        recommender.recommend(rating.user, 10)
        recommender.candidates(rating.user, rating.item)
        recommender.update(rating)
        recommender.recommend(rating.user, 10)
    recommender.learn_all(ratings)
    recommender.state_dict()


def main(model: str, count: int, seed: int) -> None:
    """Prints how many damaged snapshots were refused, and how many were usable."""
    spec = _SPECS.get(model) or RecommenderSpec(model, {"k": 4} if model in {"mf", "fm"} else {})
    random = np.random.default_rng(seed)
    block = _BLOCKS.get(model, EVERYTHING)
    recommender = spec.build(block)
    ratings = featured(160, users=12, items=25, seed=seed)
    for rating in ratings[:150]:
        recommender.update(rating)
    encoded = encode(spec, 150, recommender.state_dict(), block)
    arrays = safetensors.numpy.load(encoded)
    (length,) = struct.unpack_from("<Q", encoded)
    metadata = json.loads(json.loads(encoded[8 : 8 + length])["__metadata__"]["flurs_beam"])
    refused = usable = 0
    np.seterr(all="ignore")
    for _ in range(count):
        if random.random() < 0.7:
            damaged = encode_arrays(_of_arrays(arrays, random), metadata)
        else:
            damaged = _of_bytes(encoded, random)
        try:
            loaded = decode(damaged, spec, block).recommender
        except IncompatibleModelError:
            refused += 1
            continue
        _use(loaded, ratings[150:])
        usable += 1
    print(refused, usable)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
