"""Replicas of a user shard give together what its one model would give."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.test_stream import TestStream
from apache_beam.testing.util import assert_that, equal_to

from tests.support import RUNNERS, counts, movielens_like, same_arrays, shards_of
from transforms import (
    ModelExport,
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
from transforms.evaluation.observer import PreUpdateObserver, evaluate
from transforms.learning.shard import learn
from transforms.learning.state import ModelCache, ShardModel
from transforms.model_export import load, save, shards_in
from transforms.recommenders.recommender import Recommender
from transforms.runtime.worker_context import WORKER

pytestmark = pytest.mark.usefixtures("batches_apart")

SPEC = RecommenderSpec("mf", {"k": 4}, seed=5)
ITEMKNN = RecommenderSpec("itemknn", repeats="auto")
RATINGS = [
    rating._replace(weight=(1.0, 1.0, 0.5, -1.0, 1.0, 0.0)[number % 6])
    for number, rating in enumerate(movielens_like(600, users=40))
]
ASKED = [Request(f"u{number}", 7.0, f"r:{number}") for number in range(9)]


def batches(ratings: Sequence[Rating], size: int = 50) -> list[RatingBatch]:
    return [RatingBatch(list(ratings[at : at + size])) for at in range(0, len(ratings), size)]


def plain_loop(
    spec: RecommenderSpec, ratings: Sequence[Rating], recommender: Recommender | None = None
) -> tuple[list[Recommendation], Recommender]:
    recommender = recommender or spec.build()
    lists = []
    for rating in ratings:
        recommender.update(rating)
        best = recommender.recommend(rating.user, 5)
        lists.append(Recommendation(rating.user, best, rating.timestamp, rating.origin))
    return lists, recommender


@pytest.mark.parametrize("runner", RUNNERS)
@pytest.mark.parametrize(
    ("spec", "sharding"),
    [
        (SPEC, Sharding(replicas=2)),
        (ITEMKNN, Sharding(replicas=4)),
        (RecommenderSpec("raisgd", {"k": 4}), Sharding(2, replicas=3)),
        (RecommenderSpec("userknn", max_users=25), Sharding(replicas=2)),
    ],
)
def test_their_lists_and_answers_are_those_of_one_model(
    runner: str, spec: RecommenderSpec, sharding: Sharding
) -> None:
    options = PipelineOptions([*RUNNERS[runner](), "--experiments=prism_disable_sdf_split"])
    pipeline = beam.Pipeline(options=options)
    lists = (
        pipeline
        | beam.Create([*batches(RATINGS), RatingBatch([], 0.0, ASKED)], reshuffle=False)
        | Recommend(spec, sharding, top_n=5)
        | ToRecommendations()
    )
    expected = []
    users = items = 0
    shards = shards_of(
        [*RATINGS, *(Rating(one.user, "", 0.0, 0.0) for one in ASKED)], sharding.user_shards
    )
    for group in shards.values():
        made, recommender = plain_loop(spec, [rating for rating in group if rating.item])
        expected += made
        users += len(recommender.users)
        items += len(recommender.items)
        for request in ASKED:
            if request.user in {rating.user for rating in group}:
                fallback = "" if recommender.knows(request.user) else "popular"
                best = recommender.recommend(request.user, 5)
                expected.append(Recommendation(request.user, best, 7.0, request.origin, fallback))
    assert_that(lists, equal_to(expected))
    result = pipeline.run()
    result.wait_until_finish()
    found = counts(result)
    assert found["lists"] == len(RATINGS) + len(ASKED)
    if not spec.max_users:
        assert (found["users"], found["items"]) == (users, items)


@pytest.mark.parametrize("replicas", [2, 4])
def test_each_positive_is_tested_once_as_by_one_model(replicas: int) -> None:
    observer = PreUpdateObserver(5)
    done = learn(SPEC.build(), RATINGS, 5, observer=observer)
    tests = [
        evaluate(rating, [scores], "mf", 5, 0.0, 0.0)[:10]
        for rating, scores in zip(observer.ratings, observer.scores, strict=True)
    ]
    with TestPipeline() as pipeline:
        created = pipeline | beam.Create(batches(RATINGS), reshuffle=False)
        outputs = created | RecommendAndEvaluate(SPEC, Sharding(replicas=replicas), top_n=5)
        made = outputs.evaluations | ToEvaluations() | beam.Map(lambda one: one[:10])
        assert_that(made, equal_to(tests), label="Tests")
        lists = outputs.recommendations | ToRecommendations()
        assert_that(lists, equal_to(done.recommendations), label="Lists")


class _DropCache(beam.DoFn):
    def process(self, element: RatingBatch) -> list[RatingBatch]:
        WORKER.get(ModelCache).clear()
        return [element]


def test_each_replica_is_rebuilt_from_state_of_its_own() -> None:
    stream = TestStream()
    for at, batch in enumerate(batches(RATINGS)):
        stream.advance_watermark_to(at).add_elements([batch])
    with TestPipeline(options=PipelineOptions(["--streaming"])) as pipeline:
        lists = (
            pipeline
            | stream.advance_watermark_to_infinity()
            | beam.ParDo(_DropCache()).with_output_types(RatingBatch)
            | Recommend(SPEC, Sharding(replicas=3), top_n=5)
            | ToRecommendations()
        )
        assert_that(lists, equal_to(plain_loop(SPEC, RATINGS)[0]))


@pytest.mark.parametrize("runner", RUNNERS)
def test_one_replica_exports_and_all_import(tmp_path: Path, runner: str) -> None:
    folder = str(tmp_path / "models")
    before, after = RATINGS[:350], RATINGS[350:]
    _, recommender = plain_loop(SPEC, before)
    save(ModelExport(folder), (0, 0), (1, 1), SPEC, ShardModel(recommender, len(before), {}))
    options = PipelineOptions([*RUNNERS[runner](), "--experiments=prism_disable_sdf_split"])
    with beam.Pipeline(options=options) as pipeline:
        lists = (
            pipeline
            | beam.Create(batches(after), reshuffle=False)
            | Recommend(SPEC, Sharding(replicas=3), 5, ModelExport(folder), folder)
            | ToRecommendations()
        )
        expected, recommender = plain_loop(SPEC, after, recommender)
        assert_that(lists, equal_to(expected))
    assert [(one.shard, one.shards, one.sequence) for one in shards_in(folder)] == [
        ((0, 0), (1, 1), len(RATINGS))
    ]
    loaded, _, _ = load(folder, (0, 0), SPEC)
    assert same_arrays(loaded.state_dict(), recommender.state_dict())
