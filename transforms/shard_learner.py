"""What a worker does with a model shard: learn and recommend, evaluate, export, and count."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, Final, NamedTuple, Protocol, TypeAlias

import apache_beam as beam

from transforms import counters, model_export
from transforms.batches import (
    EvaluationBatch,
    RatingBatch,
    RatingBatchCoder,
    RecommendationBatch,
)
from transforms.evaluation import beam_metrics
from transforms.evaluation.observer import PreUpdateObserver, PreUpdateScores, evaluate
from transforms.exporter import ExportedModel, Exporter
from transforms.formats.rating_columns import joined_ratings
from transforms.formats.records import Rating
from transforms.learning import positions
from transforms.learning.shard import Learned, learn
from transforms.learning.state import ModelCache, OpenShard, ShardModel, ShardState
from transforms.learning.token_cache import CacheKey
from transforms.learning.warm_up import warm_up
from transforms.model_export import ModelExport
from transforms.recommenders.hashing import Block
from transforms.recommenders.recommender import Recommender
from transforms.recommenders.registry import RecommenderSpec
from transforms.runtime import blas_threads, garbage_collection, state_weights
from transforms.runtime.worker_context import WORKER
from transforms.sharding.config import Sharding
from transforms.sharding.in_order import InOrder, OrderState, QueueCache
from transforms.sharding.keys import ModelShard, ModelShardBatch, keep, split, user_shard_key
from transforms.sharding.merge import EVALUATIONS, KeyedPart
from transforms.sharding.parts import part_of
from transforms.sharding.stored import SHARDING_KEY, require_same_sharding

STEP: Final = "LearnAndRecommend"
"""Label of the stateful step. A savepoint finds its state by it: never change it."""

LISTED_AT_ONCE: Final = 256
"""More recommendations at once leave the processor's cache before they are encoded."""

_CODER: Final = RatingBatchCoder()


class LearningSettings(Protocol):
    """The settings of `Recommend` that its workers need."""

    spec: RecommenderSpec
    sharding: Sharding
    top_n: int
    export: ModelExport | None
    import_from: str
    resume: bool


LearnerOutput: TypeAlias = RecommendationBatch | beam.pvalue.TaggedOutput | KeyedPart


class LearnerState(NamedTuple):
    """A model shard's state, valid while its element is processed."""

    model: ShardState
    order: OrderState


class ShardLearner:
    """Learns and recommends in one model shard at a time; the DoFns add where state comes from.

    Args:
        settings: Those of `Recommend`.
        scope: Unique to this step in the process; part of the names of its metrics and models.
        evaluate: Whether to test each positive before it is learned.
    """

    def __init__(self, settings: LearningSettings, scope: str, evaluate: bool) -> None:
        self._settings = settings
        self._scope = scope
        self._evaluate = evaluate
        self._open: dict[ModelShard, OpenShard] = {}
        self._queues: dict[ModelShard, InOrder[RatingBatch]] = {}

    def setup(self) -> None:
        """Prepares the worker's process: memory, threads, and the model's compiled kernels."""
        garbage_collection.reduce_frequency()
        blas_threads.limit()
        state_weights.weigh_bytes()
        warm_up(self._settings.spec)

    def start_bundle(self) -> None:
        """Forgets what an earlier bundle had open, as it may have failed."""
        self._open = {}
        self._queues = {}

    def finish_bundle(self) -> None:
        """Leaves models and queues to the next bundle, and models to the exporter."""
        for key, shard in self._open.items():
            # Before the model is in the cache, so that the exporter never pairs it with an older
            # sequence.
            if shard.has_learned and (exported := self._exported(key, shard)):
                WORKER.get(Exporter).end(self._cache_key(key), exported)
            shard.close()
        for queue in self._queues.values():
            queue.close()
        self.start_bundle()

    def open(self, key: ModelShard, state: ShardState) -> OpenShard:
        """Returns the shard's recommender as this bundle has it so far."""
        shard = self._open.get(key)
        if shard is None:
            settings = self._settings
            scoped = self._cache_key(key)
            block = Block(key[1], settings.sharding.item_shards, self._evaluate)
            first = partial(self._first_model, key) if settings.import_from else None
            shard = OpenShard(settings.spec, state, WORKER.get(ModelCache), scoped, first, block)
            self._open[key] = shard
            counters.counter(counters.REBUILDS).inc(int(shard.rebuilt))
            if shard.imported:
                _count_known(key, shard.recommender)
            if exported := self._exported(key, shard):
                WORKER.get(Exporter).begin(scoped, exported)
        return shard

    def _cache_key(self, key: ModelShard) -> CacheKey:
        return CacheKey(self._scope, STEP, key[:3])

    def shard_state(
        self, meta: Any, snapshot: Any, other_snapshot: Any, log: Any, positions: Any
    ) -> ShardState:
        """Returns a model shard's state, given what Beam passes."""
        used = self._settings.export is not None or self._settings.resume
        bags = (snapshot, other_snapshot)
        return ShardState(meta, bags, log, positions if used else None)

    def finish(self, key: ModelShard, state: ShardState) -> None:
        """Exports a shard whose input has ended."""
        if exported := self._exported(key, self.open(key, state)):
            WORKER.get(Exporter).finish(self._cache_key(key), exported)

    def _exported(self, key: ModelShard, shard: OpenShard) -> ExportedModel | None:
        """Returns the shard as it is, to be exported; None if it is not to be."""
        settings = self._settings
        if settings.export is None or not is_exported(key):
            return None
        model = ShardModel(shard.recommender, shard.sequence, shard.positions)
        grid = settings.sharding.grid
        return ExportedModel(settings.export, key[:2], grid, settings.spec, model)

    def _first_model(self, key: ModelShard) -> ShardModel:
        """Returns what a model shard without state starts from."""
        settings = self._settings
        found = model_export.load(
            settings.import_from,
            key[:2],
            settings.spec,
            settings.sharding.grid,
            tested=self._evaluate,
        )
        return found if settings.resume else found._replace(positions={})

    def process_element(
        self, element: ModelShardBatch, state: LearnerState
    ) -> Iterator[LearnerOutput]:
        """Learns and recommends for each batch whose turn has come; the element's may wait."""
        key, batch = element
        if key == SHARDING_KEY:
            require_same_sharding(state.model.meta, self._settings.sharding)
            return
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

    def learn(
        self, key: ModelShard, batch: RatingBatch, state: ShardState
    ) -> Iterator[LearnerOutput]:
        """Learns a batch, and gives a list for each of its listed ratings and its requests."""
        settings = self._settings
        whole = settings.sharding.item_shards == 1
        shard = self.open(key, state)
        if new := positions.are_new(shard.imported_positions, batch.ratings):
            # Counted once, not by each item shard and replica.
            before = new.count(False) if key[1] == key[2] == 0 else 0
            counters.counter(counters.LEARNED_BEFORE).inc(before)
            batch = keep(batch, new)
        recommender = shard.recommender
        users, items = len(recommender.users), len(recommender.items)
        changed: list[Sequence[Rating]] = []
        at_once = LISTED_AT_ONCE * settings.sharding.replicas
        for minibatch in split(batch, at_once) if whole and settings.top_n else [batch]:
            observer = PreUpdateObserver(settings.top_n) if self._evaluate else None
            done = learn(
                recommender,
                minibatch.ratings,
                settings.top_n,
                listed=minibatch.listed,
                requests=minibatch.requests,
                observer=observer,
            )
            changed.append(done.changed)
            if minibatch.ratings:
                counters.distribution(counters.UPDATE_US).update(round(done.update_us))
            if done.recommendations:
                counters.distribution(counters.TOP_N_US).update(round(done.top_n_us))
            tests = observer or PreUpdateObserver(settings.top_n)
            if whole:
                yield from self._whole(done, tests.ratings, tests.scores)
            else:
                part = part_of(minibatch.number, key[1], done, tests)
                yield user_shard_key(key[0], settings.sharding), part
        if learned := joined_ratings(changed):
            counters.counter(counters.SNAPSHOTS).inc(int(shard.record(learned, state)))
        shard.advance(batch.ratings, state)
        _count_known(key, recommender, users, items)
        if batch.published:
            latency = (time.time() - batch.published) * 1e3
            counters.distribution(counters.LATENCY_MS).update(max(0, round(latency)))

    def _whole(
        self, done: Learned, tested: list[Rating], scores: list[PreUpdateScores]
    ) -> Iterator[RecommendationBatch | beam.pvalue.TaggedOutput]:
        if done.recommendations:
            counters.counter(counters.LISTS).inc(len(done.recommendations))
            yield RecommendationBatch(done.recommendations)
        if scores:
            model, top_n = self._settings.spec.model, self._settings.top_n
            evaluations = [
                evaluate(rating, [one], model, top_n, done.update_us, done.top_n_us)
                for rating, one in zip(tested, scores, strict=True)
            ]
            beam_metrics.count(self._scope, evaluations, top_n or 10)
            yield beam.pvalue.TaggedOutput(EVALUATIONS, EvaluationBatch(evaluations))


def is_exported(key: ModelShard) -> bool:
    """Whether a model shard is exported: of several replicas one is."""
    return key[2] == 0 and key != SHARDING_KEY


def _count_known(key: ModelShard, recommender: Recommender, users: int = 0, items: int = 0) -> None:
    """Counts the users and items beyond those that were counted, each once in all shards."""
    # All replicas and item shards of a user shard have the same users, and exact ones the same
    # items.
    _, item_shard, replica, _ = key
    new_users, new_items = len(recommender.users) - users, len(recommender.items) - items
    counters.counter(counters.USERS).inc(new_users if item_shard == replica == 0 else 0)
    counted = replica == 0 and (item_shard == 0 or not recommender.is_exact_shard)
    counters.counter(counters.ITEMS).inc(new_items if counted else 0)
