from __future__ import annotations

import math

import apache_beam as beam
import pytest
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.test_stream import TestStream
from apache_beam.testing.util import assert_that, equal_to

from tests.support import counts
from transforms.batches import RatingBatch, RatingBatchCoder
from transforms.filter import KeepPositives, positives
from transforms.formats.records import Rating


def _rating(number: int, value: float) -> Rating:
    return Rating("u", f"i{number}", value, 1.0, f"a:{number}")


MIXED = RatingBatch([_rating(n, v) for n, v in enumerate([3.0, 1.0, 2.999, 5.0, -1.0])], 7.0)
LOW = RatingBatch([_rating(8, 1.0), _rating(9, 2.0)], 8.0)
KEPT = RatingBatch([_rating(0, 3.0), _rating(3, 5.0)], 7.0)


@pytest.mark.parametrize(
    ("min_rating", "kept"),
    [
        (3.0, [0, 3]),
        (3.0000001, [3]),
        (-1.0, [0, 1, 2, 3, 4]),
        (-math.inf, [0, 1, 2, 3, 4]),
        (5.5, []),
    ],
)
def test_positives_are_at_least_the_bound_and_in_order(min_rating: float, kept: list[int]) -> None:
    found = positives(list(MIXED.ratings), min_rating)
    assert found == [MIXED.ratings[n] for n in kept]


def test_the_bound_does_not_apply_to_what_is_not_rated_or_has_no_weight_above_0() -> None:
    ratings = [
        _rating(0, 1.0),
        _rating(1, 1.0)._replace(weight=0.0),
        _rating(2, 1.0)._replace(weight=-1.0),
        _rating(3, 1.0)._replace(weight=0.5),
        _rating(4, 1.0),
    ]
    kept = positives(ratings, 3.0, unrated=[4])
    assert kept == [ratings[1], ratings[2], ratings[4]]


def test_unrated_events_pass_a_shuffle_and_the_filter() -> None:
    batch = RatingBatch([_rating(0, 1.0), _rating(1, 1.0)], unrated=[1])
    with TestPipeline(runner="FnApiRunner") as pipeline:
        kept = pipeline | beam.Create([batch]) | beam.Reshuffle() | KeepPositives()
        assert_that(kept, equal_to([RatingBatch([_rating(1, 1.0)])]))
    assert counts(pipeline.result) == {"positives": 1, "filtered": 1}


def test_it_keeps_positives_and_counts_the_others() -> None:
    with TestPipeline(runner="FnApiRunner") as pipeline:
        kept = pipeline | beam.Create([MIXED, LOW]) | KeepPositives()
        assert kept.element_type is RatingBatch
        assert_that(kept, equal_to([KEPT]))
    assert counts(pipeline.result) == {"positives": 2, "filtered": 5}


def test_it_filters_a_stream() -> None:
    stream = (
        TestStream(coder=RatingBatchCoder())
        .add_elements([LOW])
        .advance_watermark_to(10)
        .add_elements([MIXED])
        .advance_watermark_to_infinity()
    )
    with TestPipeline() as pipeline:
        assert_that(pipeline | stream | KeepPositives(3.0), equal_to([KEPT]))


def test_its_bound_reaches_the_workers() -> None:
    with TestPipeline(runner="FnApiRunner") as pipeline:
        kept = pipeline | beam.Create([LOW]) | KeepPositives(min_rating=2.0)
        assert_that(kept, equal_to([RatingBatch([_rating(9, 2.0)], 8.0)]))


def test_a_bound_that_is_no_number_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="min_rating is NaN, expected a number"):
        KeepPositives(math.nan)
