from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support import movielens_like, tab_lines
from transforms.file_reader import FileReader, Files
from transforms.handoff import Handoff, Handoffs, HistoryReader
from transforms.runtime.worker_context import WORKER
from transforms.splittable_read import END


def test_it_takes_two_final_bundles_one_after_the_other() -> None:
    handoff = Handoff()
    together = [handoff.next_round() for _ in range(3)]
    for confirm in together:
        confirm()
    assert not handoff.is_confirmed(0.0)
    second = handoff.next_round()
    together[0]()
    assert not handoff.is_confirmed(0.0)
    second()
    assert handoff.is_confirmed(0.0)


class Finalizer:
    def __init__(self) -> None:
        self.registered: list[Callable[[], None]] = []

    def register(self, callback: Callable[[], None]) -> None:
        self.registered.append(callback)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    path = tmp_path / "u.data"
    path.write_text(tab_lines(movielens_like(10)))
    return Files((str(path),), ("u.data",), "auto", False)


def read(files: Files, position: int, finalizer: Any) -> tuple[int, bool]:
    """Reads once; returns how many records came, and whether the files were handed over."""
    inner = FileReader(files, position)
    reader = HistoryReader(inner, "scope", files, patient=False)
    chunk = reader.read(position, END, 0.0)
    reader.finish(finalizer)
    assert chunk.exhausted == reader.handed_over
    return len(chunk.batch), reader.handed_over


def test_files_are_handed_over_when_what_was_read_is_final(files: Files) -> None:
    finalizer = Finalizer()
    assert read(files, 0, finalizer) == (10, False)
    assert finalizer.registered == []
    for _ in range(2):
        assert read(files, 10, finalizer) == (0, False)
        finalizer.registered.pop()()
    assert read(files, 10, finalizer) == (0, True)
    assert finalizer.registered == []
    assert WORKER.get(Handoffs).is_done("scope")
    assert not WORKER.get(Handoffs).get("scope", files).is_confirmed(0.0)


def test_what_was_final_before_a_failure_says_nothing_of_what_is_read_again(files: Files) -> None:
    finalizer = Finalizer()
    for _ in range(2):
        read(files, 10, finalizer)
        finalizer.registered[-1]()
    assert read(files, 4, finalizer) == (6, False)
    assert read(files, 10, finalizer) == (0, False)
    for late in finalizer.registered[:2]:
        late()
    assert read(files, 10, finalizer) == (0, False)
