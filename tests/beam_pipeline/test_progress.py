from __future__ import annotations

import re

from beam_pipeline.progress import Progress
from tests.support import wait_until
from transforms.counters import Totals
from transforms.runtime.worker_context import WORKER


def test_it_says_what_was_done_since_it_began_and_nothing_while_nothing_comes() -> None:
    totals = WORKER.get(Totals)
    totals.add("read", 1000)
    said: list[str] = []
    with Progress(said.append, 0.3, 0.05):
        totals.add("read", 1200)
        totals.add("positives", 900)
        totals.add("filtered", 290)
        totals.add("dead", 10)
        wait_until(lambda: bool(said))
        (line,) = said
        assert re.fullmatch(
            r"after 0 s: 1,200 read \([\d,]+/s of late\), 900 positives, 290 filtered, 10 dead,"
            r" 0 users, 0 items",
            line,
        )
        totals.add("read", 5)
        wait_until(lambda: len(said) == 2)
        assert said[1].split(": ")[1].startswith("1,205 read")
    assert len(said) == 2


def test_a_short_run_says_nothing() -> None:
    said: list[str] = []
    with Progress(said.append, 60.0):
        WORKER.get(Totals).add("read", 5)
    assert said == []
