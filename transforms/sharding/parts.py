"""What one item shard makes of a batch, as bytes, and the whole that all of them make."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import orjson
from apache_beam.coders import Coder, registry

from transforms.batches import EvaluationBatch, RecommendationBatch
from transforms.evaluation.observer import PreUpdateScores, evaluate
from transforms.formats.records import (
    Rating,
    Recommendation,
    ScoredItem,
    headers_of_text,
    text_headers,
)
from transforms.learning.shard import merge_recommendations
from transforms.recommenders.recommender import Candidates

_LENGTH: Final = struct.Struct(">I")


@dataclass(frozen=True)
class Part:
    """What one item shard made of a batch.

    Attributes:
        number: The batch's number, the same in all item shards of the user shard.
        item_shard: Number of the item shard.
        recommendations: For each rating or request the best of the shard's items.
        ratings: What was tested, if anything.
        scores: The shard's scores before each of `ratings`.
        times: Microseconds of learning one rating, and of making one list.
    """

    number: int
    item_shard: int
    recommendations: Sequence[Recommendation]
    ratings: Sequence[Rating] = field(default_factory=list)
    scores: Sequence[PreUpdateScores] = field(default_factory=list)
    times: tuple[float, float] = (0.0, 0.0)


def merge(parts: Sequence[Part], top_n: int) -> RecommendationBatch:
    """Returns the recommendations of a batch, given its parts by item shard."""
    by_shard = zip(*(part.recommendations for part in parts), strict=True)
    return RecommendationBatch([merge_recommendations(each, top_n) for each in by_shard])


def merge_tests(parts: Sequence[Part], top_n: int, model: str) -> EvaluationBatch:
    """Returns the evaluations of a batch, given its parts by item shard."""
    update_us, top_n_us = map(sum, zip(*(part.times for part in parts), strict=True))
    by_shard = zip(*(part.scores for part in parts), strict=True)
    return EvaluationBatch(
        [
            evaluate(rating, scores, model, top_n, update_us, top_n_us)
            for rating, scores in zip(parts[0].ratings, by_shard, strict=True)
        ]
    )


class PartCoder(Coder):
    """A JSON header, then all scores and popularities as little-endian float64, end to end."""

    def encode(self, value: Part) -> bytes:
        """Returns the part as bytes."""
        scores = [s.candidates.scores.astype("<f8") for s in value.scores]
        popularity = [s.candidates.popularity.astype("<f8") for s in value.scores]
        header = orjson.dumps(
            [
                value.number,
                value.item_shard,
                [(*one[:-1], text_headers(one.headers)) for one in value.recommendations],
                [rating[:5] for rating in value.ratings],
                [
                    [len(s.candidates.scores), s.candidates.item, s.items, s.popular_items]
                    for s in value.scores
                ],
                value.times,
            ],
            default=list,
        )
        arrays = [array.tobytes() for array in (*scores, *popularity)]
        return b"".join([_LENGTH.pack(len(header)), header, *arrays])

    def decode(self, encoded: bytes) -> Part:
        """Returns the part that `encode` wrote."""
        start = _LENGTH.size + _LENGTH.unpack_from(encoded)[0]
        number, item_shard, lists, ratings, tests, times = orjson.loads(
            encoded[_LENGTH.size : start]
        )
        sizes = [size for size, *_ in tests]
        arrays = np.split(
            np.frombuffer(encoded, dtype="<f8", offset=start), np.cumsum([*sizes, *sizes])[:-1]
        )
        return Part(
            number,
            item_shard,
            [
                Recommendation(
                    user, _scored(items), time, origin, fallback, headers_of_text(headers)
                )
                for user, items, time, origin, fallback, headers in lists
            ],
            [Rating(*fields) for fields in ratings],
            [
                PreUpdateScores(
                    Candidates(scores, popularity, item), _scored(items), _scored(popular)
                )
                for (_, item, items, popular), scores, popularity in zip(
                    tests, arrays[: len(sizes)], arrays[len(sizes) :], strict=True
                )
            ]
            if sizes
            else [],
            (times[0], times[1]),
        )

    def is_deterministic(self) -> bool:
        """Equal parts have equal bytes."""
        return True


def _scored(items: Sequence[Sequence[Any]]) -> list[ScoredItem]:
    return [ScoredItem(*item) for item in items]


registry.register_coder(Part, PartCoder)
