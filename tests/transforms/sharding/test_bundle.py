from __future__ import annotations

from typing import Any

import pytest
from apache_beam.transforms.window import GlobalWindow, TimestampedValue
from apache_beam.utils.timestamp import Timestamp
from apache_beam.utils.windowed_value import WindowedValue

from tests.support import movielens_like
from transforms.batches import RatingBatch
from transforms.formats.records import Request
from transforms.runtime.worker_context import WorkerContext
from transforms.sharding import bundle
from transforms.sharding.bundle import MAX_JOINED, BundleBatches
from transforms.sharding.keys import joined

RATINGS = movielens_like(20)
A, B, C = RatingBatch(RATINGS[:3], 4.0), RatingBatch(RATINGS[3:5], 2.0), RatingBatch(RATINGS[5:])


@pytest.fixture(autouse=True)
def _own_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle, "WORKER", WorkerContext())


def added(batches: BundleBatches[str], key: str, batch: RatingBatch, time: int) -> list[Any]:
    return list(batches.add(key, batch, Timestamp(time)))


def values(batches: BundleBatches[str]) -> list[tuple[str, RatingBatch]]:
    return [sent.value for sent in batches.rest()]


def test_a_bundle_sends_each_shard_one_batch_at_its_end() -> None:
    batches = BundleBatches[str]()
    assert not added(batches, "x", A, 1)
    assert not added(batches, "y", C, 2)
    assert not added(batches, "x", B, 3)
    assert values(batches) == [("x", joined([A, B])), ("y", C)]
    assert values(batches) == []


@pytest.mark.parametrize(
    "half",
    [
        RatingBatch(movielens_like(MAX_JOINED // 2)),
        RatingBatch([], requests=[Request("u", 0.0, f"q-0-{at}") for at in range(MAX_JOINED // 2)]),
    ],
)
def test_what_gets_too_large_does_not_wait_for_the_end(half: RatingBatch) -> None:
    batches = BundleBatches[str]()
    assert not added(batches, "x", half, 1)
    assert not added(batches, "y", half, 1)
    assert not added(batches, "x", half, 1)
    (sent,) = added(batches, "x", A, 1)
    assert isinstance(sent, TimestampedValue)
    assert sent.value == ("x", joined([half, half]))
    assert sorted(values(batches), key=str) == sorted([("y", half), ("x", A)], key=str)


def test_a_batch_that_is_larger_alone_is_sent_alone() -> None:
    batches = BundleBatches[str]()
    large = RatingBatch(movielens_like(MAX_JOINED + 1))
    assert not added(batches, "x", large, 1)
    assert [sent.value for sent in added(batches, "x", A, 1)] == [("x", large)]
    assert values(batches) == [("x", A)]


def test_what_one_process_sends_is_in_the_order_of_beams_time_too() -> None:
    # One partition is far ahead of another one, which is then read three times.
    sent: list[WindowedValue] = []
    for *times, most in ((2_000, 1_000), (1_001,), (1_002,), (1_003,), (3_000,)):
        batches = BundleBatches[str]()
        for time in (*times, most):
            added(batches, "x", A, time)
        sent.extend(batches.rest())
    milliseconds = [one.timestamp.micros // 1000 for one in sent]
    assert milliseconds == [2_000_000, 2_000_001, 2_000_002, 2_000_003, 3_000_000]
    assert all(one.windows == (GlobalWindow(),) for one in sent)


def test_the_shards_of_a_bundle_have_the_same_time() -> None:
    batches = BundleBatches[str]()
    for key in "xyz":
        added(batches, key, A, 1)
    assert {one.timestamp for one in batches.rest()} == {Timestamp(1)}


def test_what_was_grouped_has_no_later_time_and_moves_no_other() -> None:
    end = GlobalWindow().max_timestamp()
    grouped, later = BundleBatches[str](), BundleBatches[str]()
    list(grouped.add("x", A, end))
    added(later, "x", B, 1)
    assert [one.timestamp for one in grouped.rest()] == [end]
    assert [one.timestamp for one in later.rest()] == [Timestamp(1)]
