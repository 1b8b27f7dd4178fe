"""The stateful stage: learns each positive and gives its user's list."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import uuid4

import apache_beam as beam
from apache_beam.coders import BytesCoder
from apache_beam.transforms.userstate import BagStateSpec, ReadModifyWriteStateSpec
from apache_beam.transforms.window import GlobalWindows

from transforms import counters
from transforms.elements import Cell, KeyedRatings, RecommendationBatch
from transforms.formats.records import Recommendation
from transforms.model_state import CACHE, CellKey, CellState, OpenCell
from transforms.recommenders.registry import RecommenderSpec

STEP: Final = "LearnAndRecommend"
"""Label of the stateful step. A savepoint finds its state by it: never change it."""


@dataclass
class Recommend(beam.PTransform):
    """(cell, positives) to a list for each positive, as it stands after learning it.

    Parallelism: a cell is learned by one worker at a time; there are as many as the key has.
    Delivery: learning is exactly once where the runner checkpoints; lists are at least once.
    On failure: the bundle is repeated from the model as it was before, see `model_state`.

    Attributes:
        spec: What a cell's recommender is made from.
        top_n: Length of a list; with 0 it only learns, and no list goes out.
    """

    spec: RecommenderSpec = field(default_factory=RecommenderSpec)
    top_n: int = 10

    def __post_init__(self) -> None:
        """Raises ValueError for a `top_n` below 0."""
        super().__init__()
        if self.top_n < 0:
            msg = f"top_n is {self.top_n}, expected 0 or more"
            raise ValueError(msg)

    def expand(
        self, ratings: beam.PCollection[KeyedRatings]
    ) -> beam.PCollection[RecommendationBatch]:
        """Adds the stateful step.

        Raises:
            ValueError: The input is windowed; a model has one life, the global window.
        """
        if not isinstance(ratings.windowing.windowfn, GlobalWindows):
            msg = "Recommend needs the global window, as a model outlives any other"
            raise ValueError(msg)
        step = beam.ParDo(_LearnAndRecommendDoFn(self.spec, self.top_n, uuid4().hex))
        typed = step.with_input_types(KeyedRatings).with_output_types(RecommendationBatch)
        return ratings | STEP >> typed


class _LearnAndRecommendDoFn(beam.DoFn):
    META = ReadModifyWriteStateSpec("meta", BytesCoder())
    SNAPSHOT = BagStateSpec("snapshot", BytesCoder())
    LOG = BagStateSpec("log", BytesCoder())

    def __init__(self, spec: RecommenderSpec, top_n: int, scope: str) -> None:
        self._spec = spec
        self._top_n = top_n
        self._scope = scope
        self._open: dict[Cell, OpenCell] = {}

    def start_bundle(self) -> None:
        self._open = {}

    def process(
        self,
        element: KeyedRatings,
        meta: Any = beam.DoFn.StateParam(META),
        snapshot: Any = beam.DoFn.StateParam(SNAPSHOT),
        log: Any = beam.DoFn.StateParam(LOG),
    ) -> Iterator[RecommendationBatch]:
        key, batch = element
        if not batch.ratings:
            return
        state = CellState(meta, snapshot, log)
        cell = self._open.get(key)
        if cell is None:
            cell = OpenCell(self._spec, state, CACHE, CellKey(self._scope, key))
            self._open[key] = cell
            counters.counter(counters.REBUILDS).inc(int(cell.rebuilt))
        recommender = cell.recommender
        users, items = len(recommender.users), len(recommender.items)
        clock = time.perf_counter
        learning = listing = 0.0
        recommendations = []
        for rating in batch.ratings:
            start = clock()
            recommender.update(rating)
            learned = clock()
            learning += learned - start
            if self._top_n:
                best = recommender.recommend(rating.user, self._top_n)
                listing += clock() - learned
                recommendations.append(
                    Recommendation(rating.user, best, rating.timestamp, rating.origin)
                )
        snapped = cell.record(batch.ratings, state)
        count = len(batch)
        counters.counter(counters.SNAPSHOTS).inc(int(snapped))
        counters.counter(counters.USERS).inc(len(recommender.users) - users)
        counters.counter(counters.ITEMS).inc(len(recommender.items) - items)
        counters.distribution(counters.UPDATE_US).update(round(learning / count * 1e6))
        if self._top_n:
            counters.counter(counters.LISTS).inc(len(recommendations))
            counters.distribution(counters.TOP_N_US).update(round(listing / count * 1e6))
            yield RecommendationBatch(recommendations)
        if batch.published:
            latency = (time.time() - batch.published) * 1e3
            counters.distribution(counters.LATENCY_MS).update(max(0, round(latency)))

    def finish_bundle(self) -> None:
        for cell in self._open.values():
            cell.close()
        self._open = {}
