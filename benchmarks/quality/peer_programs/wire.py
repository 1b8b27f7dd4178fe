"""What a peer is told and answers: one JSON array a line, over stdin and stdout.

    ["learn", user, item, timestamp, weight]    no answer
    ["list", user, n, repeats, timestamp]       the ids of n items or fewer, best first
    ["end"]                                     a `Report` as a JSON object

Ids are text, timestamps seconds of event time that never fall. A weight above 0 is a positive,
0 only marks the item as seen, below 0 it is not wanted until a positive. A list has no unwanted
item, and none that the user has unless `repeats` is true.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence, Set
from dataclasses import asdict, dataclass
from typing import IO, Final, Protocol

DAY: Final = "day"
_SECONDS_OF_A_DAY: Final = 86_400


class Model(Protocol):
    """What a peer's program has to bring."""

    def learn(self, user: str, item: str) -> None:
        """Takes a positive; a model that is retrained only stores it."""

    def retrain(self) -> None:
        """Learns all that was taken so far; does nothing in a model that learns at once."""

    def best(self, user: str, n: int, excluded: Set[str]) -> Sequence[str] | None:
        """Returns a user's `n` best items without the excluded ones; None if it knows nothing."""


@dataclass
class Report:
    """What a peer's work took.

    Attributes:
        learned: Number of positives.
        trainings: How often it was retrained.
        training_seconds: Of retraining and of taking positives.
        lists: Number of lists.
        list_seconds: Of making them.
    """

    learned: int = 0
    trainings: int = 0
    training_seconds: float = 0.0
    lists: int = 0
    list_seconds: float = 0.0


class Schedule:
    """When a model is retrained: just before a list, if it is due.

    Args:
        every: `DAY`, the first list of each day of event time (UTC), or a number of positives.
    """

    def __init__(self, every: str) -> None:
        self._positives = 0 if every == DAY else int(every)
        self._last: tuple[float, int] | None = None

    def is_due(self, timestamp: float, learned: int) -> bool:
        """Whether to retrain now, after so many positives; if so, counts from here on."""
        day = timestamp // _SECONDS_OF_A_DAY
        if self._last is not None:
            last_day, last_learned = self._last
            since = learned - last_learned
            if not since or (since < self._positives if self._positives else day == last_day):
                return False
        self._last = day, learned
        return True


class Peer:
    """A model, what each user has, and what is popular where the model knows nothing.

    Args:
        model: Learns.
        schedule: When it is retrained; None for one that learns at once.
    """

    def __init__(self, model: Model, schedule: Schedule | None) -> None:
        self._model = model
        self._schedule = schedule
        self._seen: dict[str, set[str]] = defaultdict(set)
        self._unwanted: dict[str, set[str]] = defaultdict(set)
        self._popularity: Counter[str] = Counter()
        self.report = Report()

    def learn(self, user: str, item: str, weight: float) -> None:
        """Takes a rating."""
        self._seen[user].add(item)
        if weight < 0:
            self._unwanted[user].add(item)
        if weight <= 0:
            return
        self._unwanted[user].discard(item)
        self._popularity[item] += 1
        self.report.learned += 1
        start = time.perf_counter()
        self._model.learn(user, item)
        self.report.training_seconds += time.perf_counter() - start

    def best(self, user: str, n: int, *, repeats: bool, timestamp: float) -> list[str]:
        """Returns a list; the most popular items for a user of whom the model knows nothing."""
        start = time.perf_counter()
        if self._schedule and self._schedule.is_due(timestamp, self.report.learned):
            self._model.retrain()
            self.report.trainings += 1
            trained = time.perf_counter()
            self.report.training_seconds += trained - start
            start = trained
        excluded = self._unwanted[user] | (set() if repeats else self._seen[user])
        best = self._model.best(user, n, excluded)
        if best is None:
            ranked = (item for item, _ in self._popularity.most_common(n + len(excluded)))
            best = [item for item in ranked if item not in excluded]
        self.report.lists += 1
        self.report.list_seconds += time.perf_counter() - start
        return list(best[:n])


def answer(peer: Peer, lines: Iterable[str], out: IO[str]) -> None:
    """Answers lines until `end`."""
    for line in lines:
        kind, *values = json.loads(line)
        if kind == "learn":
            user, item, _, weight = values
            peer.learn(user, item, weight)
            continue
        if kind == "end":
            out.write(json.dumps(asdict(peer.report)) + "\n")
            out.flush()
            return
        user, n, repeats, timestamp = values
        out.write(json.dumps(peer.best(user, n, repeats=repeats, timestamp=timestamp)) + "\n")
        out.flush()


def serve(model: Model, every: str) -> None:
    """Answers stdin on stdout, where nothing else may then be printed.

    Args:
        model: What is served.
        every: As of `Schedule`; empty for a model that learns at once.
    """
    out = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    answer(Peer(model, Schedule(every) if every else None), sys.stdin, out)
