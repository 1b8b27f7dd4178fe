"""Tables and plots of what `against_rivals` and `stages` measured."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from matplotlib.figure import Figure

Rates = Mapping[tuple[str, str], Sequence[float]]
"""Ratings a second of each round, by question and program."""

_OURS: Final = "ours"


def table(rates: Rates, question: str) -> str:
    """Returns a Markdown table of medians, spreads, and how many times as fast each of ours is."""
    measured = {name: rounds for (of, name), rounds in rates.items() if of == question}
    ours = {name: statistics.median(measured[name]) for name in measured if _is_ours(name)}
    header = ["program", "ratings/s", "lowest to highest", *(f"{name} is" for name in ours)]
    rows = [header, ["---"] + ["---:"] * (len(header) - 1)]
    for name, rounds in sorted(measured.items(), key=lambda one: -statistics.median(one[1])):
        median = statistics.median(rounds)
        spread = f"{min(rounds):,.0f} to {max(rounds):,.0f}"
        ratios = ["" if _is_ours(name) else f"{mine / median:.2f}x" for mine in ours.values()]
        rows.append([name, f"{median:,.0f}", spread, *ratios])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def plot(rates: Rates, titles: Mapping[str, str], note: str, path: Path) -> None:
    """Draws a bar for each program's median, with its lowest and highest."""
    figure = Figure(figsize=(6 * len(titles), 5))
    axes = figure.subplots(1, len(titles), squeeze=False)
    for axis, (question, title) in zip(axes[0], titles.items(), strict=True):
        measured = {name: rounds for (of, name), rounds in rates.items() if of == question}
        order = sorted(measured, key=lambda name: statistics.median(measured[name]))
        medians = [statistics.median(measured[name]) for name in order]
        spread = [
            [middle - min(measured[name]) for name, middle in zip(order, medians, strict=True)],
            [max(measured[name]) - middle for name, middle in zip(order, medians, strict=True)],
        ]
        colors = ["tab:blue" if _is_ours(name) else "tab:gray" for name in order]
        bars = axis.barh(order, medians, xerr=spread, color=colors, ecolor="black", capsize=3)
        axis.bar_label(bars, [f" {median:,.0f}" for median in medians])
        axis.set_title(title)
        axis.set_xlabel("ratings a second")
        axis.margins(x=0.2)
        axis.spines[["top", "right"]].set_visible(False)
    figure.text(0.01, 0.01, note, fontsize=7)
    figure.tight_layout(rect=(0, 0.04, 1, 1))
    figure.savefig(path)


def stacked(bars: Mapping[str, Mapping[str, float]], path: Path) -> None:
    """Draws a bar for each client, of the microseconds that each stage takes for a rating."""
    figure = Figure(figsize=(9, 2.6))
    axis = figure.subplots()
    left = dict.fromkeys(bars, 0.0)
    for stage in next(iter(bars.values())):
        widths = [parts[stage] for parts in bars.values()]
        drawn = axis.barh(list(bars), widths, left=list(left.values()), label=stage)
        axis.bar_label(drawn, [f"{width:.1f}" for width in widths], label_type="center")
        left = {name: left[name] + parts[stage] for name, parts in bars.items()}
    axis.set_xlabel("microseconds of CPU for each rating that is read")
    axis.legend(ncols=6, loc="upper center", bbox_to_anchor=(0.5, 1.25), frameon=False)
    axis.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(path)


def _is_ours(name: str) -> bool:
    return name.startswith(_OURS)
