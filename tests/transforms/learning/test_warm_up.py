from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from transforms.recommenders.registry import MODEL_NAMES

_PROGRAM = """
import logging, sys
logging.basicConfig(format="%(message)s", level=logging.INFO)
{setup}
from transforms.evaluation.observer import PreUpdateObserver
from transforms.learning.shard import learn
from transforms.learning.warm_up import warm_up
from transforms.recommenders.registry import RecommenderSpec
from tests.transforms.recommenders.featured import featured
from numba.core.dispatcher import Dispatcher

compiled = []
original = Dispatcher.compile
def note(self, signature):
    compiled.append(self.py_func.__name__)
    return original(self, signature)
Dispatcher.compile = note

for model, hyperparameters in {specs!r}:
    warm_up(RecommenderSpec(model, hyperparameters))
    del compiled[:]
    spec = RecommenderSpec(model, hyperparameters)
    for top_n, observer in ((10, PreUpdateObserver(10)), (10, None), (0, None)):
        learn(spec.build(), featured(300), top_n, observer=observer)
    spec.build().recommend("nobody", 10)
    print(model, *compiled)
"""


def _run(specs: list[tuple[str, dict[str, int]]], setup: str, cache: Path) -> tuple[str, str]:
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM.format(specs=specs, setup=setup)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "NUMBA_CACHE_DIR": str(cache)},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def test_after_it_nothing_is_left_to_compile(tmp_path: Path) -> None:
    specs: list[tuple[str, dict[str, int]]] = [(model, {}) for model in MODEL_NAMES]
    out, err = _run([*specs, ("itemknn", {"neighbors": 20})], "", tmp_path)
    assert out.split() == [*MODEL_NAMES, "itemknn"]
    assert err.count("compiling the kernels of mf, which can take a minute") == 1
    assert "compiled the kernels of mf in" in err
    assert "the next start will find them cached" in err


def test_it_says_where_nothing_can_be_cached(tmp_path: Path) -> None:
    # numba looks for a place for its cache among these.
    setup = "from numba.core import caching; caching.CacheImpl._locator_classes = []"
    _, err = _run([("mf", {})], setup, tmp_path)
    assert "compiled the kernels of mf in" in err
    assert "set NUMBA_CACHE_DIR to a folder that can" in err
