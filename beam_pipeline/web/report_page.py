"""A comparison of runs as one self-contained HTML page."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from beam_pipeline.web.pages import number, percent, render
from beam_pipeline.web.runs import POPULAR, Comparison, Duel
from transforms.evaluation.prequential import CHI_SQUARE_99, Outcome, Scores
from transforms.formats.records import Evaluation

_COLORS: Final = 6


class _Column(NamedTuple):
    """A column of the table: its heading, the better direction (0: neither), its format."""

    name: str
    better: int
    write: Callable[[float], str]


def page_of(comparison: Comparison, titles: Mapping[str, str], *, window: int, top_n: int) -> str:
    """Returns the page as HTML that needs no other file.

    Args:
        comparison: What is shown.
        titles: By item; an item without one is shown by its id.
        window: Number of tests in the sliding window.
        top_n: N of recall and the like.
    """
    looks = {
        run.name: {"color": f"s{place % _COLORS}", "dashed": place >= _COLORS}
        for place, run in enumerate(comparison.runs)
    }
    looks[POPULAR] = {"color": "popular", "dashed": True}
    # Pairs get colors that models do not use, as far as possible.
    duel_colors = [
        f"s{(len(comparison.runs) + place) % _COLORS}" for place in range(len(comparison.duels))
    ]
    columns = _columns(top_n)
    return render(
        "report.html",
        headline=_headline(comparison, top_n),
        comparison=comparison,
        window=window,
        top_n=top_n,
        notes=_notes(comparison, top_n),
        titles=_titles(comparison),
        looks=looks,
        columns=[column.name for column in columns],
        rows=_rows(comparison, columns),
        duel_colors=duel_colors,
        charts=_charts(comparison, looks, duel_colors),
        examples=_examples(comparison, titles, top_n),
    )


def _columns(top_n: int) -> list[_Column]:
    def share(value: float) -> str:
        return number(value, 3)

    def micros(value: float) -> str:
        return number(value, 1 if value < 10 else 0)

    return [
        _Column(f"Recall@{top_n}", 1, share),
        _Column(f"NDCG@{top_n}", 1, share),
        _Column("MRR", 1, share),
        _Column("MPR %", -1, lambda value: number(value, 1)),
        _Column("Coverage", 1, percent),
        _Column("Novelty, bits", 0, lambda value: number(value, 1)),
        _Column("Update, µs", -1, micros),
        _Column("Top-N, µs", -1, micros),
    ]


def _rows(comparison: Comparison, columns: Sequence[_Column]) -> list[dict[str, Any]]:
    found = [
        (run.name, [*run.total.model[1:], run.total.update_us, run.total.top_n_us])
        for run in comparison.runs
    ]
    popular = comparison.runs[0].total.popular
    found.append((POPULAR, [*popular[1:], math.nan, math.nan]))
    best = []
    for place, column in enumerate(columns):
        texts = [
            (column.better * values[place], column.write(values[place]))
            for _, values in found
            if not math.isnan(values[place])
        ]
        # Compared as formatted: values that look equal are equally good.
        best.append(max(texts)[1] if column.better and len(texts) > 1 else "")
    return [
        {
            "name": name,
            "cells": [
                {"text": column.write(value), "best": column.write(value) == best[place]}
                for place, (column, value) in enumerate(zip(columns, values, strict=True))
            ],
        }
        for name, values in found
    ]


def _headline(comparison: Comparison, top_n: int) -> str:
    scores = _all_scores(comparison)
    best = max(scores, key=lambda name: scores[name].recall)
    rest = max((name for name in scores if name != best), key=lambda name: scores[name].recall)
    if scores[best].recall == scores[rest].recall:
        return f"{best} and {rest} hit equally often: recall@{top_n} {scores[best].recall:.3f}"
    return (
        f"{best} hits most often: recall@{top_n} {scores[best].recall:.3f},"
        f" {rest} {scores[rest].recall:.3f}"
    )


def _all_scores(comparison: Comparison) -> dict[str, Scores]:
    scores = {run.name: run.total.model for run in comparison.runs}
    return {**scores, POPULAR: comparison.runs[0].total.popular}


def _titles(comparison: Comparison) -> dict[str, str]:
    runs = comparison.runs
    last = {run.name: run.points[-1].recent.model for run in runs}
    last[POPULAR] = runs[0].points[-1].recent.popular
    by_recall = sorted(last, key=lambda name: -last[name].recall)
    by_coverage = sorted(last, key=lambda name: -last[name].coverage)
    broad, narrow = by_coverage[0], by_coverage[-1]
    return {
        "table": f"{' and '.join(run.name for run in runs)} beside {POPULAR}",
        "recall": "Recall at the end: "
        + ", ".join(f"{name} {last[name].recall:.3f}" for name in by_recall),
        "cost": "An event costs "
        + ", ".join(f"{number(_cost(run.points[-1].recent))} µs with {run.name}" for run in runs),
        "coverage": f"{broad} shows {percent(last[broad].coverage)} of the items,"
        f" {narrow} {percent(last[narrow].coverage)}",
        "duels": _won(comparison.duels[0]),
    }


def _won(duel: Duel) -> str:
    if duel.first_better >= duel.second_better:
        better, worse, share = duel.first, duel.second, duel.first_better
    else:
        better, worse, share = duel.second, duel.first, duel.second_better
    if not share:
        return f"{better} and {worse} are never told apart at 99 %"
    return f"{better} beats {worse} at 99 % after {percent(share)} of the tests"


def _cost(outcome: Outcome) -> float:
    return outcome.update_us + outcome.top_n_us


def _notes(comparison: Comparison, top_n: int) -> list[str]:
    notes = []
    if comparison.unpaired:
        notes.append(f"{comparison.unpaired:,} records without a partner in every run left out")
    repeats = sum(run.repeats for run in comparison.runs)
    if repeats:
        notes.append(f"{repeats:,} repeated records dropped")
    longest = max(run.longest for run in comparison.runs)
    if longest < top_n:
        notes.append(
            f"recommendations have at most {longest} items; coverage and novelty count those"
        )
    popular = [run.popular_hits for run in comparison.runs]
    if any(hits != popular[0] for hits in popular):
        notes.append(f"the runs' {POPULAR} differ, as their shards do; the first run's is shown")
    return notes


def _charts(
    comparison: Comparison, looks: Mapping[str, Any], duel_colors: Sequence[str]
) -> dict[str, Any]:
    first = comparison.runs[0]
    x = [point.tests for point in first.points]

    def chart(format_: str, pick: Callable[[Scores], float]) -> dict[str, Any]:
        lines = {run.name: [pick(p.recent.model) for p in run.points] for run in comparison.runs}
        lines[POPULAR] = [pick(p.recent.popular) for p in first.points]
        return _spec(x, format_, [(name, looks[name], lines[name]) for name in lines])

    costs = [
        (run.name, looks[run.name], [_cost(point.recent) for point in run.points])
        for run in comparison.runs
    ]
    duels = [
        (f"{duel.first} vs {duel.second}", {"color": color}, [one for _, one in duel.points])
        for duel, color in zip(comparison.duels, duel_colors, strict=True)
    ]
    return {
        "recall": chart("share", lambda scores: scores.recall),
        "coverage": chart("percent", lambda scores: scores.coverage),
        "cost": _spec(x, "micros", costs),
        "duels": {**_spec(x, "signed", duels), "levels": [-CHI_SQUARE_99, CHI_SQUARE_99]},
    }


def _spec(
    x: Sequence[int], format_: str, lines: Sequence[tuple[str, Mapping[str, Any], list[float]]]
) -> dict[str, Any]:
    return {
        "x": x,
        "x_label": "tests",
        "format": format_,
        "series": [
            {
                "name": name,
                **look,
                # JSON has no NaN.
                "values": [None if math.isnan(value) else value for value in values],
            }
            for name, look, values in lines
        ],
    }


def _examples(
    comparison: Comparison, titles: Mapping[str, str], top_n: int
) -> list[dict[str, Any]]:
    def shown(name: str, rank: int | None, items: Sequence[str], test: Evaluation) -> Any:
        place = "not a candidate" if rank is None else f"rank {rank:,} of {test.candidates:,}"
        return {
            "name": name,
            "place": place,
            "entries": [
                {"text": titles.get(item, item), "hit": item == test.item} for item in items[:top_n]
            ],
        }

    examples = []
    for test in reversed(comparison.runs[0].examples):
        lists = [
            shown(run.name, same.rank, same.items, same)
            for run in comparison.runs
            for same in run.examples
            if same.origin == test.origin
        ]
        lists.append(shown(POPULAR, test.popular_rank, test.popular_items, test))
        item = titles.get(test.item, test.item)
        examples.append({"user": test.user, "item": item, "lists": lists})
    return examples
