from __future__ import annotations

import os
import subprocess
import sys

from tests.support import ROOT


def test_blas_has_one_thread() -> None:
    code = (
        "import numpy\n"
        "from threadpoolctl import threadpool_info\n"
        "from transforms.runtime import blas_threads\n"
        "def counts():\n"
        "    pools = threadpool_info()\n"
        "    return {p['num_threads'] for p in pools if p['user_api'] == 'blas'}\n"
        "before = counts()\n"
        "blas_threads.limit()\n"
        "print(before, counts())\n"
    )
    env = {**os.environ, "OPENBLAS_NUM_THREADS": "2"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT, env=env
    )
    assert done.stdout == "{2} {1}\n"
