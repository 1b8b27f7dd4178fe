from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import wait_until
from transforms.exporter import ExportedModel, Exporter
from transforms.formats.records import Rating
from transforms.learning.snapshots import SnapshotWriter
from transforms.learning.state import Kept, ModelCache, ShardModel
from transforms.learning.token_cache import CacheKey
from transforms.model_export import ModelExport, load, shards_in
from transforms.recommenders.arrays import Arrays
from transforms.recommenders.registry import RecommenderSpec
from transforms.runtime.unsent import Unsent
from transforms.runtime.worker_context import WORKER

KEY = CacheKey("job", "step", (0, 0, 0))
SPEC = RecommenderSpec("popular")


@pytest.fixture
def exporter() -> Iterator[Exporter]:
    WORKER.get(ModelCache).clear()
    exporter = Exporter()
    yield exporter
    exporter.close()
    WORKER.get(ModelCache).clear()


def learned(folder: Path, seconds: float, ratings: int = 3) -> ExportedModel:
    recommender = SPEC.build()
    for number in range(ratings):
        recommender.update(Rating("u", f"i{number}", 1.0, 0.0))
    model = ShardModel(recommender, ratings, {"t-0-": ratings})
    return ExportedModel(ModelExport(str(folder), seconds), (0, 0), (1, 1), SPEC, model)


def keep(one: ExportedModel, key: CacheKey = KEY) -> None:
    """Does what a bundle does when it ends."""
    WORKER.get(ModelCache).put(key, b"token", Kept(one.model.recommender, SnapshotWriter()))


def sequences(folder: Path) -> list[int]:
    return [one.sequence for one in shards_in(str(folder))] if folder.exists() else []


class HeldWrites:
    """Holds the writing of copies.

    Attributes:
        started: Set when the first write begins.
        go_on: Set it to let copies be written.
        sequences: Of the models, in the order in which they are written.
    """

    def __init__(self) -> None:
        self.started, self.go_on = threading.Event(), threading.Event()
        self.sequences: list[int] = []


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> HeldWrites:
    held, writes = HeldWrites(), ExportedModel.save

    def slow(self: ExportedModel, arrays: Arrays | None = None) -> None:
        if arrays is not None:
            held.started.set()
            assert held.go_on.wait(60)
        held.sequences.append(self.model.sequence)
        writes(self, arrays)

    monkeypatch.setattr(ExportedModel, "save", slow)
    return held


def test_a_bundle_exports_when_the_last_time_is_long_ago(
    exporter: Exporter, tmp_path: Path
) -> None:
    exporter.begin(KEY, learned(tmp_path, 1000.0))
    assert sequences(tmp_path) == []
    exporter.begin(KEY, learned(tmp_path, 0.0))
    wait_until(lambda: sequences(tmp_path) == [3])
    assert shards_in(str(tmp_path))[0].positions == {"t-0-": 3}


def test_a_bundle_goes_on_while_its_model_is_written_as_it_was(
    exporter: Exporter, tmp_path: Path, held: HeldWrites
) -> None:
    one = learned(tmp_path, 0.0)
    exporter.begin(KEY, one)
    one.model.recommender.update(Rating("u", "more", 1.0, 0.0))
    assert sequences(tmp_path) == []
    held.go_on.set()
    wait_until(lambda: sequences(tmp_path) == [3])
    assert len(load(str(tmp_path), (0, 0), SPEC).recommender.items) == 3


def test_the_last_export_waits_for_the_one_that_is_being_written(
    exporter: Exporter, tmp_path: Path, held: HeldWrites
) -> None:
    exporter.begin(KEY, learned(tmp_path, 0.0))
    assert held.started.wait(60)
    last = threading.Thread(target=exporter.finish, args=(KEY, learned(tmp_path, 0.0, 5)))
    last.start()
    last.join(0.5)
    assert last.is_alive()
    held.go_on.set()
    last.join()
    assert held.sequences == [3, 5]
    assert sequences(tmp_path) == [5]


def test_only_the_latest_of_the_copies_that_wait_is_written(
    exporter: Exporter, tmp_path: Path, held: HeldWrites
) -> None:
    exporter.begin(KEY, learned(tmp_path, 0.0, 3))
    assert held.started.wait(60)
    exporter.begin(KEY, learned(tmp_path, 0.0, 4))
    exporter.begin(KEY, learned(tmp_path, 0.0, 5))
    held.go_on.set()
    wait_until(lambda: sequences(tmp_path) == [5])
    assert held.sequences == [3, 5]


def test_what_learned_nothing_is_not_exported(exporter: Exporter, tmp_path: Path) -> None:
    exporter.begin(KEY, learned(tmp_path, 0.0, ratings=0))
    exporter.finish(KEY, learned(tmp_path, 0.0, ratings=0))
    assert sequences(tmp_path) == []


def test_a_shard_is_exported_although_no_bundle_comes(exporter: Exporter, tmp_path: Path) -> None:
    exporter.begin(KEY, learned(tmp_path, 0.1, ratings=0))
    one = learned(tmp_path, 0.1)
    keep(one)
    exporter.end(KEY, one)
    wait_until(lambda: sequences(tmp_path) == [3])
    # Once is enough.
    (path,) = tmp_path.glob("*.safetensors")
    path.unlink()
    assert not threading.Event().wait(2.5)
    assert list(tmp_path.glob("*.safetensors")) == []


def test_a_model_that_a_bundle_works_on_is_let_alone(exporter: Exporter, tmp_path: Path) -> None:
    exporter.begin(KEY, learned(tmp_path, 0.1, ratings=0))
    one = learned(tmp_path, 0.1)
    exporter.end(KEY, one)
    assert not threading.Event().wait(2.5)
    assert sequences(tmp_path) == []
    # Neither is another one, as of a shard that was rebuilt elsewhere and came back.
    keep(learned(tmp_path, 0.1))
    assert not threading.Event().wait(1.5)
    assert sequences(tmp_path) == []


def test_the_model_of_now_is_not_exported_with_the_sequence_of_before(
    exporter: Exporter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, late = learned(tmp_path, 0.1), learned(tmp_path / "late", 0.1)
    other_key = KEY._replace(key=(1, 0, 0))
    for key, model in ((KEY, one), (other_key, late)):
        exporter.begin(key, model)
        keep(model, key)
        exporter.end(key, model)
    writes = ExportedModel.save

    def slow(self: ExportedModel, arrays: Arrays | None = None) -> None:
        if self.model.recommender is one.model.recommender:
            # Meanwhile the other shard learns.
            WORKER.get(ModelCache).pop(other_key, b"token")
            late.model.recommender.update(Rating("u", "more", 1.0, 0.0))
            newer = late.model._replace(sequence=4, positions={"t-0-": 4})
            exporter.end(other_key, late._replace(model=newer))
            keep(late, other_key)
        writes(self, arrays)

    monkeypatch.setattr(ExportedModel, "save", slow)
    wait_until(lambda: sequences(tmp_path / "late") == [4])
    assert shards_in(str(tmp_path / "late"))[0].positions == {"t-0-": 4}


def test_nothing_is_exported_while_lists_are_unsent(exporter: Exporter, tmp_path: Path) -> None:
    sink = object()
    WORKER.get(Unsent).add(sink)
    one = learned(tmp_path, 0.1)
    exporter.begin(KEY, one)
    keep(one)
    exporter.end(KEY, one)
    assert not threading.Event().wait(2.5)
    assert sequences(tmp_path) == []
    WORKER.get(Unsent).remove(sink)
    wait_until(lambda: sequences(tmp_path) == [3])


def test_an_export_that_fails_is_said_and_tried_again(
    exporter: Exporter, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "models"
    folder.write_text("no folder")
    one = learned(folder, 0.1)
    keep(one)
    with caplog.at_level(logging.WARNING, "transforms.exporter"):
        exporter.begin(KEY, learned(folder, 0.0))
        wait_until(lambda: f"cannot export the model to {folder}: " in caplog.text)
        exporter.end(KEY, one)
        with pytest.raises(OSError, match=f"cannot export the model to {folder}"):
            exporter.finish(KEY, one)
    folder.unlink()
    exporter.end(KEY, one)
    wait_until(lambda: sequences(folder) == [3])


def test_a_model_that_is_too_large_to_be_copied_is_said_and_learns_on(
    exporter: Exporter,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    one = learned(tmp_path, 0.0)

    def too_large() -> Arrays:
        raise MemoryError

    monkeypatch.setattr(one.model.recommender, "state_dict", too_large)
    with caplog.at_level(logging.WARNING, "transforms.exporter"):
        exporter.begin(KEY, one)
    assert f"cannot export the model to {tmp_path}: not enough memory for a copy" in caplog.text
