"""What one item shard makes of a batch, as bytes, and the whole that all of them make."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import orjson
from apache_beam.coders import Coder, registry

from transforms.batches import EvaluationBatch, RecommendationBatch
from transforms.evaluation.observer import (
    PreUpdateObserver,
    PreUpdateScores,
    Standing,
    evaluate,
    evaluate_standings,
)
from transforms.formats.records import (
    Rating,
    Recommendation,
    ScoredItem,
    headers_of_text,
    text_headers,
)
from transforms.learning.shard import Learned, merge_recommendations
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
        scores: The shard's scores before each of `ratings`, unless there are standings.
        times: Microseconds of learning one rating, and of making one list.
        places: As in `Learned`.
        standings: Where each of `ratings` stands, in item shards of a `ShardedModel`.
    """

    number: int
    item_shard: int
    recommendations: Sequence[Recommendation]
    ratings: Sequence[Rating] = field(default_factory=list)
    scores: Sequence[PreUpdateScores] = field(default_factory=list)
    times: tuple[float, float] = (0.0, 0.0)
    places: Sequence[Sequence[int]] = field(default_factory=list)
    standings: Sequence[Standing] = field(default_factory=list)


def part_of(number: int, item_shard: int, done: Learned, tests: PreUpdateObserver) -> Part:
    """Returns what an item shard learned, listed and tested of a batch."""
    return Part(
        number,
        item_shard,
        done.recommendations,
        tests.ratings,
        tests.scores,
        (done.update_us, done.top_n_us),
        done.places,
        tests.standings,
    )


def merge(parts: Sequence[Part], top_n: int) -> RecommendationBatch:
    """Returns the recommendations of a batch, given its parts by item shard."""
    by_shard = zip(*(part.recommendations for part in parts), strict=True)
    if not parts[0].places:
        return RecommendationBatch([merge_recommendations(each, top_n) for each in by_shard])
    places = zip(*(part.places for part in parts), strict=True)
    pairs = zip(by_shard, places, strict=True)
    return RecommendationBatch([merge_recommendations(each, top_n, at) for each, at in pairs])


def merge_tests(parts: Sequence[Part], top_n: int, model: str) -> EvaluationBatch:
    """Returns the evaluations of a batch, given its parts by item shard."""
    update_us, top_n_us = map(sum, zip(*(part.times for part in parts), strict=True))
    ratings = parts[0].ratings
    if parts[0].standings:
        standings = zip(*(part.standings for part in parts), strict=True)
        return EvaluationBatch(
            [
                evaluate_standings(rating, each, model, top_n, update_us, top_n_us)
                for rating, each in zip(ratings, standings, strict=True)
            ]
        )
    by_shard = zip(*(part.scores for part in parts), strict=True)
    return EvaluationBatch(
        [
            evaluate(rating, scores, model, top_n, update_us, top_n_us)
            for rating, scores in zip(ratings, by_shard, strict=True)
        ]
    )


class PartCoder(Coder):
    """A JSON header, and arrays end to end, little-endian.

    They are all scores and popularities as float64, and the places of all lists as int32.
    """

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
                bool(value.places),
                [[*one[:2], list(one.items), *one[3:]] for one in value.standings],
            ],
            default=list,
        )
        arrays = [array.tobytes() for array in (*scores, *popularity)]
        places = np.array([place for each in value.places for place in each], dtype="<i4")
        return b"".join([_LENGTH.pack(len(header)), header, *arrays, places.tobytes()])

    def decode(self, encoded: bytes) -> Part:
        """Returns the part that `encode` wrote."""
        start = _LENGTH.size + _LENGTH.unpack_from(encoded)[0]
        number, item_shard, lists, ratings, tests, times, exact, standings = orjson.loads(
            encoded[_LENGTH.size : start]
        )
        sizes = [size for size, *_ in tests]
        floats = np.frombuffer(encoded, dtype="<f8", offset=start, count=2 * sum(sizes))
        arrays = np.split(floats, np.cumsum([*sizes, *sizes])[:-1])
        places = np.frombuffer(encoded, dtype="<i4", offset=start + floats.nbytes).tolist()
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
            _split(places, [len(items) for _, items, *_ in lists]) if exact else [],
            [
                Standing(ahead, candidates, _scored(items), at, popular_rank, _scored(popular))
                for ahead, candidates, items, at, popular_rank, popular in standings
            ],
        )

    def is_deterministic(self) -> bool:
        """Equal parts have equal bytes."""
        return True


def _split(places: list[int], sizes: list[int]) -> list[list[int]]:
    ends = [0, *itertools.accumulate(sizes)]
    return [places[start:end] for start, end in itertools.pairwise(ends)]


def _scored(items: Sequence[Sequence[Any]]) -> list[ScoredItem]:
    return [ScoredItem(*item) for item in items]


registry.register_coder(Part, PartCoder)
