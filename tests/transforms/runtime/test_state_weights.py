from __future__ import annotations

import subprocess
import sys

from apache_beam.runners.worker import statecache

from transforms.runtime.state_weights import weight

SCRIPT = """
import apache_beam, time
from apache_beam.runners.worker import statecache
from transforms.runtime import state_weights
asked = []
state_weights.weigh_bytes()
by_beam = state_weights._deep_size
state_weights._deep_size = lambda *values: asked.append(values) or by_beam(*values)
cache = statecache.StateCache(10_000)
for number in range(20):
    cache.put(number, [bytes(1_000)])
print(len(asked), cache.peek(0) is None, cache.peek(19) == [bytes(1_000)])
"""


def test_lists_of_bytes_weigh_what_beam_says() -> None:
    for value in ([], [b""], [b"some bytes"], [bytes(size) for size in range(0, 6_400, 100)]):
        assert weight(value) == statecache.get_deep_size(value)


def test_a_long_list_is_weighed_by_a_sample() -> None:
    value = [bytes(100 + number % 7) for number in range(10_000)]
    assert abs(weight(value) / statecache.get_deep_size(value) - 1) < 0.01


def test_others_are_weighed_by_beam() -> None:
    for value in ({"a": [1, 2]}, ["text"], (b"bytes",)):
        assert weight(value) == statecache.get_deep_size(value)
    assert weight([b""], ["text"]) == weight([b""]) + weight(["text"])


def test_beams_cache_asks_it_and_stays_within_its_bound() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["0", "True", "True"]
