"""Single records into batches and out of them, for pipelines that have them one by one."""

from __future__ import annotations

from collections.abc import Sequence

import apache_beam as beam

from transforms import counters
from transforms.batches import EvaluationBatch, RatingBatch, RecommendationBatch
from transforms.formats.records import (
    Evaluation,
    Rating,
    Recommendation,
    Request,
)
from transforms.formats.validation import validated_rating, validated_request


class FromRatings(beam.PTransform):
    """`Rating` to a `RatingBatch` of one; nothing waits for a batch to fill.

    On failure: a rating that a parser would refuse, or with an id that is no string, raises
    `MalformedRecordError`.
    """

    def expand(self, ratings: beam.PCollection[Rating]) -> beam.PCollection[RatingBatch]:
        """Returns the converted elements."""
        return ratings | "Wrap" >> beam.Map(_wrapped).with_output_types(RatingBatch)


class FromRequests(beam.PTransform):
    """`Request` to a `RatingBatch` without ratings, to be flattened with those that have some.

    On failure: as `FromRatings`.
    """

    def expand(self, requests: beam.PCollection[Request]) -> beam.PCollection[RatingBatch]:
        """Returns the converted elements."""
        return requests | "Wrap" >> beam.Map(_wrapped_request).with_output_types(RatingBatch)


class ToRecommendations(beam.PTransform):
    """`RecommendationBatch` to each `Recommendation`."""

    def expand(
        self, lists: beam.PCollection[RecommendationBatch]
    ) -> beam.PCollection[Recommendation]:
        """Returns the converted elements."""
        return lists | "Unwrap" >> beam.FlatMap(_unwrapped).with_output_types(Recommendation)


class ToEvaluations(beam.PTransform):
    """`EvaluationBatch` to each `Evaluation`."""

    def expand(self, lists: beam.PCollection[EvaluationBatch]) -> beam.PCollection[Evaluation]:
        """Returns the converted elements."""
        return lists | "Unwrap" >> beam.FlatMap(_unwrapped_tests).with_output_types(Evaluation)


def _wrapped(rating: Rating) -> RatingBatch:
    valid = validated_rating(rating)
    counters.counter(counters.READ).inc()
    return RatingBatch([valid])


def _wrapped_request(request: Request) -> RatingBatch:
    valid = validated_request(request)
    counters.counter(counters.REQUESTS).inc()
    return RatingBatch([], requests=[valid])


def _unwrapped(batch: RecommendationBatch) -> Sequence[Recommendation]:
    return batch.recommendations


def _unwrapped_tests(batch: EvaluationBatch) -> Sequence[Evaluation]:
    return batch.evaluations
