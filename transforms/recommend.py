"""The stateful stage: learns each positive and gives its user's list."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final
from uuid import uuid4

import apache_beam as beam
from apache_beam.coders import BytesCoder
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import (
    BagStateSpec,
    ReadModifyWriteStateSpec,
    TimerSpec,
    on_timer,
)
from apache_beam.transforms.window import GlobalWindow, GlobalWindows

from transforms import counters, model_export
from transforms.elements import Cell, KeyedRatings, RecommendationBatch
from transforms.formats.records import Recommendation
from transforms.model_state import CACHE, CellKey, CellState, FirstModel, OpenCell
from transforms.recommenders.registry import RecommenderSpec

STEP: Final = "LearnAndRecommend"
"""Label of the stateful step. A savepoint finds its state by it: never change it."""


@dataclass(frozen=True)
class ModelExport:
    """Where and how often models are written, for `model_export.load` and the like.

    Attributes:
        directory: A folder on any of Beam's filesystems.
        grid: How many blocks of users and of items there are.
        seconds: A cell is written when it learns and was last written so long ago, and when
            the input has ended.
    """

    directory: str
    grid: tuple[int, int] = (1, 1)
    seconds: float = 60.0

    def is_due(self, key: CellKey) -> bool:
        """Whether the cell's last export by this process is long ago; counts as one if so."""
        now = time.monotonic()
        if now - _LAST_EXPORTS.setdefault(key, now) < self.seconds:
            return False
        _LAST_EXPORTS[key] = now
        return True


_LAST_EXPORTS: dict[CellKey, float] = {}


@dataclass
class Recommend(beam.PTransform):
    """(cell, positives) to a list for each positive, as it stands after learning it.

    Parallelism: a cell is learned by one worker at a time; there are as many as the key has.
    Delivery: learning is exactly once where the runner checkpoints; lists are at least once.
    On failure: the bundle is repeated from the model as it was before, see `model_state`.

    Attributes:
        spec: What a cell's recommender is made from.
        top_n: Length of a list; with 0 it only learns, and no list goes out.
        export: Where and how often models are written; None for never.
        import_from: A folder that `export` wrote, which cells without state start from.
    """

    spec: RecommenderSpec = field(default_factory=RecommenderSpec)
    top_n: int = 10
    export: ModelExport | None = None
    import_from: str = ""

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
        do_fn = _LearnAndRecommendDoFn if self.export is None else _LearnRecommendAndExportDoFn
        step = beam.ParDo(do_fn(self, uuid4().hex))
        typed = step.with_input_types(KeyedRatings).with_output_types(RecommendationBatch)
        return ratings | STEP >> typed


class _Learner:
    """What both DoFns below do with a batch."""

    def __init__(self, settings: Recommend, scope: str) -> None:
        self._spec = settings.spec
        self._top_n = settings.top_n
        self._import_from = settings.import_from
        self._export = settings.export
        self._scope = scope
        self._open: dict[Cell, OpenCell] = {}

    def start_bundle(self) -> None:
        self._open = {}

    def finish_bundle(self) -> None:
        for cell in self._open.values():
            cell.close()
        self._open = {}

    def open(self, key: Cell, state: CellState) -> OpenCell:
        """Returns the cell as this bundle has it so far."""
        cell = self._open.get(key)
        if cell is None:
            scoped = CellKey(self._scope, key)
            cell = OpenCell(self._spec, state, CACHE, scoped, self._first_model(key))
            self._open[key] = cell
            counters.counter(counters.REBUILDS).inc(int(cell.rebuilt))
            if cell.imported:
                counters.counter(counters.USERS).inc(len(cell.recommender.users))
                counters.counter(counters.ITEMS).inc(len(cell.recommender.items))
            if self._export and self._export.is_due(scoped):
                # What a bundle starts with is what state has; what it learns may yet fail.
                self.save(key, cell)
        return cell

    def save(self, key: Cell, cell: OpenCell) -> None:
        """Exports the cell as it is."""
        if self._export and cell.sequence:
            directory, grid = self._export.directory, self._export.grid
            model_export.save(directory, key, grid, self._spec, cell.sequence, cell.recommender)

    def _first_model(self, key: Cell) -> FirstModel | None:
        if not self._import_from:
            return None
        return partial(model_export.load, self._import_from, key, self._spec)

    def learn(self, element: KeyedRatings, state: CellState) -> Iterator[RecommendationBatch]:
        """Learns a batch, and gives a list for each of its ratings."""
        key, batch = element
        if not batch.ratings:
            return
        cell = self.open(key, state)
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


META = ReadModifyWriteStateSpec("meta", BytesCoder())
SNAPSHOT = BagStateSpec("snapshot", BytesCoder())
LOG = BagStateSpec("log", BytesCoder())


class _LearnAndRecommendDoFn(_Learner, beam.DoFn):
    def process(
        self,
        element: KeyedRatings,
        meta: Any = beam.DoFn.StateParam(META),
        snapshot: Any = beam.DoFn.StateParam(SNAPSHOT),
        log: Any = beam.DoFn.StateParam(LOG),
    ) -> Iterator[RecommendationBatch]:
        yield from self.learn(element, CellState(meta, snapshot, log))


class _LearnRecommendAndExportDoFn(_Learner, beam.DoFn):
    # Fires when the input has ended, if it ever does.
    END = TimerSpec("end", TimeDomain.WATERMARK)

    def process(
        self,
        element: KeyedRatings,
        meta: Any = beam.DoFn.StateParam(META),
        snapshot: Any = beam.DoFn.StateParam(SNAPSHOT),
        log: Any = beam.DoFn.StateParam(LOG),
        end: Any = beam.DoFn.TimerParam(END),
    ) -> Iterator[RecommendationBatch]:
        end.set(GlobalWindow().max_timestamp())
        yield from self.learn(element, CellState(meta, snapshot, log))

    @on_timer(END)
    def export_at_the_end(
        self,
        key: Any = beam.DoFn.KeyParam,
        meta: Any = beam.DoFn.StateParam(META),
        snapshot: Any = beam.DoFn.StateParam(SNAPSHOT),
        log: Any = beam.DoFn.StateParam(LOG),
    ) -> None:
        state = CellState(meta, snapshot, log)
        cell = self.open(key, state)
        self.save(key, cell)
        cell.touch(state)
