from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


def _run(program: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_compiles_where_no_cache_can_be_written() -> None:
    # numba looks for a place for its cache among these, and says so if none of them will do.
    program = (
        "from numba.core import caching; caching.CacheImpl._locator_classes = []\n"
        "from transforms.recommenders.numerics import jit, top_n\n"
        "import numpy\n"
        "print(top_n.top_n(numpy.array([1.0, 3.0, 2.0]), 2).tolist(), jit.is_cached())\n"
    )
    assert _run(program) == "[1, 2] False\n"


_LISTS = """
import hashlib
from tests.support import movielens_like
from transforms.recommenders.registry import RecommenderSpec

recommender = RecommenderSpec({model!r}, {hyperparameters!r}, seed=5, max_users=20).build()
digest = hashlib.sha256()
for rating in movielens_like(300, users=25, items=60):
    recommender.update(rating)
    digest.update(repr(recommender.recommend(rating.user, 10)).encode())
plain = RecommenderSpec({model!r}, {hyperparameters!r}, seed=5).build()
plain.learn_all(movielens_like(300, users=25, items=60))
digest.update(repr(plain.state_dict()).encode())
print(digest.hexdigest())
"""


@pytest.mark.parametrize(
    ("model", "hyperparameters"),
    [("mf", {"k": 11}), ("raisgd", {"k": 3}), ("itemknn", {}), ("itemknn", {"neighbors": 20})],
)
def test_python_runs_the_same_loops_to_the_bit(
    model: str, hyperparameters: dict[str, float]
) -> None:
    program = _LISTS.format(model=model, hyperparameters=hyperparameters)
    compiled = _run(program)
    assert _run(program, NUMBA_DISABLE_JIT="1") == compiled


_REFERENCES = """
from tests.support import movielens_like
from transforms.recommenders.numerics import mixing
from transforms.recommenders.registry import RecommenderSpec

recommender = RecommenderSpec("itemknn", {"neighbors": 20}).build()
for rating in movielens_like(2):
    recommender.update(rating)
print("NRT_incref" in "".join(mixing.mix_by.inspect_llvm().values()))
"""


def test_references_to_arrays_are_not_counted(tmp_path: Path) -> None:
    # Of kernels that are loaded from a cache there is no code to look at.
    assert _run(_REFERENCES, NUMBA_CACHE_DIR=str(tmp_path)) == "False\n"
