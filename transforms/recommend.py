"""The stateful stage: learns each positive and recommends to its user."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, NamedTuple, TypeAlias
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
from transforms.batches import (
    EvaluationBatch,
    RatingBatch,
    RatingBatchCoder,
    RecommendationBatch,
)
from transforms.evaluation import beam_metrics
from transforms.evaluation.observer import PreUpdateObserver, PreUpdateScores, evaluate
from transforms.formats.records import Rating
from transforms.learning.shard import Learned, learn
from transforms.learning.state import FirstModel, ModelCache, OpenShard, ShardState
from transforms.learning.token_cache import CacheKey
from transforms.learning.warm_up import warm_up
from transforms.model_export import ModelExport
from transforms.recommenders.hashing import Block
from transforms.recommenders.registry import RecommenderSpec
from transforms.runtime import blas_threads, garbage_collection
from transforms.runtime.worker_context import WORKER
from transforms.sharding.config import Sharding
from transforms.sharding.in_order import InOrder, OrderState, QueueCache
from transforms.sharding.key_batches import KeyBatches
from transforms.sharding.keys import ModelShard, ModelShardBatch, split, user_shard_key
from transforms.sharding.merge import EVALUATIONS, KeyedPart, MergeItemShards, labeled
from transforms.sharding.parts import Part

STEP: Final = "LearnAndRecommend"
"""Label of the stateful step. A savepoint finds its state by it: never change it."""

LISTED_AT_ONCE: Final = 256
"""More lists at once would have left the processor's cache when they are encoded."""

_TESTED_AT_ONCE: Final = 50


@dataclass
class Recommend(beam.PTransform):
    """`RatingBatch` to a recommendation for each rating, as of after learning it, and request.

    Keys by model shard, learns and recommends, and merges the top-N of item shards.

    Parallelism: a model shard is learned by one worker at a time.
    Delivery: learning is exactly once where the runner checkpoints; output is at least once.
    On failure: the bundle is repeated from the model as it was before, see `learning.state`.

    In its workers garbage collection is made rare and BLAS limited to one thread, see `runtime`.

    Attributes:
        spec: What a model shard's recommender is made from.
        sharding: How many model shards there are.
        top_n: Length of a list; with 0 it only learns, and nothing is recommended.
        export: Where and how often models are written; None for never.
        import_from: A folder that `export` wrote, which model shards without state start from.
    """

    spec: RecommenderSpec = field(default_factory=RecommenderSpec)
    sharding: Sharding = field(default_factory=Sharding)
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
        self, batches: beam.PCollection[RatingBatch]
    ) -> beam.PCollection[RecommendationBatch]:
        """Returns the recommendations.

        Raises:
            ValueError: The input is windowed; a model has one life, the global window.
        """
        return _expand(self, batches, evaluate=False)[0]


@dataclass(frozen=True)
class Evaluated:
    """The outputs of `RecommendAndEvaluate`."""

    recommendations: beam.PCollection[RecommendationBatch]
    evaluations: beam.PCollection[EvaluationBatch]


@dataclass
class RecommendAndEvaluate(Recommend):
    """Does what `Recommend` does, and tests the recommender with each positive before learning it.

    Positives are then learned one by one, which takes longer.
    """

    def expand(self, batches: beam.PCollection[RatingBatch]) -> Evaluated:
        """Returns recommendations and evaluations.

        Raises:
            ValueError: As `Recommend` does.
        """
        recommendations, tagged = _expand(self, batches, evaluate=True)
        typed = beam.Map(_same).with_output_types(EvaluationBatch)
        return Evaluated(recommendations, tagged | "TypeEvaluations" >> typed)


def _expand(settings: Recommend, batches: Any, *, evaluate: bool) -> tuple[Any, Any]:
    """Adds the step that keys, the stateful one, and where items are sharded two more."""
    if not isinstance(batches.windowing.windowfn, GlobalWindows):
        msg = "Recommend needs the global window, as a model outlives any other"
        raise ValueError(msg)
    sharding = settings.sharding
    # All items' scores go to the step that merges.
    keyed = batches | KeyBatches(sharding, _TESTED_AT_ONCE if evaluate else 0)
    do_fn = _LearnAndRecommendDoFn if settings.export is None else _LearnRecommendAndExportDoFn
    scope = uuid4().hex
    step = beam.ParDo(do_fn(settings, scope, evaluate)).with_input_types(ModelShardBatch)
    if sharding.item_shards == 1:
        typed = labeled(step.with_output_types(RecommendationBatch))
        outputs = keyed | STEP >> typed.with_outputs(EVALUATIONS, main="recommendations")
    else:
        parts = keyed | STEP >> step.with_output_types(KeyedPart)
        merge = MergeItemShards(sharding.item_shards, settings.top_n, settings.spec.model, scope)
        outputs = parts | merge
    return outputs.recommendations, outputs[EVALUATIONS]


def _same(batch: EvaluationBatch) -> EvaluationBatch:
    return batch


_Output: TypeAlias = RecommendationBatch | beam.pvalue.TaggedOutput | KeyedPart


class _State(NamedTuple):
    """A model shard's state, valid while its element is processed."""

    model: ShardState
    order: OrderState


class _Learner:
    """What both DoFns below do with a batch."""

    def __init__(self, settings: Recommend, scope: str, evaluate: bool) -> None:
        self._settings = settings
        self._scope = scope
        self._evaluate = evaluate
        self._open: dict[ModelShard, OpenShard] = {}
        self._queues: dict[ModelShard, InOrder[RatingBatch]] = {}

    def setup(self) -> None:
        garbage_collection.reduce_frequency()
        blas_threads.limit()
        warm_up(self._settings.spec)

    def start_bundle(self) -> None:
        self._open = {}
        self._queues = {}

    def finish_bundle(self) -> None:
        for shard in self._open.values():
            shard.close()
        for queue in self._queues.values():
            queue.close()
        self.start_bundle()

    def open(self, key: ModelShard, state: ShardState) -> OpenShard:
        """Returns the shard's recommender as this bundle has it so far."""
        shard = self._open.get(key)
        if shard is None:
            settings = self._settings
            scoped = CacheKey(self._scope, STEP, key[:2])
            block = Block(key[1], settings.sharding.item_shards)
            first = self._first_model(key)
            shard = OpenShard(settings.spec, state, WORKER.get(ModelCache), scoped, first, block)
            self._open[key] = shard
            counters.counter(counters.REBUILDS).inc(int(shard.rebuilt))
            if shard.imported:
                _count_known(key, len(shard.recommender.users), len(shard.recommender.items))
            if settings.export and settings.export.is_due(scoped):
                # What a bundle starts with is what state has; what it learns may yet fail.
                self.save(key, shard)
        return shard

    def save(self, key: ModelShard, shard: OpenShard) -> None:
        """Exports the shard as it is."""
        settings = self._settings
        if settings.export and shard.sequence:
            model_export.save(
                settings.export.directory,
                key[:2],
                settings.sharding.grid,
                settings.spec,
                shard.sequence,
                shard.recommender,
            )

    def _first_model(self, key: ModelShard) -> FirstModel | None:
        settings = self._settings
        if not settings.import_from:
            return None
        grid = settings.sharding.grid
        return partial(model_export.load, settings.import_from, key[:2], settings.spec, grid)

    def process_element(self, element: ModelShardBatch, state: _State) -> Iterator[_Output]:
        """Learns and recommends for each batch whose turn has come; the element's may wait."""
        key, batch = element
        if self._settings.sharding.item_shards == 1:
            yield from self.learn(key, batch, state.model)
            return
        queue = self._queues.get(key)
        if queue is None:
            queue = InOrder(
                state.order,
                WORKER.get(QueueCache),
                CacheKey(self._scope, STEP, key),
                _CODER.encode,
                _CODER.decode,
            )
            self._queues[key] = queue
        for (ready,) in queue.offer(batch.number, 0, batch, state.order):
            yield from self.learn(key, ready, state.model)

    def learn(self, key: ModelShard, batch: RatingBatch, state: ShardState) -> Iterator[_Output]:
        """Learns a batch, and gives a list for each of its ratings and requests."""
        settings = self._settings
        whole = settings.sharding.item_shards == 1
        shard = self.open(key, state)
        recommender = shard.recommender
        users, items = len(recommender.users), len(recommender.items)
        changed: list[Rating] = []
        for minibatch in split(batch, LISTED_AT_ONCE) if whole else [batch]:
            observer = PreUpdateObserver(settings.top_n) if self._evaluate else None
            done = learn(
                recommender,
                minibatch.ratings,
                settings.top_n,
                requests=minibatch.requests,
                observer=observer,
            )
            changed += done.changed
            if minibatch.ratings:
                counters.distribution(counters.UPDATE_US).update(round(done.update_us))
            if done.recommendations:
                counters.distribution(counters.TOP_N_US).update(round(done.top_n_us))
            scores = observer.scores if observer else []
            if whole:
                yield from self._whole(minibatch, done, scores)
            else:
                yield self._part(key, minibatch, done, scores)
        if changed:
            counters.counter(counters.SNAPSHOTS).inc(int(shard.record(changed, state)))
        _count_known(key, len(recommender.users) - users, len(recommender.items) - items)
        if batch.published:
            latency = (time.time() - batch.published) * 1e3
            counters.distribution(counters.LATENCY_MS).update(max(0, round(latency)))

    def _part(
        self, key: ModelShard, batch: RatingBatch, done: Learned, scores: list[PreUpdateScores]
    ) -> KeyedPart:
        tested = batch.ratings if scores else []
        times = (done.update_us, done.top_n_us)
        part = Part(batch.number, key[1], done.recommendations, tested, scores, times)
        return user_shard_key(key[0], self._settings.sharding), part

    def _whole(
        self, batch: RatingBatch, done: Learned, scores: list[PreUpdateScores]
    ) -> Iterator[RecommendationBatch | beam.pvalue.TaggedOutput]:
        if done.recommendations:
            counters.counter(counters.LISTS).inc(len(done.recommendations))
            yield RecommendationBatch(done.recommendations)
        if scores:
            model, top_n = self._settings.spec.model, self._settings.top_n
            evaluations = [
                evaluate(rating, [one], model, top_n, done.update_us, done.top_n_us)
                for rating, one in zip(batch.ratings, scores, strict=True)
            ]
            beam_metrics.count(self._scope, evaluations, top_n or 10)
            yield beam.pvalue.TaggedOutput(EVALUATIONS, EvaluationBatch(evaluations))


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
    ) -> Iterator[_Output]:
        state = _State(ShardState(meta, snapshot, log), OrderState(order, early))
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
    ) -> Iterator[_Output]:
        end.set(GlobalWindow().max_timestamp())
        state = _State(ShardState(meta, snapshot, log), OrderState(order, early))
        yield from self.process_element(element, state)

    @on_timer(END)
    def export_at_the_end(
        self,
        key: Any = beam.DoFn.KeyParam,
        meta: Any = beam.DoFn.StateParam(META),
        snapshot: Any = beam.DoFn.StateParam(SNAPSHOT),
        log: Any = beam.DoFn.StateParam(LOG),
    ) -> None:
        state = ShardState(meta, snapshot, log)
        shard = self.open(key, state)
        self.save(key, shard)
