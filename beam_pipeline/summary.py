"""What a run says at its end: counts, and for a look at them, a few users' lists."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from transforms import counters
from transforms.evaluation.prequential import verdict
from transforms.formats.json_lines import decode_recommendation
from transforms.formats.records import Recommendation

_USERS_SHOWN: Final = 5


@dataclass(frozen=True)
class Summary:
    """A run's counts; `read == positives + filtered + dead`.

    Attributes:
        read: Records.
        positives: Learned.
        filtered: Dropped on purpose.
        dead: Unusable.
        users: Known to the models.
        items: Known to the models.
        tombstones: Those of the filtered records that have a null value; not part of the line,
            whose form is fixed.
    """

    read: int
    positives: int
    filtered: int
    dead: int
    users: int
    items: int
    tombstones: int = 0

    def line(self) -> str:
        """Returns the last line that a run prints, for other programs."""
        counts = asdict(self)
        del counts["tombstones"]
        return " ".join(f"{name}={value}" for name, value in counts.items())

    def to_json(self) -> str:
        """Returns the same as a JSON object, and the tombstones."""
        return json.dumps(asdict(self))


def summarize(metrics: Any) -> Summary:
    """Returns the counts of a run.

    Args:
        metrics: What the run's `result.metrics()` returns.
    """
    counts = _counts(metrics)
    return Summary(
        counts[counters.READ],
        counts[counters.POSITIVES],
        counts[counters.FILTERED],
        counts[counters.DEAD],
        counts[counters.USERS],
        counts[counters.ITEMS],
        counts[counters.TOMBSTONES],
    )


def nothing_read(metrics: Any) -> bool:
    """Whether there was no record at all."""
    counts = _counts(metrics)
    return not counts[counters.READ] and not counts[counters.REQUESTS]


def nothing_usable(metrics: Any) -> bool:
    """Whether all records whose fields were looked at are dead letters, and there are some.

    Nobody looks at those of tombstones, deletions, and events of a type without a weight.
    """
    counts = _counts(metrics)
    events = sum(_event_types(metrics).values())
    skipped = counts[counters.TOMBSTONES] + counts[counters.DELETES] + events
    dead = counts[counters.DEAD]
    return counts[counters.READ] - skipped == dead > 0 and not counts[counters.REQUESTS]


def _counts(metrics: Any) -> dict[str, int]:
    counts = dict.fromkeys(counters.COUNTERS, 0)
    for name, value in _counters(metrics):
        if name in counts:
            counts[name] += value
    return counts


def _counters(metrics: Any) -> Iterator[tuple[str, int]]:
    """Yields name and value of each of our counters; a name may come several times."""
    for found in metrics.query()["counters"]:
        if found.key.metric.namespace == counters.NAMESPACE:
            committed = found.committed
            yield found.key.metric.name, found.attempted if committed is None else committed


def notes(metrics: Any) -> list[str]:
    """Returns a line for each distribution that the run filled, and for requests and tests."""
    counts = _counts(metrics)
    requests, tested = counts[counters.REQUESTS], counts[counters.TESTED]
    lines = [f"{requests} requests answered"] if requests else []
    if counts[counters.TOMBSTONES]:
        lines.append(f"{counts[counters.TOMBSTONES]} of the filtered records are tombstones")
    if counts[counters.DELETES]:
        lines.append(f"{counts[counters.DELETES]} deletions filtered")
    lines += event_type_notes(metrics)
    if before := counts[counters.LEARNED_BEFORE]:
        lines.append(f"{before} of the positives had been learned by the imported model")
    if counts[counters.UNWRITTEN]:
        lines.append(f"{counts[counters.UNWRITTEN]} records too large for their topic, not written")
    if tested:
        lines += _test_notes(tested, counts[counters.HITS], counts[counters.POPULAR_HITS])
    for found in metrics.query()["distributions"]:
        name = found.key.metric
        values = found.committed or found.attempted
        if name.namespace == counters.NAMESPACE and values and values.count:
            what, unit = name.name.rsplit("_", 1)
            low, mean, high = values.min, values.mean, values.max
            lines.append(f"{what}: mean {mean:.1f} {unit}, from {low} to {high}")
    return sorted(lines)


def _test_notes(tested: int, hits: int, popular: int) -> list[str]:
    """Returns a line with recall, and one more if the model is worse than most popular.

    Which tests both hit is not counted. The tests that only one of them hit are `hits` + `popular`
    at most, so this chi-square is at most McNemar's, and what it calls worse is worse.
    """
    lines = [
        f"recall {hits / tested:.4f} in {tested} tests, most popular {popular / tested:.4f}",
    ]
    if hits < popular and verdict(-((hits - popular) ** 2) / (hits + popular)) < 0:
        lines.append(
            f"recall is below most popular after {tested} tests (McNemar, 99 %):"
            " this model is not worth its cost on this stream, see docs/models.md"
        )
    return lines


def _event_types(metrics: Any) -> Counter[str]:
    """Returns how many events were filtered by type."""
    types: Counter[str] = Counter()
    for name, times in _counters(metrics):
        if name.startswith(counters.EVENT_TYPE):
            types[name.removeprefix(counters.EVENT_TYPE)] += times
    return types


def event_type_notes(metrics: Any) -> list[str]:
    """Returns a line with the event types that were filtered, the most frequent first."""
    types = _event_types(metrics)
    each = [f"{name} {times}" for name, times in sorted(types.items(), key=lambda one: -one[1])]
    return [f"filtered, not among --event_weights: {', '.join(each)}"] if each else []


def last_lists(lines: Iterable[bytes]) -> list[Recommendation]:
    """Returns the last list of each of the users who had one last, the latest user first."""
    latest: dict[str, Recommendation] = {}
    for line in lines:
        recommendation = decode_recommendation(line)
        latest.pop(recommendation.user, None)
        latest[recommendation.user] = recommendation
    return list(latest.values())[: -_USERS_SHOWN - 1 : -1]


def print_lists(recommendations: Iterable[Recommendation], console: Console) -> None:
    """Prints a table: a row for each list, its items best first."""
    table = Table(title="The latest lists", title_justify="left")
    table.add_column("user", no_wrap=True)
    table.add_column("items, best first")
    for recommendation in recommendations:
        items = "  ".join(f"{item} {score:.2f}" for item, score in recommendation.items)
        table.add_row(Text(recommendation.user), Text(items))
    console.print(table)
