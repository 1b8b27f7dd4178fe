from __future__ import annotations

from typing import Any

import apache_beam as beam
import pytest
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.test_stream import TestStream
from apache_beam.testing.util import assert_that, equal_to

from tests.support import counts
from transforms.batches import EvaluationBatch, RatingBatch, RecommendationBatch
from transforms.batching import FromRatings, FromRequests, ToEvaluations, ToRecommendations
from transforms.formats.records import (
    Evaluation,
    Features,
    Rating,
    Recommendation,
    Request,
    ScoredItem,
)

RATINGS = [Rating("u", f"i{n}", 3.0, float(n), f"a:{n}") for n in range(3)]
LISTS = [Recommendation("u", [ScoredItem("i", 0.5)] * n, float(n), f"a:{n}") for n in range(3)]


def test_each_rating_is_a_batch_of_one_and_is_counted_as_read() -> None:
    with TestPipeline(runner="FnApiRunner") as pipeline:
        batches = pipeline | beam.Create(RATINGS) | FromRatings()
        assert batches.element_type is RatingBatch
        assert_that(batches, equal_to([RatingBatch([rating]) for rating in RATINGS]))
    assert counts(pipeline.result) == {"read": 3}


def test_no_rating_of_a_stream_waits_for_another() -> None:
    stream = TestStream().advance_watermark_to(0)
    for second, rating in enumerate(RATINGS):
        stream = stream.add_elements([rating]).advance_watermark_to(10 * second + 10)
    with TestPipeline() as pipeline:
        batches = (
            pipeline | stream.advance_watermark_to_infinity() | FromRatings() | beam.Map(_with_time)
        )
        assert_that(batches, equal_to([(["a:0"], 0), (["a:1"], 10), (["a:2"], 20)]))


def _with_time(
    batch: RatingBatch, timestamp: beam.utils.timestamp.Timestamp = beam.DoFn.TimestampParam
) -> tuple[list[str], float]:
    return [rating.origin for rating in batch.ratings], float(timestamp)


def test_batches_of_lists_are_unwrapped() -> None:
    batches = [
        RecommendationBatch(LISTS[:2]),
        RecommendationBatch([]),
        RecommendationBatch(LISTS[2:]),
    ]
    with TestPipeline(runner="FnApiRunner") as pipeline:
        lists = pipeline | beam.Create(batches) | ToRecommendations()
        assert lists.element_type is Recommendation
        assert_that(lists, equal_to(LISTS))


def test_tests_are_unwrapped() -> None:
    tests = [
        Evaluation("o", "u", f"i{n}", None, 0, "mf", 1.0, [], None, [], 0.0, 0.0) for n in range(3)
    ]
    batches = [EvaluationBatch(tests[:1]), EvaluationBatch(tests[1:])]
    with TestPipeline(runner="FnApiRunner") as pipeline:
        unwrapped = pipeline | beam.Create(batches) | ToEvaluations()
        assert unwrapped.element_type is Evaluation
        assert_that(unwrapped, equal_to(tests))


def test_each_request_is_a_batch_without_ratings() -> None:
    requests = [Request("u", 1.0, "r:1"), Request("v")]
    with TestPipeline(runner="FnApiRunner") as pipeline:
        batches = pipeline | beam.Create(requests) | FromRequests()
        assert batches.element_type is RatingBatch
        assert_that(batches, equal_to([RatingBatch([], 0.0, [one]) for one in requests]))
    assert counts(pipeline.result) == {"requests": 2}


GOOD = Rating("u", "i", 3.0, 1.0, "o")
NUMBER: Any = 196
"""Where a string is declared."""


@pytest.mark.parametrize(
    ("wrap", "record"),
    [(FromRatings(), GOOD._replace(user=NUMBER)), (FromRequests(), Request(NUMBER))],
)
def test_what_a_parser_would_refuse_is_an_error_at_once(wrap: beam.PTransform, record: Any) -> None:
    pipeline = TestPipeline(runner="FnApiRunner")
    _ = pipeline | beam.Create([None]) | beam.Map(lambda _: record) | wrap
    with pytest.raises(Exception, match="user is 196 of type int, expected a string") as caught:
        pipeline.run()
    assert f"{type(wrap).__name__}/Wrap" in str(caught.value)


def test_whole_numbers_become_floats_and_rows_become_ratings_behind_a_shuffle() -> None:
    featured = GOOD._replace(features=Features((1.0,), (), (2, 3.0)))
    with TestPipeline(runner="FnApiRunner") as pipeline:
        batches = (
            pipeline
            | beam.Create([GOOD._replace(rating=3, timestamp=1), featured])
            | beam.Map(lambda one: one).with_output_types(Rating)
            | beam.Reshuffle()
            | FromRatings()
        )
        assert_that(batches, equal_to([RatingBatch([GOOD]), RatingBatch([featured])]))


def test_unwrapped_lists_cross_a_shuffle() -> None:
    with TestPipeline(runner="FnApiRunner") as pipeline:
        crossed = (
            pipeline
            | beam.Create([RecommendationBatch(LISTS)])
            | ToRecommendations()
            | beam.Reshuffle()
            | beam.Map(lambda one: (one.user, [tuple(item) for item in one.items], one.origin))
        )
        expected = [("u", [tuple(item) for item in one.items], one.origin) for one in LISTS]
        assert_that(crossed, equal_to(expected))
