from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import gc
from transforms.runtime import garbage_collection
{before}
garbage_collection.reduce_frequency()
garbage_collection.reduce_frequency()
print(gc.isenabled(), gc.get_threshold()[0], gc.get_freeze_count() > 1000)
class Node: pass
node = Node(); node.me = node
import weakref; gone = weakref.ref(node); del node
print(gc.collect() > 0, gone() is None)
"""


def told(before: str = "") -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(before=before)],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


def test_it_looks_seldom_and_still_collects_cycles() -> None:
    assert told() == ["True 50000 True", "True True"]


def test_a_process_that_chose_to_collect_more_rarely_or_never_stays_as_it_is() -> None:
    assert told("gc.set_threshold(100_000)")[0] == "True 100000 False"
    assert told("gc.disable()")[0] == "False 700 False"
