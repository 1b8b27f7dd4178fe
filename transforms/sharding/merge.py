"""Merges the top-N of each item shard into one recommendation per user."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import apache_beam as beam
from apache_beam.coders import BytesCoder
from apache_beam.transforms.userstate import BagStateSpec, ReadModifyWriteStateSpec

from transforms import counters
from transforms.batches import RecommendationBatch
from transforms.evaluation import beam_metrics
from transforms.learning.token_cache import CacheKey
from transforms.runtime.worker_context import WORKER
from transforms.sharding.in_order import InOrder, OrderState, QueueCache
from transforms.sharding.keys import UserShard
from transforms.sharding.parts import Part, PartCoder, merge, merge_tests

EVALUATIONS: Final = "evaluations"
"""Tag of the output with tests."""

MERGE: Final = "Merge"
"""Label of the stateful step. A savepoint finds its state by it: never change it."""

KeyedPart = tuple[UserShard, Part]


@dataclass
class MergeItemShards(beam.PTransform):
    """(user shard, `Part`) to `RecommendationBatch`, when all item shards have given their part.

    Parallelism: a user shard is merged by one worker at a time.
    Delivery: as that of the parts; in the order of the batches' numbers.
    On failure: parts that wait for others are in state.

    Attributes:
        item_shards: How many parts make a whole.
        top_n: Length of a list.
        model: The recommender's name, for the evaluations.
        scope: The job, for the cache and for the metrics of the evaluations.
    """

    item_shards: int
    top_n: int
    model: str
    scope: str = ""

    def __post_init__(self) -> None:
        """Initializes the base class."""
        super().__init__()

    def expand(self, parts: beam.PCollection[KeyedPart]) -> Any:
        """Returns the recommendations, and beside them what is tagged `EVALUATIONS`."""
        step = beam.ParDo(_MergeDoFn(self))
        typed = labeled(step.with_input_types(KeyedPart).with_output_types(RecommendationBatch))
        return parts | MERGE >> typed.with_outputs(EVALUATIONS, main="recommendations")


def labeled(step: beam.ParDo) -> beam.ParDo:
    """Returns a step with a fixed label within the one that its several outputs give it.

    Beam would take the name of the DoFn, and savepoints find state by the label.
    """
    step.label = "Do"
    return step


META = ReadModifyWriteStateSpec("meta", BytesCoder())
WAITING = BagStateSpec("waiting", BytesCoder())

_CODER: Final = PartCoder()


class _MergeDoFn(beam.DoFn):
    def __init__(self, settings: MergeItemShards) -> None:
        self._settings = settings
        self._open: dict[UserShard, InOrder[Part]] = {}

    def start_bundle(self) -> None:
        self._open = {}

    def finish_bundle(self) -> None:
        for queue in self._open.values():
            queue.close()
        self._open = {}

    def process(
        self,
        element: KeyedPart,
        meta: Any = beam.DoFn.StateParam(META),
        waiting: Any = beam.DoFn.StateParam(WAITING),
    ) -> Iterator[RecommendationBatch | beam.pvalue.TaggedOutput]:
        key, part = element
        settings = self._settings
        state = OrderState(meta, waiting)
        queue = self._open.get(key)
        if queue is None:
            cache_key = CacheKey(settings.scope, MERGE, key)
            queue = InOrder(
                state,
                WORKER.get(QueueCache),
                cache_key,
                _CODER.encode,
                _CODER.decode,
                settings.item_shards,
            )
            self._open[key] = queue
        for parts in queue.offer(part.number, part.item_shard, part, state):
            merged = merge(parts, settings.top_n)
            if len(merged):
                counters.counter(counters.LISTS).inc(len(merged))
                yield merged
            tests = merge_tests(parts, settings.top_n, settings.model)
            if len(tests):
                beam_metrics.count(settings.scope, tests.evaluations, settings.top_n or 10)
                yield beam.pvalue.TaggedOutput(EVALUATIONS, tests)
