"""The cells of a row make parts of lists; here a row's lists are put together.

Items that are spread over several blocks are learned by as many cells, and each cell of a
user's row lists its own. A row's parts come in the order of its batches from every cell, so
the whole lists leave in that order, too.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import apache_beam as beam
import numpy as np
import orjson
from apache_beam.coders import Coder, registry
from apache_beam.transforms.userstate import BagStateSpec

from transforms import counters, evaluation_metrics
from transforms.elements import RecommendationBatch
from transforms.formats.records import Rating, Recommendation, ScoredItem
from transforms.learning.shard import Standing, evaluate, merge_lists
from transforms.recommenders.recommender import Candidates

MERGE: Final = "MergeRow"
"""Label of the step. A savepoint finds its state by it: never change it."""

_LENGTH: Final = struct.Struct(">I")


@dataclass(frozen=True)
class Part:
    """What one cell made of a batch, or of a stretch of it.

    Attributes:
        name: Of the batch, the same in all cells of the row.
        number: Of the stretch within the batch.
        column: The cell's item block.
        lists: For each rating or request the best of the cell's items.
        ratings: What was tested, if anything.
        standings: How things stood in the cell before each of `ratings`.
        times: Microseconds of learning one rating, and of making one list.
    """

    name: str
    number: int
    column: int
    lists: Sequence[Recommendation]
    ratings: Sequence[Rating] = field(default_factory=list)
    standings: Sequence[Standing] = field(default_factory=list)
    times: tuple[float, float] = (0.0, 0.0)


def merge(parts: Sequence[Part], top_n: int, model: str) -> RecommendationBatch:
    """Returns the whole lists and evaluations of all parts of one stretch."""
    ordered = sorted(parts, key=lambda part: part.column)
    times = zip(*(part.times for part in ordered), strict=True)
    update_us, top_n_us = map(sum, times)
    lists = zip(*(part.lists for part in ordered), strict=True)
    standings = zip(*(part.standings for part in ordered), strict=True)
    return RecommendationBatch(
        [merge_lists(each, top_n) for each in lists],
        [
            evaluate(rating, each, model, top_n, update_us, top_n_us)
            for rating, each in zip(ordered[0].ratings, standings, strict=True)
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
                value.name,
                value.number,
                value.column,
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
        name, number, column, lists, ratings, standings, times = orjson.loads(
            encoded[_LENGTH.size : start]
        )
        sizes = [size for size, *_ in standings]
        arrays = np.split(
            np.frombuffer(encoded, dtype="<f8", offset=start), np.cumsum([*sizes, *sizes])[:-1]
        )
        return Part(
            name,
            number,
            column,
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

KeyedPart = tuple[tuple[int, int], Part]
"""((user block, salt), what one of its cells made)."""


@dataclass
class MergeRow(beam.PTransform):
    """(row, `Part`) to `RecommendationBatch`, once all cells of the row have given theirs.

    Parallelism: a row is merged by one worker at a time.
    Delivery: as that of the parts; a row's lists in the order of its batches.
    On failure: parts that wait for others are in state.

    Attributes:
        columns: How many cells a row has.
        top_n: Length of a list.
        model: The recommender's name, for the evaluations.
        scope: The job, for the metrics of the evaluations.
    """

    columns: int
    top_n: int
    model: str
    scope: str = ""

    def __post_init__(self) -> None:
        """Lets Beam name the transform."""
        super().__init__()

    def expand(self, parts: beam.PCollection[KeyedPart]) -> beam.PCollection[RecommendationBatch]:
        """Adds the stateful step."""
        step = beam.ParDo(_MergeDoFn(self))
        typed = step.with_input_types(KeyedPart).with_output_types(RecommendationBatch)
        return parts | MERGE >> typed


WAITING = BagStateSpec("waiting", PartCoder())


class _MergeDoFn(beam.DoFn):
    def __init__(self, settings: MergeRow) -> None:
        self._columns = settings.columns
        self._top_n = settings.top_n
        self._model = settings.model
        self._scope = settings.scope

    def process(
        self, element: KeyedPart, waiting: Any = beam.DoFn.StateParam(WAITING)
    ) -> Iterator[RecommendationBatch]:
        _, part = element
        others = list(waiting.read())
        same = [one for one in others if (one.name, one.number) == (part.name, part.number)]
        if len(same) + 1 < self._columns:
            waiting.add(part)
            return
        waiting.clear()
        for one in others:
            if one not in same:
                waiting.add(one)
        merged = merge([*same, part], self._top_n, self._model)
        counters.counter(counters.LISTS).inc(len(merged.recommendations))
        evaluation_metrics.count(self._scope, merged.evaluations, self._top_n or 10)
        yield merged
