from __future__ import annotations

import math

import apache_beam as beam
import pytest
from apache_beam.testing.test_pipeline import TestPipeline

from tests.support import counts, movielens_like
from transforms import RatingBatch, RecommendAndEvaluate, RecommenderSpec, Sharding, counters
from transforms.batches import EvaluationBatch
from transforms.evaluation.beam_metrics import in_units
from transforms.evaluation.prequential import Figures, Scores

SPEC = RecommenderSpec("mf", {"k": 4}, seed=5)


_COLLECTED: list[EvaluationBatch] = []


def _collect(batch: EvaluationBatch) -> None:
    _COLLECTED.append(batch)


@pytest.mark.parametrize("grid", [(1, 1), (1, 2)])
def test_the_metrics_of_a_run_are_the_figures_of_its_records(grid: tuple[int, int]) -> None:
    ratings = movielens_like(400)
    pipeline = TestPipeline(runner="FnApiRunner")
    created = pipeline | beam.Create([RatingBatch(ratings)], reshuffle=False)
    outputs = created | RecommendAndEvaluate(SPEC, Sharding(*grid), 5)
    _ = outputs.evaluations | beam.Map(_collect)
    _COLLECTED.clear()
    result = pipeline.run()
    result.wait_until_finish()
    figures = Figures(5)
    for batch in _COLLECTED:
        for evaluation in batch.evaluations:
            figures.add(evaluation)
    total = figures.total
    found = counts(result)
    assert found["tested"] == total.model.tests == 400
    assert found["hits"] == round(total.model.recall * 400)
    assert found["popular_hits"] == round(total.popular.recall * 400)
    gauges = {
        one.key.metric.name: one.committed.value for one in result.metrics().query()["gauges"]
    }
    expected = {}
    for prefix, outcome in (("", total.model), ("popular_", total.popular)):
        for suffix in ("", "_window"):
            for name, value in in_units(outcome).items():
                expected[f"{prefix}{name}{suffix}"] = value
    assert gauges == expected
    assert set(gauges) == set(counters.GAUGES)


def test_what_is_undefined_sets_no_gauge() -> None:
    nothing = Scores(0, *[math.nan] * 6)
    assert in_units(nothing) == {}
    assert in_units(nothing._replace(recall=0.25, mpr=50.0)) == {
        "recall_ppm": 250_000,
        "mpr_ppm": 500_000,
    }
