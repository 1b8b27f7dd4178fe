"""The stateful stage: learns each positive and gives its user's list."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, NamedTuple
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
from transforms.elements import RatingBatch, RatingBatchCoder, RecommendationBatch
from transforms.formats.records import Rating
from transforms.learning.shard import Learned, evaluate, learn
from transforms.learning.state import CACHE, CellKey, CellState, FirstModel, OpenCell
from transforms.recommenders.blocks import Block
from transforms.recommenders.registry import RecommenderSpec
from transforms.sharding.config import Sharding
from transforms.sharding.in_order import QUEUES, InOrder, OrderState
from transforms.sharding.key_batches import KeyBatches
from transforms.sharding.keys import ModelShard, ModelShardBatch, split, user_shard_key
from transforms.sharding.merge import KeyedPart, MergeItemShards
from transforms.sharding.parts import Part
from transforms.sharding.token_cache import CacheKey

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
    """`RatingBatch` to a list for each rating and request, a rating's as of after learning it.

    Keys by model shard, learns and recommends, and merges the lists of item shards.

    Parallelism: a model shard is learned by one worker at a time.
    Delivery: learning is exactly once where the runner checkpoints; lists are at least once.
    On failure: the bundle is repeated from the model as it was before, see `model_state`.

    Its workers' garbage collector is made to look seldom, and their BLAS to use one thread, see
    `collector` and `threads`.

    Attributes:
        spec: What a model shard's recommender is made from.
        sharding: How many model shards there are.
        top_n: Length of a list; with 0 it only learns, and no list goes out.
        export: Where and how often models are written; None for never.
        import_from: A folder that `export` wrote, which model shards without state start from.
        evaluate: Whether to test the recommender with each positive before it is learned.
    """

    spec: RecommenderSpec = field(default_factory=RecommenderSpec)
    sharding: Sharding = field(default_factory=Sharding)
    top_n: int = 10
    export: ModelExport | None = None
    import_from: str = ""
    evaluate: bool = False

    def __post_init__(self) -> None:
        """Raises ValueError for a `top_n` below 0."""
        super().__init__()
        if self.top_n < 0:
            msg = f"top_n is {self.top_n}, expected 0 or more"
            raise ValueError(msg)

    def expand(
        self, batches: beam.PCollection[RatingBatch]
    ) -> beam.PCollection[RecommendationBatch]:
        """Adds the step that keys, the stateful one, and where items are sharded two more.

        Raises:
            ValueError: The input is windowed; a model has one life, the global window.
        """
        if not isinstance(batches.windowing.windowfn, GlobalWindows):
            msg = "Recommend needs the global window, as a model outlives any other"
            raise ValueError(msg)
        sharding = self.sharding
        # All items' scores go to the step that merges.
        keyed = batches | KeyBatches(sharding, _TESTED_AT_ONCE if self.evaluate else 0)
        do_fn = _LearnAndRecommendDoFn if self.export is None else _LearnRecommendAndExportDoFn
        scope = uuid4().hex
        step = beam.ParDo(do_fn(self, scope)).with_input_types(ModelShardBatch)
        if sharding.item_shards == 1:
            return keyed | STEP >> step.with_output_types(RecommendationBatch)
        parts = keyed | STEP >> step.with_output_types(KeyedPart)
        return parts | MergeItemShards(sharding.item_shards, self.top_n, self.spec.model, scope)


class _State(NamedTuple):
    """A model shard's state, valid while its element is processed."""

    cell: CellState
    order: OrderState


class _Learner:
    """What both DoFns below do with a batch."""

    def __init__(self, settings: Recommend, scope: str) -> None:
        self._settings = settings
        self._scope = scope
        self._open: dict[ModelShard, OpenCell] = {}
        self._queues: dict[ModelShard, InOrder[RatingBatch]] = {}

    def setup(self) -> None:
        collector.calm()
        threads.use_one()

    def start_bundle(self) -> None:
        self._open = {}
        self._queues = {}

    def finish_bundle(self) -> None:
        for cell in self._open.values():
            cell.close()
        for queue in self._queues.values():
            queue.close()
        self.start_bundle()

    def open(self, key: ModelShard, state: CellState) -> OpenCell:
        """Returns the cell as this bundle has it so far."""
        cell = self._open.get(key)
        if cell is None:
            settings = self._settings
            scoped = CellKey(self._scope, key[:2])
            block = Block(key[1], settings.sharding.item_shards)
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

    def save(self, key: ModelShard, cell: OpenCell) -> None:
        """Exports the cell as it is."""
        settings = self._settings
        if settings.export and cell.sequence:
            model_export.save(
                settings.export.directory,
                key[:2],
                settings.sharding.grid,
                settings.spec,
                cell.sequence,
                cell.recommender,
            )

    def _first_model(self, key: ModelShard) -> FirstModel | None:
        settings = self._settings
        if not settings.import_from:
            return None
        grid = settings.sharding.grid
        return partial(model_export.load, settings.import_from, key[:2], settings.spec, grid)

    def process_element(
        self, element: ModelShardBatch, state: _State
    ) -> Iterator[RecommendationBatch | KeyedPart]:
        """Learns and recommends for each batch whose turn has come; the element's may wait."""
        key, batch = element
        if self._settings.sharding.item_shards == 1:
            yield from self.learn(key, batch, state.cell)
            return
        queue = self._queues.get(key)
        if queue is None:
            queue = InOrder(
                state.order, QUEUES, CacheKey(self._scope, STEP, key), _CODER.encode, _CODER.decode
            )
            self._queues[key] = queue
        for (ready,) in queue.offer(batch.number, 0, batch, state.order):
            yield from self.learn(key, ready, state.cell)

    def learn(
        self, key: ModelShard, batch: RatingBatch, state: CellState
    ) -> Iterator[RecommendationBatch | KeyedPart]:
        """Learns a batch, and gives a list for each of its ratings and requests."""
        settings = self._settings
        whole = settings.sharding.item_shards == 1
        cell = self.open(key, state)
        recommender = cell.recommender
        users, items = len(recommender.users), len(recommender.items)
        changed: list[Rating] = []
        for minibatch in split(batch, LISTED_AT_ONCE) if whole else [batch]:
            done = learn(recommender, minibatch, settings.top_n, test=settings.evaluate)
            changed += done.changed
            if minibatch.ratings:
                counters.distribution(counters.UPDATE_US).update(round(done.update_us))
            if done.lists:
                counters.distribution(counters.TOP_N_US).update(round(done.top_n_us))
            yield from self._whole(minibatch, done) if whole else self._part(key, minibatch, done)
        if changed:
            counters.counter(counters.SNAPSHOTS).inc(int(cell.record(changed, state)))
        _count_known(key, len(recommender.users) - users, len(recommender.items) - items)
        if batch.published:
            latency = (time.time() - batch.published) * 1e3
            counters.distribution(counters.LATENCY_MS).update(max(0, round(latency)))

    def _part(self, key: ModelShard, batch: RatingBatch, done: Learned) -> Iterator[KeyedPart]:
        tested = batch.ratings if self._settings.evaluate else []
        times = (done.update_us, done.top_n_us)
        part = Part(batch.number, key[1], done.lists, tested, done.standings, times)
        yield user_shard_key(key[0], self._settings.sharding), part

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


def _count_known(key: ModelShard, users: int, items: int) -> None:
    # All item shards of a user shard have the same users.
    counters.counter(counters.USERS).inc(users if key[1] == 0 else 0)
    counters.counter(counters.ITEMS).inc(items)


META = ReadModifyWriteStateSpec("meta", BytesCoder())
SNAPSHOT = BagStateSpec("snapshot", BytesCoder())
LOG = BagStateSpec("log", BytesCoder())
# Where items are sharded; elsewhere they are never read or written.
ORDER = ReadModifyWriteStateSpec("order", BytesCoder())
EARLY = BagStateSpec("early", BytesCoder())

_CODER: Final = RatingBatchCoder()


class _LearnAndRecommendDoFn(_Learner, beam.DoFn):
    def process(
        self,
        element: ModelShardBatch,
        meta: Any = beam.DoFn.StateParam(META),
        snapshot: Any = beam.DoFn.StateParam(SNAPSHOT),
        log: Any = beam.DoFn.StateParam(LOG),
        order: Any = beam.DoFn.StateParam(ORDER),
        early: Any = beam.DoFn.StateParam(EARLY),
    ) -> Iterator[RecommendationBatch | KeyedPart]:
        state = _State(CellState(meta, snapshot, log), OrderState(order, early))
        yield from self.process_element(element, state)


class _LearnRecommendAndExportDoFn(_Learner, beam.DoFn):
    # Fires when the input has ended, if it ever does.
    END = TimerSpec("end", TimeDomain.WATERMARK)

    def process(
        self,
        element: ModelShardBatch,
        meta: Any = beam.DoFn.StateParam(META),
        snapshot: Any = beam.DoFn.StateParam(SNAPSHOT),
        log: Any = beam.DoFn.StateParam(LOG),
        order: Any = beam.DoFn.StateParam(ORDER),
        early: Any = beam.DoFn.StateParam(EARLY),
        end: Any = beam.DoFn.TimerParam(END),
    ) -> Iterator[RecommendationBatch | KeyedPart]:
        end.set(GlobalWindow().max_timestamp())
        state = _State(CellState(meta, snapshot, log), OrderState(order, early))
        yield from self.process_element(element, state)

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
