"""The tables in Markdown."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality.history import NEW_ITEM, NEW_USER, History
from benchmarks.quality.outcomes import Outcome, compare, intervals

_WORDS = {1: "better", 0: "no difference", -1: "worse"}


def quality_head(top_n: int, first: str) -> str:
    """Returns the head of the table of quality."""
    return _head(
        "model",
        f"recall@{top_n}",
        f"MRR@{top_n}",
        f"NDCG@{top_n}",
        "MRR",
        "MPR",
        "coverage",
        f"recall less that of `{first}`",
        "McNemar",
    )


def quality_row(outcome: Outcome, first: Outcome, before: History) -> str:
    """Returns a model's row of the table of quality.

    Args:
        outcome: The model's.
        first: What it is compared with.
        before: What was known before each of the stream's tests.
    """
    values = np.stack([outcome.hits, outcome.reciprocals, outcome.gains], axis=1)
    ends = intervals(values, before.users[outcome.tests])
    scores = outcome.scores
    means = (scores.recall, float(outcome.reciprocals.mean()), scores.ndcg)
    cells = [_with_interval(mean, *ends[:, column].tolist()) for column, mean in enumerate(means)]
    if outcome.lists_only:
        cells += ["", ""]
    else:
        cells += [f"{scores.mrr:.3f}", f"{scores.mpr:.1f}"]
    cells.append(f"{scores.coverage:.2f}")
    if outcome is first:
        cells += ["", ""]
    else:
        versus = compare(outcome, first, before.users)
        difference = _with_interval(versus.recall_difference, *versus.interval, sign="+")
        cells += [difference, f"{versus.statistic:+.1f}, {_WORDS[versus.better]}"]
    return _row(f"`{outcome.name}`", *cells)


def cost_head() -> str:
    """Returns the head of the table of cold starts and costs."""
    return _head(
        "model",
        f"items with fewer than {NEW_ITEM} positives",
        f"users with fewer than {NEW_USER}",
        "training, s",
        "update, us",
        "list, us",
        "MB",
    )


def cost_row(outcome: Outcome, before: History) -> str:
    """Returns a model's row of the table of cold starts and costs."""
    costs = outcome.costs
    return _row(
        f"`{outcome.name}`",
        _recall_in(outcome, before.new_items, before),
        _recall_in(outcome, before.new_users, before),
        f"{costs.training_seconds:.1f}",
        f"{costs.update_us:.1f}",
        f"{costs.top_n_us:.1f}",
        "" if costs.megabytes is None else f"{costs.megabytes:.1f}",
    )


def slice_line(before: History) -> str:
    """Returns how many tests each slice has."""
    unseen = int((before.item_positives == 0).sum())
    return (
        f"Recall in a cold start: {int(before.new_items.sum())} tests of items with fewer than"
        f" {NEW_ITEM} positives ({unseen} of them have none, which nobody can list),"
        f" {int(before.new_users.sum())} of users with fewer than {NEW_USER}."
    )


def _recall_in(outcome: Outcome, chosen: NDArray[np.bool], before: History) -> str:
    here = chosen[outcome.tests]
    if not here.any():
        return ""
    hits = outcome.hits[here].astype(np.float64)
    low, high = intervals(hits[:, np.newaxis], before.users[outcome.tests][here])[:, 0].tolist()
    return _with_interval(float(hits.mean()), low, high)


def _with_interval(value: float, low: float, high: float, sign: str = "") -> str:
    if math.isnan(value):
        return ""
    return f"{value:{sign}.3f} ({low:{sign}.3f} to {high:{sign}.3f})"


def _head(*names: str) -> str:
    return f"{_row(*names)}\n{_row(*['---'] * len(names)).replace(' ', '')}"


def _row(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"


def whole(outcomes: Sequence[Outcome], before: History) -> str:
    """Returns both tables; the first outcome is what the others are compared with."""
    first = outcomes[0]
    lines = [quality_head(first.top_n, first.name)]
    lines += [quality_row(outcome, first, before) for outcome in outcomes]
    lines += ["", slice_line(before), "", cost_head()]
    lines += [cost_row(outcome, before) for outcome in outcomes]
    return "\n".join(lines)
