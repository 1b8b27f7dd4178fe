"""What was tested, as Beam metrics: counts that are exact, and figures as a worker saw them."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence

from transforms import counters
from transforms.evaluation.prequential import Figures, Scores
from transforms.formats.records import Evaluation
from transforms.runtime.worker_context import WORKER


class _Jobs:
    """The figures of each job of this process."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.figures: dict[str, Figures] = {}


def count(scope: str, evaluations: Sequence[Evaluation], top_n: int) -> None:
    """Counts tests and hits, and sets the gauges of this process.

    Args:
        scope: The job, as a process may run several.
        evaluations: In the order of learning.
        top_n: N of recall and NDCG, at least 1.
    """
    if not evaluations:
        return
    counters.counter(counters.TESTED).inc(len(evaluations))
    counters.counter(counters.HITS).inc(_hits([one.rank for one in evaluations], top_n))
    popular = [one.popular_rank for one in evaluations]
    counters.counter(counters.POPULAR_HITS).inc(_hits(popular, top_n))
    jobs = WORKER.get(_Jobs)
    with jobs.lock:
        figures = jobs.figures.setdefault(scope, Figures(top_n))
        for evaluation in evaluations:
            figures.add(evaluation)
        total, recent = figures.total, figures.recent
    for prefix, suffix, scores in (
        ("", "", total.model),
        ("popular_", "", total.popular),
        ("", "_window", recent.model),
        ("popular_", "_window", recent.popular),
    ):
        for name, value in in_units(scores).items():
            counters.gauge(f"{prefix}{name}{suffix}").set(value)


def in_units(scores: Scores) -> dict[str, int]:
    """Returns scores as whole numbers, as gauges hold no others; what is undefined is left out."""
    values = {
        "recall_ppm": scores.recall * 1e6,
        "ndcg_ppm": scores.ndcg * 1e6,
        "mrr_ppm": scores.mrr * 1e6,
        "mpr_ppm": scores.mpr * 1e4,
        "coverage_ppm": scores.coverage * 1e6,
        "novelty_millibits": scores.novelty * 1e3,
    }
    return {name: round(value) for name, value in values.items() if math.isfinite(value)}


def _hits(ranks: Sequence[int | None], top_n: int) -> int:
    return sum(rank is not None and rank <= top_n for rank in ranks)
