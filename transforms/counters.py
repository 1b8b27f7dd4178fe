"""The names of everything that is counted, and the one way to count it.

`read == positives + filtered + dead` holds at the end of every run. Positives are all events that
go to the model, also those with a weight of 0 or less. A request that can be answered is counted
apart, as `requests`; one that cannot is read, and dead.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable
from typing import Final, NamedTuple

from apache_beam.metrics import Metrics
from apache_beam.metrics.metric import Metrics as _Metrics

from transforms.runtime.worker_context import WORKER

NAMESPACE: Final = "flurs_beam"

READ: Final = "read"
POSITIVES: Final = "positives"
FILTERED: Final = "filtered"
TOMBSTONES: Final = "tombstones"
"""Records of a topic with a null value; they are among the filtered ones."""
DEAD: Final = "dead"
DELETES: Final = "deletes"
"""Deletions in an envelope; they are among the filtered."""
USERS: Final = "users"
ITEMS: Final = "items"
LISTS: Final = "lists"
REQUESTS: Final = "requests"
TESTED: Final = "tested"
HITS: Final = "hits"
POPULAR_HITS: Final = "popular_hits"
UNWRITTEN: Final = "unwritten"
"""Records that were too large for the topic that they were to be written to."""
LEARNED_BEFORE: Final = "learned_before"
"""Positives that the imported model had learned; they are not learned again."""
REBUILDS: Final = "rebuilds"
SNAPSHOTS: Final = "snapshots"
COUNTERS: Final = (
    READ,
    POSITIVES,
    FILTERED,
    TOMBSTONES,
    DEAD,
    DELETES,
    USERS,
    ITEMS,
    LISTS,
    REQUESTS,
    TESTED,
    HITS,
    POPULAR_HITS,
    UNWRITTEN,
    LEARNED_BEFORE,
    REBUILDS,
    SNAPSHOTS,
)

LATENCY_MS: Final = "latency_ms"
"""From the broker's timestamp of a batch's oldest record to its lists, in milliseconds."""
UPDATE_US: Final = "update_us"
"""Learning one positive, in microseconds, averaged over its batch."""
TOP_N_US: Final = "top_n_us"
"""Making one list, in microseconds, averaged over its batch."""
DISTRIBUTIONS: Final = (LATENCY_MS, UPDATE_US, TOP_N_US)

GAUGES: Final = tuple(
    f"{ranker}{figure}{span}"
    for ranker in ("", "popular_")
    for span in ("", "_window")
    for figure in (
        "recall_ppm",
        "ndcg_ppm",
        "mrr_ppm",
        "mpr_ppm",
        "coverage_ppm",
        "novelty_millibits",
    )
)
"""How good the lists are, and those of "most popular", over all tests and over the last 5,000, as
the worker saw it that set the gauge; in millionths (of 100 % for MPR) and thousandths of a bit."""


class Totals:
    """The counts of this process; local runners return metrics only when they end."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()

    def add(self, name: str, count: int) -> None:
        """Counts."""
        with self._lock:
            self._counts[name] += count

    def counts(self) -> Counter[str]:
        """Returns the counts by name."""
        with self._lock:
            return Counter(self._counts)


class _Counter(NamedTuple):
    """One of `COUNTERS`, as a metric of Beam and in the process's totals."""

    name: str

    @property
    def metric(self) -> _Metrics.DelegatingCounter:
        return Metrics.counter(NAMESPACE, self.name)

    def inc(self, count: int = 1) -> None:
        self.metric.inc(count)
        WORKER.get(Totals).add(self.name, count)


def counter(name: str) -> _Counter:
    """Returns the counter of that name, one of `COUNTERS`."""
    if name not in COUNTERS:
        msg = f"{name!r} is not a counter, expected one of {', '.join(COUNTERS)}"
        raise ValueError(msg)
    return _Counter(name)


EVENT_TYPE: Final = "filtered_event_type:"
"""What the counters of event types without a weight begin with."""
_MAX_EVENT_TYPES: Final = 20
_MAX_EVENT_TYPE_LENGTH: Final = 40
_OTHER: Final = "(other)"


class _EventTypes:
    """The event types that have a counter; there are few, as events may have any type."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: set[str] = set()

    def name(self, event_type: str) -> str:
        """Returns what a type is counted under."""
        cut = event_type[:_MAX_EVENT_TYPE_LENGTH]
        with self._lock:
            if cut not in self._known and len(self._known) >= _MAX_EVENT_TYPES:
                return _OTHER
            self._known.add(cut)
        return cut


def count_event_types(names: Iterable[str]) -> None:
    """Counts events that were filtered as their type has no weight, by type.

    A process counts its first 20 types by name, and all others together.
    """
    for event_type, times in Counter(names).items():
        name = WORKER.get(_EventTypes).name(event_type)
        Metrics.counter(NAMESPACE, f"{EVENT_TYPE}{name}").inc(times)


def distribution(name: str) -> _Metrics.DelegatingDistribution:
    """Returns the distribution of that name, one of `DISTRIBUTIONS`."""
    if name not in DISTRIBUTIONS:
        msg = f"{name!r} is not a distribution, expected one of {', '.join(DISTRIBUTIONS)}"
        raise ValueError(msg)
    return Metrics.distribution(NAMESPACE, name)


def gauge(name: str) -> _Metrics.DelegatingGauge:
    """Returns the gauge of that name, one of `GAUGES`."""
    if name not in GAUGES:
        msg = f"{name!r} is not a gauge, expected one of {', '.join(GAUGES)}"
        raise ValueError(msg)
    return Metrics.gauge(NAMESPACE, name)
