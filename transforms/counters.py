"""The names of everything that is counted, and the one way to count it.

`read == positives + filtered + dead` holds at the end of every run. A request that can be
answered is counted apart, as `requests`; one that can not is read, and dead.
"""

from __future__ import annotations

from typing import Final

from apache_beam.metrics import Metrics
from apache_beam.metrics.metric import Metrics as _Metrics

NAMESPACE: Final = "flurs_beam"

READ: Final = "read"
POSITIVES: Final = "positives"
FILTERED: Final = "filtered"
DEAD: Final = "dead"
USERS: Final = "users"
ITEMS: Final = "items"
LISTS: Final = "lists"
REQUESTS: Final = "requests"
REBUILDS: Final = "rebuilds"
SNAPSHOTS: Final = "snapshots"
COUNTERS: Final = (
    READ,
    POSITIVES,
    FILTERED,
    DEAD,
    USERS,
    ITEMS,
    LISTS,
    REQUESTS,
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


def counter(name: str) -> _Metrics.DelegatingCounter:
    """Returns the counter of that name, one of `COUNTERS`."""
    if name not in COUNTERS:
        msg = f"{name!r} is not a counter, expected one of {', '.join(COUNTERS)}"
        raise ValueError(msg)
    return Metrics.counter(NAMESPACE, name)


def distribution(name: str) -> _Metrics.DelegatingDistribution:
    """Returns the distribution of that name, one of `DISTRIBUTIONS`."""
    if name not in DISTRIBUTIONS:
        msg = f"{name!r} is not a distribution, expected one of {', '.join(DISTRIBUTIONS)}"
        raise ValueError(msg)
    return Metrics.distribution(NAMESPACE, name)
