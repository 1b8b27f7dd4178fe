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

from transforms import collector, counters, evaluation_metrics, model_export, threads
from transforms.elements import Cell, KeyedRatings, RatingBatch, RecommendationBatch
from transforms.formats.records import Rating
from transforms.key_groups import KEY_GROUPS, salt
from transforms.learning.shard import Learned, evaluate, learn
from transforms.learning.state import CACHE, CellKey, CellState, FirstModel, OpenCell
from transforms.merge import KeyedPart, MergeRow, Part
from transforms.recommenders.blocks import Block
from transforms.recommenders.registry import RecommenderSpec

STEP: Final = "LearnAndRecommend"
"""Label of the stateful step. A savepoint finds its state by it: never change it."""

LISTED_AT_ONCE: Final = 256
"""More lists at once would have left the processor's cache when they are encoded."""

_TESTED_AT_ONCE: Final = 50


@dataclass(frozen=True)
class ModelExport:
    """Where and how often models are written, for `model_export.load` and the like.

    Attributes:
        directory: A folder on any of Beam's filesystems.
        seconds: A cell is written when it learns and was last written so long ago, and when
            the input has ended.
    """

    directory: str
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
    """(cell, ratings and requests) to a list for each, a rating's as it stands after learning it.

    Parallelism: a cell is learned by one worker at a time; there are as many as the key has.
    Delivery: learning is exactly once where the runner checkpoints; lists are at least once.
    On failure: the bundle is repeated from the model as it was before, see `model_state`.

    Its workers' garbage collector is made to look seldom, and their BLAS to use one thread, see
    `collector` and `threads`.

    Attributes:
        spec: What a cell's recommender is made from.
        top_n: Length of a list; with 0 it only learns, and no list goes out.
        export: Where and how often models are written; None for never.
        import_from: A folder that `export` wrote, which cells without state start from.
        grid: How many blocks of users and of items there are, as in `KeyByCell`.
        evaluate: Whether to test the recommender with each positive before it is learned.
        key_groups: Flink's maximal parallelism, as in `KeyByCell`.
    """

    spec: RecommenderSpec = field(default_factory=RecommenderSpec)
    top_n: int = 10
    export: ModelExport | None = None
    import_from: str = ""
    grid: tuple[int, int] = (1, 1)
    evaluate: bool = False
    key_groups: int = KEY_GROUPS

    def __post_init__(self) -> None:
        """Raises ValueError for a `top_n` below 0."""
        super().__init__()
        if self.top_n < 0:
            msg = f"top_n is {self.top_n}, expected 0 or more"
            raise ValueError(msg)

    def expand(
        self, ratings: beam.PCollection[KeyedRatings]
    ) -> beam.PCollection[RecommendationBatch]:
        """Adds the stateful step, and where items are in several blocks the one that merges.

        Raises:
            ValueError: The input is windowed; a model has one life, the global window.
        """
        if not isinstance(ratings.windowing.windowfn, GlobalWindows):
            msg = "Recommend needs the global window, as a model outlives any other"
            raise ValueError(msg)
        columns = self.grid[1]
        do_fn = _LearnAndRecommendDoFn if self.export is None else _LearnRecommendAndExportDoFn
        scope = uuid4().hex
        step = beam.ParDo(do_fn(self, scope)).with_input_types(KeyedRatings)
        if columns == 1:
            return ratings | STEP >> step.with_output_types(RecommendationBatch)
        parts = ratings | STEP >> step.with_output_types(KeyedPart)
        return parts | "Merge" >> MergeRow(columns, self.top_n, self.spec.model, scope)


class _Learner:
    """What both DoFns below do with a batch."""

    def __init__(self, settings: Recommend, scope: str) -> None:
        self._settings = settings
        self._scope = scope
        self._open: dict[Cell, OpenCell] = {}

    def setup(self) -> None:
        collector.calm()
        threads.use_one()

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
            settings = self._settings
            scoped = CellKey(self._scope, key[:2])
            block = Block(key[1], settings.grid[1])
            first = self._first_model(key)
            cell = OpenCell(settings.spec, state, CACHE, scoped, first, block)
            self._open[key] = cell
            counters.counter(counters.REBUILDS).inc(int(cell.rebuilt))
            if cell.imported:
                _count_known(key, len(cell.recommender.users), len(cell.recommender.items))
            if settings.export and settings.export.is_due(scoped):
                # What a bundle starts with is what state has; what it learns may yet fail.
                self.save(key, cell)
        return cell

    def save(self, key: Cell, cell: OpenCell) -> None:
        """Exports the cell as it is."""
        settings = self._settings
        if settings.export and cell.sequence:
            model_export.save(
                settings.export.directory,
                key[:2],
                settings.grid,
                settings.spec,
                cell.sequence,
                cell.recommender,
            )

    def _first_model(self, key: Cell) -> FirstModel | None:
        settings = self._settings
        if not settings.import_from:
            return None
        return partial(
            model_export.load, settings.import_from, key[:2], settings.spec, settings.grid
        )

    def learn(
        self, element: KeyedRatings, state: CellState
    ) -> Iterator[RecommendationBatch | KeyedPart]:
        """Learns a batch, and gives a list for each of its ratings and requests."""
        key, batch = element
        if not batch.ratings and not batch.requests:
            return
        settings = self._settings
        rows, columns = settings.grid
        if bool(batch.name) != (columns > 1) or key[1] >= columns:
            msg = f"cell {key[:2]} does not fit a grid with {columns} item block(s)"
            raise ValueError(msg)
        cell = self.open(key, state)
        recommender = cell.recommender
        users, items = len(recommender.users), len(recommender.items)
        top_n, test = settings.top_n, settings.evaluate
        changed: list[Rating] = []
        for number, stretch in enumerate(self._stretches(batch)):
            done = learn(recommender, stretch, top_n, test=test)
            changed += done.changed
            if stretch.ratings:
                counters.distribution(counters.UPDATE_US).update(round(done.update_us))
            if done.lists:
                counters.distribution(counters.TOP_N_US).update(round(done.top_n_us))
            if columns == 1:
                yield from self._whole(stretch, done)
            else:
                times = (done.update_us, done.top_n_us)
                tested = stretch.ratings if test else []
                row = (key[0], salt(key[:1], key[0], rows, settings.key_groups))
                yield (
                    row,
                    Part(batch.name, number, key[1], done.lists, tested, done.standings, times),
                )
        if changed:
            counters.counter(counters.SNAPSHOTS).inc(int(cell.record(changed, state)))
        _count_known(key, len(recommender.users) - users, len(recommender.items) - items)
        if batch.published:
            latency = (time.time() - batch.published) * 1e3
            counters.distribution(counters.LATENCY_MS).update(max(0, round(latency)))

    def _stretches(self, batch: RatingBatch) -> list[RatingBatch]:
        at_once = LISTED_AT_ONCE
        if self._settings.grid[1] > 1:
            # The scores of all items go to the step that merges.
            whole = max(1, len(batch.ratings))
            at_once = _TESTED_AT_ONCE if self._settings.evaluate else whole
        stretches = [
            RatingBatch(batch.ratings[at : at + at_once], batch.published)
            for at in range(0, len(batch.ratings), at_once)
        ]
        if batch.requests:
            stretches.append(RatingBatch([], batch.published, batch.requests))
        return stretches

    def _whole(self, batch: RatingBatch, done: Learned) -> Iterator[RecommendationBatch]:
        model, top_n = self._settings.spec.model, self._settings.top_n
        tests = zip(batch.ratings, done.standings, strict=True) if done.standings else ()
        evaluations = [
            evaluate(rating, [one], model, top_n, done.update_us, done.top_n_us)
            for rating, one in tests
        ]
        evaluation_metrics.count(self._scope, evaluations, top_n or 10)
        if done.lists or evaluations:
            counters.counter(counters.LISTS).inc(len(done.lists))
            yield RecommendationBatch(done.lists, evaluations)


def _count_known(cell: Cell, users: int, items: int) -> None:
    # All cells of a row have the same users.
    counters.counter(counters.USERS).inc(users if cell[1] == 0 else 0)
    counters.counter(counters.ITEMS).inc(items)


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
    ) -> Iterator[RecommendationBatch | KeyedPart]:
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
    ) -> Iterator[RecommendationBatch | KeyedPart]:
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
