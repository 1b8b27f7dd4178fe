"""Ratings to positives: what the recommenders learn from."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import apache_beam as beam

from transforms import counters
from transforms.batches import RatingBatch
from transforms.formats.rating_columns import RatingColumns, kept_ratings
from transforms.formats.records import Rating


def positives(
    ratings: Sequence[Rating], min_rating: float, unrated: Sequence[int] = ()
) -> Sequence[Rating]:
    """Returns the ratings that go on to the model, in order.

    Args:
        ratings: What was read.
        min_rating: The lowest rating that is kept. It is not applied to events that have no
            rating of their own, nor to those with a weight of 0 or less, which say themselves
            that the item is not to be recommended.
        unrated: Indexes of the ratings that have no rating of their own.
    """
    exempt = set(unrated)
    if isinstance(ratings, RatingColumns) and not ratings.columns.weights:
        kept = [rating >= min_rating for rating in ratings.columns.ratings]
        for index in exempt:
            kept[index] = True
        return kept_ratings(ratings, kept)
    return [
        rating
        for index, rating in enumerate(ratings)
        if rating.rating >= min_rating or rating.weight <= 0 or index in exempt
    ]


@dataclass
class KeepPositives(beam.PTransform):
    """Drops, and counts, ratings below `min_rating`; `positives` says which those are.

    Attributes:
        min_rating: The lowest rating that is kept.
    """

    min_rating: float = 3.0

    def __post_init__(self) -> None:
        """Raises ValueError for a bound that is not a number."""
        super().__init__()
        if math.isnan(self.min_rating):
            msg = "min_rating is NaN, expected a number"
            raise ValueError(msg)

    def expand(self, ratings: beam.PCollection[RatingBatch]) -> beam.PCollection[RatingBatch]:
        """Returns batches with positives only."""
        step = beam.ParDo(_KeepPositivesDoFn(self.min_rating)).with_output_types(RatingBatch)
        return ratings | "Keep" >> step


class _KeepPositivesDoFn(beam.DoFn):
    def __init__(self, min_rating: float) -> None:
        self._min_rating = min_rating

    def process(self, element: RatingBatch) -> Iterator[RatingBatch]:
        kept = positives(element.ratings, self._min_rating, element.unrated)
        counters.counter(counters.POSITIVES).inc(len(kept))
        counters.counter(counters.FILTERED).inc(len(element) - len(kept))
        if kept or element.requests:
            yield RatingBatch(kept, element.published, element.requests)
