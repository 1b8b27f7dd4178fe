"""Item shards of a `ShardedModel` give, in the pipeline, the bytes that one shard gives."""

from __future__ import annotations

import logging
from functools import cache

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.test_stream import TestStream
from apache_beam.testing.util import assert_that, equal_to

from tests.support import counts
from tests.transforms.recommenders.test_item_shards import stream
from transforms import (
    Evaluation,
    Rating,
    RatingBatch,
    Recommend,
    RecommendAndEvaluate,
    Recommendation,
    RecommenderSpec,
    Request,
    Sharding,
    ToEvaluations,
    ToRecommendations,
)
from transforms.batches import RecommendationBatch, RecommendationBatchCoder
from transforms.learning.state import ModelCache
from transforms.runtime.worker_context import WORKER

pytestmark = pytest.mark.usefixtures("batches_apart")

ASKED = [Request("1", 7.0, "r:1"), Request("nobody", 8.0, "r:2")]


def _batches(ratings: list[Rating], size: int) -> list[RatingBatch]:
    parts = [ratings[at : at + size] for at in range(0, len(ratings), size)]
    return [RatingBatch(part, 0.0, ASKED) for part in parts]


_COLLECTED: list[bytes] = []
_TESTS: list[Evaluation] = []
_LISTS: list[Recommendation] = []


def _collect(one: bytes | Evaluation | Recommendation) -> None:
    # A function of a module is not copied into the graph, as a list's own would be.
    if isinstance(one, bytes):
        _COLLECTED.append(one)
    elif isinstance(one, Evaluation):
        _TESTS.append(one)
    else:
        _LISTS.append(one)


def _encoded(batch: RecommendationBatch) -> bytes:
    return RecommendationBatchCoder().encode(batch)


class _DropCache(beam.DoFn):
    def process(self, element: RatingBatch) -> list[RatingBatch]:
        WORKER.get(ModelCache).clear()
        return [element]


def _bytes_of(spec: RecommenderSpec, shards: int, *, forget: bool = False) -> list[bytes]:
    """The encoded lists of a stream, a bundle for each batch."""
    source = TestStream()
    for at, batch in enumerate(_batches(stream(360, 3), 60)):
        source.advance_watermark_to(at).add_elements([batch])
    step = beam.ParDo(_DropCache()) if forget else beam.Map(lambda batch: batch)
    _COLLECTED.clear()
    with TestPipeline(options=PipelineOptions(["--streaming"])) as pipeline:
        _ = (
            pipeline
            | source.advance_watermark_to_infinity()
            | step.with_output_types(RatingBatch)
            | Recommend(spec, Sharding(item_shards=shards), top_n=5)
            | beam.Map(_encoded)
            | "Collect" >> beam.Map(_collect)
        )
    return list(_COLLECTED)


SPECS = {
    "never": RecommenderSpec(hyperparameters={"tune": "off"}, repeats="never"),
    "auto": RecommenderSpec(),
    "sparse": RecommenderSpec(hyperparameters={"neighbors": 60}, repeats="allow"),
    "evicting": RecommenderSpec(max_items=60, max_users=15),
    "popular": RecommenderSpec("popular"),
}


@cache
def _bytes_of_one(name: str) -> list[bytes]:
    return _bytes_of(SPECS[name], 1)


@pytest.mark.parametrize("shards", [2, 4, 8])
@pytest.mark.parametrize("name", SPECS)
def test_lists_have_the_bytes_of_one_shard(name: str, shards: int) -> None:
    expected = _bytes_of_one(name)
    assert len(expected) == 6
    assert _bytes_of(SPECS[name], shards) == expected


@pytest.mark.parametrize("name", ["never", "auto", "evicting"])
def test_lists_have_the_bytes_of_one_shard_after_every_shard_was_rebuilt(name: str) -> None:
    assert _bytes_of(SPECS[name], 2, forget=True) == _bytes_of_one(name)


def _without_times(evaluation: Evaluation) -> Evaluation:
    return evaluation._replace(update_us=0.0, top_n_us=0.0)


@pytest.mark.parametrize("shards", [2, 8])
@pytest.mark.parametrize("name", ["never", "auto"])
def test_evaluations_are_those_of_one_shard(name: str, shards: int) -> None:
    found = {}
    for grid in (1, shards):
        pipeline = TestPipeline()
        outputs = (
            pipeline
            | beam.Create(_batches(stream(240, 4), 60), reshuffle=False)
            | RecommendAndEvaluate(SPECS[name], Sharding(item_shards=grid), top_n=5)
        )
        tests = outputs.evaluations | ToEvaluations() | beam.Map(_without_times)
        lists = outputs.recommendations | ToRecommendations()
        if grid == 1:
            _TESTS.clear()
            _LISTS.clear()
            _ = tests | "CollectTests" >> beam.Map(_collect)
            _ = lists | "CollectLists" >> beam.Map(_collect)
        else:
            assert_that(tests, equal_to(list(_TESTS)), "Tests")
            assert_that(lists, equal_to(list(_LISTS)), "Lists")
        result = pipeline.run()
        result.wait_until_finish()
        found[grid] = counts(result)
    assert len(_TESTS) == 240
    for counted in ("users", "items", "tested", "hits", "popular_hits", "lists"):
        assert found[1][counted] == found[shards][counted] > 0


def test_item_shards_that_make_a_model_worse_are_warned_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        Recommend(RecommenderSpec("itemknn"), Sharding(item_shards=2))
        Recommend(RecommenderSpec("mf"), Sharding(user_shards=2))
        assert not caplog.messages
        Recommend(RecommenderSpec("mf"), Sharding(item_shards=2))
    (warning,) = caplog.messages
    assert "2 item shards of mf learn apart and recommend worse than one" in warning
