from __future__ import annotations

from collections.abc import Sequence

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.test_stream import TestStream
from apache_beam.testing.util import assert_that, equal_to

from tests.support import RUNNERS, ModelShards, counts, movielens_like, shards_of
from transforms import (
    FromRatings,
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
from transforms.learn_and_recommend import EARLY, LOG, META, ORDER, OTHER_SNAPSHOT, SNAPSHOT
from transforms.learning import state as model_state
from transforms.learning.state import Kept, Meta, ModelCache, ShardState
from transforms.recommenders.hashing import Block
from transforms.runtime.worker_context import WORKER

pytestmark = pytest.mark.usefixtures("batches_apart")

SPEC = RecommenderSpec("mf", {"k": 4}, seed=5)


def plain_loop(ratings: Sequence[Rating], top_n: int) -> list[Recommendation]:
    recommender = SPEC.build()
    lists = []
    for rating in ratings:
        recommender.update(rating)
        best = recommender.recommend(rating.user, top_n)
        lists.append(Recommendation(rating.user, best, rating.timestamp, rating.origin))
    return lists


def batches(ratings: list[Rating], size: int) -> list[RatingBatch]:
    return [RatingBatch(ratings[at : at + size]) for at in range(0, len(ratings), size)]


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_each_positive_gives_the_list_that_stands_after_it(size: int) -> None:
    ratings = movielens_like(300)
    pipeline = TestPipeline()
    lists = (
        pipeline
        | beam.Create(batches(ratings, size), reshuffle=False)
        | Recommend(SPEC, top_n=5)
        | ToRecommendations()
    )
    assert_that(lists, equal_to(plain_loop(ratings, 5)))
    result = pipeline.run()
    result.wait_until_finish()
    found = counts(result)
    assert found["lists"] == 300
    assert found["users"] == len({rating.user for rating in ratings})
    assert found["items"] == len({rating.item for rating in ratings})


def test_the_model_lives_on_from_bundle_to_bundle() -> None:
    ratings = movielens_like(60)
    stream = TestStream()
    for at, batch in enumerate(batches(ratings, 6)):
        stream.advance_watermark_to(at).add_elements([batch])
    with TestPipeline(options=PipelineOptions(["--streaming"])) as pipeline:
        lists = (
            pipeline
            | stream.advance_watermark_to_infinity()
            | beam.Map(lambda batch: batch).with_output_types(RatingBatch)
            | Recommend(SPEC, top_n=5)
            | ToRecommendations()
        )
        assert_that(lists, equal_to(plain_loop(ratings, 5)))


class _DropCache(beam.DoFn):
    def process(self, element: RatingBatch) -> list[RatingBatch]:
        WORKER.get(ModelCache).clear()
        return [element]


def test_the_model_is_rebuilt_when_the_process_forgot_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rebuilt: list[int] = []

    original = model_state.rebuild

    def rebuild(spec: RecommenderSpec, meta: Meta, state: ShardState, items: Block) -> Kept:
        rebuilt.append(meta.sequence)
        return original(spec, meta, state, items)

    ratings = movielens_like(60)
    stream = TestStream()
    for at, batch in enumerate(batches(ratings, 6)):
        stream.advance_watermark_to(at).add_elements([batch])
    with monkeypatch.context() as patch:
        patch.setattr(model_state, "rebuild", rebuild)
        with TestPipeline(options=PipelineOptions(["--streaming"])) as pipeline:
            lists = (
                pipeline
                | stream.advance_watermark_to_infinity()
                | beam.ParDo(_DropCache()).with_output_types(RatingBatch)
                | Recommend(SPEC, top_n=5)
                | ToRecommendations()
            )
            assert_that(lists, equal_to(plain_loop(ratings, 5)))
    assert rebuilt == list(range(0, 60, 6))


@pytest.mark.parametrize("runner", RUNNERS)
def test_cells_learn_apart(runner: str) -> None:
    ratings = movielens_like(400)
    options = PipelineOptions([*RUNNERS[runner](), "--experiments=prism_disable_sdf_split"])
    with beam.Pipeline(options=options) as pipeline:
        lists = (
            pipeline
            | beam.Create(batches(ratings, 50), reshuffle=False)
            | Recommend(SPEC, Sharding(user_shards=3), top_n=5)
            | ToRecommendations()
        )
        expected = []
        for group in shards_of(ratings, 3).values():
            expected.extend(plain_loop(group, 5))
        assert_that(lists, equal_to(expected))


@pytest.mark.parametrize("runner", RUNNERS)
@pytest.mark.parametrize("grid", [(1, 3), (2, 2)])
def test_items_in_blocks_make_one_list(runner: str, grid: tuple[int, int]) -> None:
    ratings = movielens_like(400)
    asked = [Request(ratings[0].user, 7.0, "r:1"), Request("nobody", 8.0, "r:2")]
    options = PipelineOptions([*RUNNERS[runner](), "--experiments=prism_disable_sdf_split"])
    with beam.Pipeline(options=options) as pipeline:
        lists = (
            pipeline
            | beam.Create([*batches(ratings, 50), RatingBatch([], 0.0, asked)], reshuffle=False)
            | Recommend(SPEC, Sharding(*grid), top_n=5)
            | ToRecommendations()
        )
        shards = ModelShards(SPEC, *grid)
        expected = []
        for rating in ratings:
            shards.update(rating)
            best = shards.recommend(rating.user, 5)
            expected.append(Recommendation(rating.user, best, rating.timestamp, rating.origin))
        for user, timestamp, origin, *_ in asked:
            best = shards.recommend(user, 5)
            fallback = "popular" if user == "nobody" else ""
            expected.append(Recommendation(user, best, timestamp, origin, fallback))
        assert_that(lists, equal_to(expected))


@pytest.mark.parametrize("grid", [(1, 1), (2, 1), (1, 3)])
def test_each_positive_is_tested_before_it_is_learned(grid: tuple[int, int]) -> None:
    ratings = movielens_like(300)
    with TestPipeline() as pipeline:
        created = pipeline | beam.Create(batches(ratings, 120), reshuffle=False)
        outputs = created | RecommendAndEvaluate(SPEC, Sharding(*grid), top_n=5)
        tests = outputs.evaluations | ToEvaluations() | beam.Map(lambda one: one[:8])
        shards = ModelShards(SPEC, *grid)
        expected = []
        for rating in ratings:
            everything = [item for item, _ in shards.recommend(rating.user, 10_000)]
            rank = everything.index(rating.item) + 1 if rating.item in everything else None
            user, item, _, timestamp, origin, *_ = rating
            expected.append(
                (origin, user, item, rank, len(everything), "mf", timestamp, everything[:5])
            )
            shards.update(rating)
        assert_that(tests, equal_to(expected))


def test_requests_alone_leave_the_model_where_it_was() -> None:
    ratings = movielens_like(60)
    asks = RatingBatch([], 0.0, [Request(ratings[0].user, 0.0, "r:1")])
    stream = TestStream()
    for at, batch in enumerate([asks, *batches(ratings, 20), asks, asks]):
        stream.advance_watermark_to(at).add_elements([batch])
    with TestPipeline(options=PipelineOptions(["--streaming"])) as pipeline:
        lists = (
            pipeline
            | stream.advance_watermark_to_infinity()
            | beam.Map(lambda batch: batch).with_output_types(RatingBatch)
            | Recommend(SPEC, top_n=5)
            | ToRecommendations()
        )
        expected = plain_loop(ratings, 5)
        last = [one for one in expected if one.user == ratings[0].user][-1]
        recommender = SPEC.build()
        for rating in ratings:
            recommender.update(rating)
        answered = Recommendation(last.user, recommender.recommend(last.user, 5), 0.0, "r:1")
        nothing_yet = Recommendation(last.user, [], 0.0, "r:1", "popular")
        assert_that(lists, equal_to([nothing_yet, *expected, answered, answered]))


def test_single_ratings_work_too() -> None:
    ratings = movielens_like(40)
    with TestPipeline() as pipeline:
        lists = (
            pipeline
            | beam.Create(ratings, reshuffle=False)
            | FromRatings()
            | Recommend(SPEC, top_n=3)
            | ToRecommendations()
        )
        assert_that(lists, equal_to(plain_loop(ratings, 3)))


def test_with_top_n_zero_it_only_learns() -> None:
    pipeline = TestPipeline()
    lists = pipeline | beam.Create(batches(movielens_like(40), 10)) | Recommend(SPEC, top_n=0)
    assert_that(lists, equal_to([]))
    result = pipeline.run()
    result.wait_until_finish()
    assert counts(result)["users"] > 0


def test_a_window_is_refused() -> None:
    pipeline = TestPipeline()
    windowed = (
        pipeline
        | beam.Create(batches(movielens_like(4), 4))
        | beam.WindowInto(beam.window.FixedWindows(10))
    )
    with pytest.raises(ValueError, match="global window"):
        windowed | Recommend(SPEC)


def test_a_negative_length_is_refused() -> None:
    with pytest.raises(ValueError, match="top_n is -1"):
        Recommend(SPEC, top_n=-1)


def test_item_shards_of_a_model_that_has_none_are_refused() -> None:
    with pytest.raises(ValueError, match="item_shards is 2, expected 1 with vmisknn"):
        Recommend(RecommenderSpec("vmisknn"), Sharding(item_shards=2))


def _labels(part: beam.pipeline.AppliedPTransform) -> list[str]:
    if not part.parts:
        return [part.full_label]
    return [label for inner in part.parts for label in _labels(inner)]


@pytest.mark.parametrize("kind", [Recommend, RecommendAndEvaluate])
@pytest.mark.parametrize(
    ("sharding", "labels"),
    [
        (Sharding(2), ["KeyBatches/KeyByUserShard", "LearnAndRecommend/Do"]),
        (
            Sharding(2, 2),
            [
                "KeyBatches/KeyByUserShard",
                "KeyBatches/SequenceBatches",
                "LearnAndRecommend",
                "MergeItemShards/Merge/Do",
            ],
        ),
    ],
)
def test_the_names_that_savepoints_depend_on(
    sharding: Sharding, labels: list[str], kind: type[Recommend]
) -> None:
    pipeline = TestPipeline()
    pipeline | beam.Create(batches(movielens_like(4), 4)) | kind(SPEC, sharding)
    found = _labels(pipeline.transforms_stack[0].parts[-1])
    names = [one.removesuffix("/ParDo(DoFn)").split("/", 1)[1] for one in found]
    assert [name for name in names if "TypeEvaluations" not in name] == labels
    specs = [META, SNAPSHOT, OTHER_SNAPSHOT, LOG, ORDER, EARLY]
    names = ["meta", "snapshot", "other_snapshot", "log", "order", "early"]
    assert [spec.name for spec in specs] == names
