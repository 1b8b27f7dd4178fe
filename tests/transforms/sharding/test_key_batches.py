from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from operator import eq
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.coders import TupleCoder, registry
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.test_stream import TestStream
from apache_beam.testing.util import assert_that, equal_to, is_not_empty
from apache_beam.utils.timestamp import Timestamp

from tests.transforms.sharding.test_in_order import Value
from tests.transforms.sharding.test_keys import BATCH, BY_SHARD, RATINGS, REQUESTS
from transforms.batches import RatingBatch, RatingBatchCoder
from transforms.errors import IncompatibleModelError
from transforms.sharding.config import Sharding
from transforms.sharding.key_batches import (
    NEXT,
    SEQUENCE,
    KeyBatches,
    _KeyByModelShardDoFn,
    _KeyByUserShardDoFn,
    take_numbers,
)
from transforms.sharding.keys import ModelShardBatch, by_replica, joined, model_shard_key
from transforms.sharding.stored import SHARDING_KEY


def check(keyed: beam.PCollection[ModelShardBatch], expected: list[ModelShardBatch]) -> None:
    """Checks what model shards get, and that the sharding is checked, however often."""
    is_reminder = partial(eq, (SHARDING_KEY, RatingBatch([])))
    reminders = keyed | "Reminders" >> beam.Filter(is_reminder)
    others = keyed | "Others" >> beam.Filter(lambda element: element[0] != SHARDING_KEY)
    assert_that(reminders, is_not_empty(), label="CheckReminders")
    assert_that(others, equal_to(expected))


def test_a_batch_goes_to_the_model_of_each_user_shard() -> None:
    sharding = Sharding(2)
    with TestPipeline(runner="FnApiRunner") as pipeline:
        keyed = pipeline | beam.Create([BATCH]) | KeyBatches(sharding)
        expected = [
            (model_shard_key(shard, 0, sharding), batch) for shard, batch in BY_SHARD.items()
        ]
        check(keyed, expected)


def test_it_keys_a_stream() -> None:
    sharding = Sharding(2)
    stream = (
        TestStream(coder=RatingBatchCoder())
        .add_elements([BATCH])
        .advance_watermark_to(10)
        .add_elements([RatingBatch(RATINGS[:1], 6.0)])
        .advance_watermark_to_infinity()
    )
    with TestPipeline() as pipeline:
        keyed = pipeline | stream | KeyBatches(sharding)
        expected = [
            (model_shard_key(shard, 0, sharding), batch) for shard, batch in BY_SHARD.items()
        ]
        last = (model_shard_key(1, 0, sharding), RatingBatch(RATINGS[:1], 6.0))
        check(keyed, [*expected, last])


def test_one_model_is_the_default() -> None:
    with TestPipeline(runner="FnApiRunner") as pipeline:
        keyed = pipeline | beam.Create([BATCH, RatingBatch([])]) | KeyBatches()
        check(keyed, [(model_shard_key(0, 0, Sharding()), BATCH)])


REPLICAS = Sharding(2, replicas=2)


def sent_by(step: Any) -> list[Any]:
    return [sent.value for sent in step.finish_bundle()]


@pytest.mark.parametrize("sharding", [Sharding(2), REPLICAS])
def test_what_a_bundle_has_for_a_shard_is_joined(sharding: Sharding) -> None:
    step = _KeyByModelShardDoFn(sharding)
    step.start_bundle()
    for time in (1, 2):
        assert {key for key, _ in step.process(BATCH, Timestamp(time))} <= {SHARDING_KEY}
    assert sent_by(step) == [
        (model_shard_key(shard, 0, sharding, replica), joined([batch, batch]))
        for (shard, replica), batch in by_replica(BATCH, sharding).items()
    ]


@pytest.mark.parametrize("kind", [_KeyByModelShardDoFn, _KeyByUserShardDoFn])
def test_a_bundle_that_failed_leaves_nothing_to_the_next(kind: Callable[..., Any]) -> None:
    step = kind(REPLICAS)
    step.start_bundle()
    list(step.process(BATCH, Timestamp(1)))
    step.start_bundle()
    assert sent_by(step) == []
    list(step.process(BATCH, Timestamp(1)))
    assert sent_by(step)
    assert sent_by(step) == []


def test_where_items_are_sharded_every_item_shard_gets_the_same_numbered_batches() -> None:
    sharding = Sharding(2, 3)
    stream = TestStream(coder=RatingBatchCoder())
    for second in range(3):
        stream.advance_watermark_to(second).add_elements([BATCH, BATCH])
    with TestPipeline() as pipeline:
        keyed = pipeline | stream.advance_watermark_to_infinity() | KeyBatches(sharding)
        expected = [
            (
                model_shard_key(user_shard, item_shard, sharding),
                replace(joined([batch, batch]), number=number),
            )
            for number in range(1, 4)
            for user_shard, batch in BY_SHARD.items()
            for item_shard in range(3)
        ]
        check(keyed, expected)


def test_the_parts_of_a_large_batch_have_numbers_of_their_own() -> None:
    sharding = Sharding(1, 2)
    with TestPipeline(runner="FnApiRunner") as pipeline:
        keyed = pipeline | beam.Create([BATCH]) | KeyBatches(sharding, at_once=3)
        parts = [
            RatingBatch(RATINGS[:3], 5.0, [], 1),
            RatingBatch(RATINGS[3:], 5.0, REQUESTS, 2),
        ]
        expected = [
            (model_shard_key(0, shard, sharding), part) for part in parts for shard in (0, 1)
        ]
        check(keyed, expected)


def test_numbers_are_taken_once_and_a_repeated_bundle_takes_the_same() -> None:
    state = Value(None)
    assert list(take_numbers(state, 1)) == [1]
    committed = state.value
    assert list(take_numbers(state, 3)) == [2, 3, 4]
    repeated = Value(committed)
    assert list(take_numbers(repeated, 2)) == [2, 3]
    assert repeated.value == b"\1\0\0\0\0\0\0\0\4"


def test_numbers_of_another_version_are_refused() -> None:
    with pytest.raises(IncompatibleModelError, match="state has version 2, expected 1"):
        take_numbers(Value(b"\2\0\0\0\0\0\0\0\4"), 1)


def test_the_keys_coder_is_deterministic() -> None:
    coder = registry.get_coder(
        beam.typehints.native_type_compatibility.convert_to_beam_type(ModelShardBatch)
    )
    assert isinstance(coder, TupleCoder)
    assert coder.key_coder().is_deterministic()
    assert type(coder.value_coder()) is RatingBatchCoder


def test_the_names_that_savepoints_depend_on() -> None:
    assert SEQUENCE == "SequenceBatches"
    assert NEXT.name == "next"
