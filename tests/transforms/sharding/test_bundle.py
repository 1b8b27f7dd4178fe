from __future__ import annotations

from typing import Any

from apache_beam.transforms.window import GlobalWindow, TimestampedValue
from apache_beam.utils.timestamp import Timestamp
from apache_beam.utils.windowed_value import WindowedValue

from tests.support import movielens_like
from transforms.batches import RatingBatch
from transforms.sharding.bundle import MOST_RATINGS, BundleBatches
from transforms.sharding.keys import joined

RATINGS = movielens_like(20)
A, B, C = RatingBatch(RATINGS[:3], 4.0), RatingBatch(RATINGS[3:5], 2.0), RatingBatch(RATINGS[5:])


def added(batches: BundleBatches[str], key: str, batch: RatingBatch, time: int) -> list[Any]:
    return list(batches.add(key, batch, Timestamp(time)))


def test_a_bundle_sends_each_shard_one_batch_at_its_end() -> None:
    batches = BundleBatches[str]()
    assert not added(batches, "x", A, 1)
    assert not added(batches, "y", C, 2)
    assert not added(batches, "x", B, 3)
    assert values(batches) == [("x", joined([A, B])), ("y", C)]
    assert values(batches) == []


def values(batches: BundleBatches[str]) -> list[tuple[str, RatingBatch]]:
    return [sent.value for sent in batches.rest()]


def test_a_large_batch_does_not_wait_for_the_end() -> None:
    batches = BundleBatches[str]()
    half = RatingBatch(movielens_like(MOST_RATINGS // 2))
    assert not added(batches, "x", half, 1)
    assert not added(batches, "y", half, 1)
    (sent,) = added(batches, "x", half, 1)
    assert isinstance(sent, TimestampedValue)
    assert sent.value == ("x", joined([half, half]))
    assert values(batches) == [("y", half)]


def test_what_one_process_sends_is_in_the_order_of_beams_time_too() -> None:
    # A bundle that reads a partition that lags behind, and then one that does not.
    first, second, third = BundleBatches[str](), BundleBatches[str](), BundleBatches[str]()
    added(first, "x", A, 2_000_000_000)
    added(first, "x", B, 1_000_000_000)
    added(second, "x", C, 1_000_000_001)
    added(third, "x", C, 3_000_000_000)
    sent = [*first.rest(), *second.rest(), *third.rest()]
    times = [one.timestamp for one in sent]
    assert times[0] >= Timestamp(2_000_000_000)
    assert times == sorted(set(times))
    assert all(isinstance(one, WindowedValue) for one in sent)
    assert all(one.windows == (GlobalWindow(),) for one in sent)


def test_what_was_grouped_has_no_later_time_and_moves_no_other() -> None:
    end = GlobalWindow().max_timestamp()
    grouped, later = BundleBatches[str](), BundleBatches[str]()
    list(grouped.add("x", A, end))
    added(later, "x", B, 1)
    assert [one.timestamp for one in grouped.rest()] == [end]
    assert next(one.timestamp for one in later.rest()) < end
