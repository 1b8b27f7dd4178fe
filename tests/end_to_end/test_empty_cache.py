"""The first run on a machine: no kernel has been compiled and nothing is cached."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from transforms.recommenders.registry import MODEL_NAMES

_EVALUATE = """
from tests.transforms.recommenders.featured import featured
from transforms.evaluation.observer import PreUpdateObserver
from transforms.learning.shard import learn
from transforms.recommenders.registry import MODEL_NAMES, RecommenderSpec

for model in MODEL_NAMES:
    for observer in (PreUpdateObserver(10), None):
        done = learn(RecommenderSpec(model).build(), featured(300), 10, observer=observer)
        print(model, len(done.recommendations), len(observer.scores) if observer else 0)
"""


def test_every_model_learns_and_is_evaluated(tmp_path: Path) -> None:
    cache = tmp_path / "numba"
    done = subprocess.run(
        [sys.executable, "-c", _EVALUATE],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "NUMBA_CACHE_DIR": str(cache)},
    )
    assert done.returncode == 0, done.stderr
    expected = [line for m in MODEL_NAMES for line in (f"{m} 300 300", f"{m} 300 0")]
    assert done.stdout.splitlines() == expected
    assert any(cache.rglob("*.nbi"))
