from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from apache_beam.utils.timestamp import Timestamp

from tests.support import movielens_like
from tests.transforms.sharding.test_in_order import Bag, Value
from transforms import ModelExport, RatingBatch, Recommend, RecommenderSpec, Sharding
from transforms.errors import IncompatibleStateError
from transforms.learn_and_recommend import LearnAndRecommendDoFn, LearnRecommendAndExportDoFn
from transforms.sharding.key_batches import _KeyByModelShardDoFn
from transforms.sharding.keys import ModelShard
from transforms.sharding.stored import SHARDING_KEY, Reminder, require_same_sharding

SHARDING = Sharding(2, replicas=3)


def test_the_key_that_savepoints_depend_on_is_no_model_shards() -> None:
    assert SHARDING_KEY == (0, 0, 0, -1)


def test_the_first_sharding_is_kept_and_the_same_one_is_right() -> None:
    state = Value(None)
    require_same_sharding(state, SHARDING)
    kept = state.value
    require_same_sharding(state, replace(SHARDING))
    assert state.value == kept


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        (Sharding(2, replicas=4), "expected replicas 3, got 4:"),
        (Sharding(3, replicas=3), "expected user_shards 2, got 3:"),
        (Sharding(2, item_shards=2), "expected item_shards 1, got 2, replicas 3, got 1:"),
        (Sharding(2, replicas=3, key_groups=64), "expected key_groups 128, got 64:"),
    ],
)
def test_another_one_is_refused_and_what_was_kept_stays(other: Sharding, reason: str) -> None:
    state = Value(None)
    require_same_sharding(state, SHARDING)
    kept = state.value
    with pytest.raises(IncompatibleStateError, match=reason):
        require_same_sharding(state, other)
    assert state.value == kept


def test_it_reminds_at_first_and_once_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("transforms.sharding.stored.time.monotonic", lambda: now)
    reminder = Reminder()
    assert list(reminder.remind()) == [(SHARDING_KEY, RatingBatch([]))]
    assert list(reminder.remind()) == []
    now += 59.0
    assert list(reminder.remind()) == []
    now += 1.0
    assert len(list(reminder.remind())) == 1


def run(sharding: Sharding, store: dict[ModelShard, dict[str, Any]], export: Any = None) -> None:
    """Puts ratings through both steps, with the state that a savepoint left, and keeps it."""
    settings = Recommend(RecommenderSpec("mf", {"k": 4}), sharding, export=export)
    do_fn: Any = LearnAndRecommendDoFn if export is None else LearnRecommendAndExportDoFn
    learner, timers = do_fn(settings, uuid4().hex, False), {}
    if export is not None:
        timers["end"] = Timer()
    learner.start_bundle()
    batch = RatingBatch(movielens_like(50))
    keys = _KeyByModelShardDoFn(sharding)
    keys.start_bundle()
    reminded = list(keys.process(batch, Timestamp(1)))
    for key, part in [*reminded, *(sent.value for sent in keys.finish_bundle())]:
        saved = store.setdefault(key, {name: None for name in ("meta", "order", "positions")})
        values = {name: Value(saved[name]) for name in ("meta", "order", "positions")}
        bags = {
            name: Bag(saved.setdefault(name, []), {"read": 0, "added": 0, "cleared": 0})
            for name in ("snapshot", "log", "early")
        }
        list(learner.process((key, part), **values, **bags, **timers))
        saved.update({name: value.value for name, value in values.items()})
        saved.update({name: bag.values for name, bag in bags.items()})
    learner.finish_bundle()
    if export is not None:
        assert timers["end"].times == len(store) - 1


class Timer:
    times = 0

    def set(self, time: object) -> None:
        self.times += 1


@pytest.mark.parametrize(
    "other", [Sharding(replicas=2), Sharding(2), Sharding(key_groups=64), Sharding(2, replicas=2)]
)
def test_a_savepoint_of_another_sharding_is_refused(other: Sharding) -> None:
    store: dict[ModelShard, dict[str, Any]] = {}
    run(Sharding(), store)
    run(Sharding(), store)
    models = {key: value for key, value in store.items() if key != SHARDING_KEY}
    assert len(models) == 1
    with pytest.raises(IncompatibleStateError, match="of another sharding"):
        run(other, store)


def test_the_key_is_not_exported(tmp_path: Any) -> None:
    run(Sharding(2), {}, ModelExport(str(tmp_path)))
