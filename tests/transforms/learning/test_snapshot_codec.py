from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from tests.support import movielens_like, same_arrays
from transforms.errors import IncompatibleModelError
from transforms.learning.snapshot_codec import LEARNING_FIELDS, decode, encode
from transforms.recommenders.hashing import Block
from transforms.recommenders.recommender import Recommender
from transforms.recommenders.registry import MODEL_NAMES, RecommenderSpec

SPEC = RecommenderSpec("mf", {"k": 4}, seed=7)


def _learned(spec: RecommenderSpec = SPEC) -> Recommender:
    recommender = spec.build()
    recommender.learn_all(movielens_like(200))
    return recommender


def test_what_is_encoded_is_decoded_to_the_bit() -> None:
    decoded = decode(encode(SPEC, 200, _learned().state_dict()), SPEC)
    assert decoded.sequence == 200
    assert same_arrays(decoded.recommender.state_dict(), _learned().state_dict())


@pytest.mark.parametrize(
    ("other", "difference"),
    [
        (RecommenderSpec("raisgd", {"k": 4}, seed=7), "has model mf, this job raisgd"),
        (RecommenderSpec("bprmf", {"k": 4}, seed=7), "has model mf, this job bprmf"),
        (RecommenderSpec("mf", {"k": 5}, seed=7), "has k 4, this job 5"),
        (RecommenderSpec("mf", {"k": 4, "l2_reg": 0.5}, seed=7), "has l2_reg 0.2, this job 0.5"),
        (replace(SPEC, seed=8), "has seed 7, this job 8"),
        (replace(SPEC, repeats="allow"), "has repeats auto, this job allow"),
        (replace(SPEC, max_users=9), "has max_users 0, this job 9"),
    ],
)
def test_the_difference_of_specs_is_named(other: RecommenderSpec, difference: str) -> None:
    encoded = encode(SPEC, 200, _learned().state_dict())
    with pytest.raises(IncompatibleModelError, match=difference):
        decode(encoded, other)
    if other.to_dict()["hyperparameters"] == SPEC.to_dict()["hyperparameters"]:
        decode(encoded, other, fields=LEARNING_FIELDS)
    else:
        with pytest.raises(IncompatibleModelError, match=difference):
            decode(encoded, other, fields=LEARNING_FIELDS)


def test_another_block_of_items_is_refused() -> None:
    encoded = encode(SPEC, 200, _learned().state_dict(), Block(1, 3))
    decode(encoded, SPEC, Block(1, 3))
    with pytest.raises(IncompatibleModelError, match=r"items \[1, 3\], expected \[0, 1\]"):
        decode(encoded, SPEC)


@pytest.mark.parametrize(
    "damaged", [b"", b"\0" * 7, b"\0" * 8, b"\xff" * 100, b"\x02\0\0\0\0\0\0\0{}"]
)
def test_what_is_no_snapshot_is_refused(damaged: bytes) -> None:
    with pytest.raises(IncompatibleModelError, match="damaged"):
        decode(damaged, SPEC)


@pytest.mark.parametrize("metadata", [None, {}, {"flurs_beam": "["}, {"flurs_beam": "[1]"}])
def test_arrays_without_a_spec_are_refused(metadata: dict[str, str] | None) -> None:
    encoded = safetensors.numpy.save(_learned().state_dict(), metadata)
    with pytest.raises(IncompatibleModelError, match="damaged"):
        decode(encoded, SPEC)


@pytest.mark.parametrize(
    ("metadata", "problem"),
    [
        ('{"version": 1}', "version 1, expected 4"),
        ('{"version": 4}', "has model none, this job mf"),
    ],
)
def test_another_version_is_refused(metadata: str, problem: str) -> None:
    encoded = safetensors.numpy.save(_learned().state_dict(), {"flurs_beam": metadata})
    with pytest.raises(IncompatibleModelError, match=problem):
        decode(encoded, SPEC)


def test_a_bit_that_was_flipped_anywhere_is_noticed() -> None:
    encoded = encode(SPEC, 200, _learned().state_dict())
    for place in range(0, len(encoded), 97):
        damaged = bytearray(encoded)
        damaged[place] ^= 0x10
        with pytest.raises(IncompatibleModelError):
            decode(bytes(damaged), SPEC)


@pytest.mark.parametrize(
    ("name", "change", "problem"),
    [
        ("seen.ids", {0: 500_000_000}, "index out of range"),
        ("seen.ids", {0: -1}, "index out of range"),
        ("seen.ends", {0: 1 << 40}, "does not ascend"),
        ("popularity", {0: -5}, "no count"),
        ("model.p", {(0, 0): np.nan}, "not finite"),
    ],
)
def test_an_array_that_would_lead_a_kernel_astray_is_named(
    name: str, change: dict[Any, float], problem: str
) -> None:
    recommender = _learned()
    arrays = recommender.state_dict()
    for place, value in change.items():
        arrays[name][place] = value
    with pytest.raises(IncompatibleModelError, match=rf"{name} .*{problem}"):
        SPEC.build().load_state_dict(arrays)


@pytest.mark.parametrize("model", [*MODEL_NAMES, "sparse", "shard", "sparse_shard"])
def test_no_damage_crashes_the_process(model: str) -> None:
    # A process of its own, as what is looked for would end it.
    command = [sys.executable, "-m", "tests.transforms.learning.mutations", model, "1000", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    refused, usable = map(int, done.stdout.split())
    assert refused > 500
    assert usable > 100
