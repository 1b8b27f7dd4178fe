"""Ratings to positives: what the recommenders learn from."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import apache_beam as beam

from transforms import counters
from transforms.batches import RatingBatch
from transforms.formats.records import Rating


def positives(ratings: list[Rating], min_rating: float) -> list[Rating]:
    """Returns the ratings that are at least `min_rating`, in order."""
    return [rating for rating in ratings if rating.rating >= min_rating]


@dataclass
class KeepPositives(beam.PTransform):
    """Drops, and counts, ratings below `min_rating`.

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
        """Adds the step."""
        step = beam.ParDo(_KeepPositivesDoFn(self.min_rating)).with_output_types(RatingBatch)
        return ratings | "Keep" >> step


class _KeepPositivesDoFn(beam.DoFn):
    def __init__(self, min_rating: float) -> None:
        self._min_rating = min_rating

    def process(self, element: RatingBatch) -> Iterator[RatingBatch]:
        kept = positives(element.ratings, self._min_rating)
        counters.counter(counters.POSITIVES).inc(len(kept))
        counters.counter(counters.FILTERED).inc(len(element) - len(kept))
        if kept or element.requests:
            yield RatingBatch(kept, element.published, element.requests)
