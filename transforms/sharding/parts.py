"""What one item shard makes of a batch, as bytes, and the whole that all of them make."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import orjson
from apache_beam.coders import Coder, registry

from transforms.elements import RecommendationBatch
from transforms.formats.records import Rating, Recommendation, ScoredItem
from transforms.learning.shard import Standing, evaluate, merge_lists
from transforms.recommenders.recommender import Candidates

_LENGTH: Final = struct.Struct(">I")


@dataclass(frozen=True)
class Part:
    """What one item shard made of a batch.

    Attributes:
        number: The batch's number, the same in all item shards of the user shard.
        item_shard: Number of the item shard.
        lists: For each rating or request the best of the shard's items.
        ratings: What was tested, if anything.
        standings: How things stood in the shard before each of `ratings`.
        times: Microseconds of learning one rating, and of making one list.
    """

    number: int
    item_shard: int
    lists: Sequence[Recommendation]
    ratings: Sequence[Rating] = field(default_factory=list)
    standings: Sequence[Standing] = field(default_factory=list)
    times: tuple[float, float] = (0.0, 0.0)


def merge(parts: Sequence[Part], top_n: int, model: str) -> RecommendationBatch:
    """Returns the recommendations and evaluations of a batch, of the parts by item shard."""
    times = zip(*(part.times for part in parts), strict=True)
    update_us, top_n_us = map(sum, times)
    lists = zip(*(part.lists for part in parts), strict=True)
    standings = zip(*(part.standings for part in parts), strict=True)
    return RecommendationBatch(
        [merge_lists(each, top_n) for each in lists],
        [
            evaluate(rating, each, model, top_n, update_us, top_n_us)
            for rating, each in zip(parts[0].ratings, standings, strict=True)
        ],
    )


class PartCoder(Coder):
    """A JSON header, then all scores and popularities as little-endian float64, end to end."""

    def encode(self, value: Part) -> bytes:
        """Returns the part as bytes."""
        scores = [s.candidates.scores.astype("<f8") for s in value.standings]
        popularity = [s.candidates.popularity.astype("<f8") for s in value.standings]
        header = orjson.dumps(
            [
                value.number,
                value.item_shard,
                value.lists,
                value.ratings,
                [
                    [len(s.candidates.scores), s.candidates.item, s.items, s.popular_items]
                    for s in value.standings
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
        number, item_shard, lists, ratings, standings, times = orjson.loads(
            encoded[_LENGTH.size : start]
        )
        sizes = [size for size, *_ in standings]
        arrays = np.split(
            np.frombuffer(encoded, dtype="<f8", offset=start), np.cumsum([*sizes, *sizes])[:-1]
        )
        return Part(
            number,
            item_shard,
            [Recommendation(user, _scored(items), *rest) for user, items, *rest in lists],
            [Rating(*fields[:5]) for fields in ratings],
            [
                Standing(Candidates(scores, popularity, item), _scored(items), _scored(popular))
                for (_, item, items, popular), scores, popularity in zip(
                    standings, arrays[: len(sizes)], arrays[len(sizes) :], strict=True
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
