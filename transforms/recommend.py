"""The stateful stage: learns each positive and recommends to its user."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import uuid4

import apache_beam as beam
from apache_beam.transforms.window import GlobalWindows

from transforms.batches import EvaluationBatch, RatingBatch, RecommendationBatch
from transforms.learn_and_recommend import LearnAndRecommendDoFn, LearnRecommendAndExportDoFn
from transforms.model_export import ModelExport
from transforms.recommenders.registry import EXACTLY_SHARDED, UNSHARDED, RecommenderSpec
from transforms.shard_learner import STEP
from transforms.sharding.config import Sharding
from transforms.sharding.key_batches import KeyBatches
from transforms.sharding.keys import ModelShardBatch
from transforms.sharding.merge import EVALUATIONS, KeyedPart, MergeItemShards, labeled

_LOG: Final = logging.getLogger(__name__)

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
        resume: Whether ratings that the imported model has already learned, judged by their
            origins, are skipped.
    """

    spec: RecommenderSpec = field(default_factory=RecommenderSpec)
    sharding: Sharding = field(default_factory=Sharding)
    top_n: int = 10
    export: ModelExport | None = None
    import_from: str = ""
    resume: bool = False

    def __post_init__(self) -> None:
        """Raises ValueError for a `top_n` below 0, or item shards of a model that has none.

        Item shards of a model that they make worse are warned of.
        """
        super().__init__()
        if self.top_n < 0:
            msg = f"top_n is {self.top_n}, expected 0 or more"
            raise ValueError(msg)
        if self.spec.model in UNSHARDED and self.sharding.item_shards > 1:
            msg = f"item_shards is {self.sharding.item_shards}, expected 1 with {self.spec.model}"
            raise ValueError(msg)
        if self.sharding.item_shards > 1 and self.spec.model not in EXACTLY_SHARDED:
            _LOG.warning(
                "%d item shards of %s learn apart and recommend worse than one, see docs/models.md;"
                " those of %s recommend the same as one",
                self.sharding.item_shards,
                self.spec.model,
                ", ".join(sorted(EXACTLY_SHARDED)),
            )

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
    """Returns recommendations and tagged evaluations."""
    if not isinstance(batches.windowing.windowfn, GlobalWindows):
        msg = "Recommend needs the global window, as a model outlives any other"
        raise ValueError(msg)
    sharding = settings.sharding
    # Where shards learn apart, all items' scores go to the step that merges.
    sends_scores = evaluate and settings.spec.model not in EXACTLY_SHARDED
    keyed = batches | KeyBatches(sharding, _TESTED_AT_ONCE if sends_scores else 0)
    do_fn = LearnAndRecommendDoFn if settings.export is None else LearnRecommendAndExportDoFn
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
