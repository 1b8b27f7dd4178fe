"""The dashboard's state: bounded in memory, and safe between threads."""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Any, Final

from transforms.errors import MalformedRecordError
from transforms.evaluation.prequential import Sums
from transforms.formats.json_lines import decode_evaluation
from transforms.formats.records import DeadLetter

_SPAN_SECONDS: Final = 300
_BIN_SECONDS: Final = 2
_LISTS_BYTES: Final = 64 << 20
_ENTRY_BYTES: Final = 300
_ANSWERS: Final = 1000
_ORIGINS: Final = 100_000
_POINTS: Final = 300
_MODELS: Final = 6
_LETTERS: Final = 5
_USERS: Final = 8
_SHOWN: Final = 200


class Throughput:
    """Recommendations per second over the last five minutes.

    Args:
        clock: Returns seconds since the epoch.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._bins: dict[int, int] = {}
        self._first = int(clock() // _BIN_SECONDS)
        self.total = 0

    def add(self, at: float) -> None:
        """Counts a recommendation written at `at`, in seconds since the epoch."""
        self.total += 1
        now = int(self._clock() // _BIN_SECONDS)
        number = min(int(at // _BIN_SECONDS), now)
        self._first = min(self._first, number)
        if number <= now - _SPAN_SECONDS // _BIN_SECONDS:
            return
        self._bins[number] = self._bins.get(number, 0) + 1
        if len(self._bins) > _SPAN_SECONDS // _BIN_SECONDS + 1:
            del self._bins[min(self._bins)]

    def rates(self) -> tuple[list[int], list[float | None]]:
        """Returns the start of each bin, in seconds since the epoch, and its rate per second.

        The rate is None before the first recommendation.
        """
        # The current bin is still filling.
        end = int(self._clock() // _BIN_SECONDS)
        numbers = range(end - _SPAN_SECONDS // _BIN_SECONDS, end)
        return (
            [number * _BIN_SECONDS for number in numbers],
            [
                self._bins.get(number, 0) / _BIN_SECONDS if number >= self._first else None
                for number in numbers
            ],
        )


class RecallWindow:
    """Recall@N of each model and of "most popular" over the last tests.

    Args:
        window: How many tests.
        top_n: N.
    """

    def __init__(self, window: int, top_n: int) -> None:
        self.window, self.top_n = window, top_n
        self.tests = 0
        self._models: dict[str, Sums] = {}
        self._popular = Sums(1, window)
        self._points: deque[tuple[int, dict[str, float], float]] = deque(maxlen=_POINTS)
        self._origins: OrderedDict[tuple[str, str], None] = OrderedDict()

    def add(self, value: bytes) -> None:
        """Counts a record, unless its origin is among the last 100,000.

        Raises:
            MalformedRecordError: Not an evaluation record, or of a seventh model.
        """
        record = decode_evaluation(value)
        if record.model not in self._models and len(self._models) == _MODELS:
            msg = f"evaluations of {record.model!r}: {_MODELS} models are followed already"
            raise MalformedRecordError(msg)
        key = (record.model, record.origin)
        if key in self._origins:
            return
        self._origins[key] = None
        if len(self._origins) > _ORIGINS:
            self._origins.popitem(last=False)
        sums = self._models.setdefault(record.model, Sums(3, self.window))
        hit = float((record.rank or math.inf) <= self.top_n)
        sums.add((hit, record.update_us, record.top_n_us))
        self._popular.add((float((record.popular_rank or math.inf) <= self.top_n),))
        self.tests += 1
        if self.tests % max(1, self.window // 50) == 0:
            self._points.append((self.tests, self._recalls(), self._popular.mean(0)))

    def _recalls(self) -> dict[str, float]:
        return {name: sums.mean(0) for name, sums in self._models.items()}

    def shown(self) -> dict[str, Any]:
        """Returns the data of the chart; the last point is the current value."""
        points = list(self._points)
        if self.tests and (not points or points[-1][0] != self.tests):
            points.append((self.tests, self._recalls(), self._popular.mean(0)))
        return {
            "window": self.window,
            "top_n": self.top_n,
            "tests": self.tests,
            "x": [tests for tests, _, _ in points],
            "models": {
                name: [recalls.get(name) for _, recalls, _ in points] for name in self._models
            },
            "popular": [popular for _, _, popular in points],
            "event_us": {name: sums.mean(1) + sums.mean(2) for name, sums in self._models.items()},
        }


class LastLists:
    """The latest encoded recommendation of each user; the least recently seen users are evicted.

    Args:
        max_bytes: Approximate bound of what is held.
    """

    def __init__(self, max_bytes: int = _LISTS_BYTES) -> None:
        self._max = max_bytes
        self._lists: OrderedDict[str, bytes] = OrderedDict()
        self._bytes = 0

    def add(self, user: str, value: bytes) -> None:
        """Replaces a user's recommendation."""
        self._bytes += _size(user, value)
        before = self._lists.pop(user, None)
        if before is not None:
            self._bytes -= _size(user, before)
        self._lists[user] = value
        while self._bytes > self._max and len(self._lists) > 1:
            self._bytes -= _size(*self._lists.popitem(last=False))

    def get(self, user: str) -> bytes | None:
        """Returns a user's recommendation, None if there is none."""
        return self._lists.get(user)

    def latest_users(self) -> list[str]:
        """Returns the users of the latest recommendations, the latest first."""
        latest = reversed(self._lists)
        return [user for user, _ in zip(latest, range(_USERS), strict=False)]


def _size(user: str, value: bytes) -> int:
    return len(user) + len(value) + _ENTRY_BYTES


class Live:
    """All that the page shows; one thread writes it and others read it.

    Args:
        window: Number of tests in the recall window.
        top_n: N of recall.
        asking: Prefix of the origins of answers to our requests; empty for none.
    """

    def __init__(self, window: int = 5000, top_n: int = 10, asking: str = "") -> None:
        self._condition = threading.Condition()
        self._asking = asking
        self._throughput = Throughput()
        self._lists = LastLists()
        self._answers: OrderedDict[str, bytes] = OrderedDict()
        self._recall = RecallWindow(window, top_n)
        self._letters: deque[dict[str, str]] = deque(maxlen=_LETTERS)
        self._dead = 0
        self._unreadable = 0
        self._why_unreadable = ""
        self._behind = 0
        self._problem = ""

    def add_list(self, user: str, origin: str, value: bytes, at: float) -> None:
        """Adds a recommendation written at `at`, in seconds since the epoch."""
        with self._condition:
            self._throughput.add(at)
            self._lists.add(user, value)
            if self._asking and origin.startswith(self._asking):
                self._answers[origin] = value
                if len(self._answers) > _ANSWERS:
                    self._answers.popitem(last=False)
                self._condition.notify_all()

    def add_evaluation(self, value: bytes) -> None:
        """Adds an evaluation record.

        Raises:
            MalformedRecordError: Not an evaluation record.
        """
        with self._condition:
            self._recall.add(value)

    def add_dead_letter(self, letter: DeadLetter) -> None:
        """Takes a dead letter."""
        shown = {
            "origin": letter.origin[:_SHOWN],
            "stage": letter.stage[:_SHOWN],
            "reason": letter.reason[:_SHOWN],
            "value": letter.value[:_SHOWN].decode("utf-8", "backslashreplace"),
        }
        with self._condition:
            self._dead += 1
            self._letters.appendleft(shown)

    def add_earlier_dead(self, count: int) -> None:
        """Counts dead letters that precede the first one that is read."""
        with self._condition:
            self._dead += count

    def add_unreadable(self, reason: str) -> None:
        """Counts a record that could not be read."""
        with self._condition:
            self._unreadable += 1
            self._why_unreadable = reason[:_SHOWN]

    def set_condition(self, behind: int, problem: str) -> None:
        """Sets how many records are not read yet, and the current problem, empty for none."""
        with self._condition:
            self._behind, self._problem = behind, problem

    def last_list(self, user: str) -> bytes | None:
        """Returns the latest recommendation for a user, None if there was none."""
        with self._condition:
            return self._lists.get(user)

    def answer(self, origin: str, seconds: float) -> bytes | None:
        """Waits for the recommendation of that origin; returns None after the timeout."""
        with self._condition:
            self._condition.wait_for(lambda: origin in self._answers, timeout=seconds)
            return self._answers.pop(origin, None)

    def snapshot(self) -> dict[str, Any]:
        """Returns what the page shows, as JSON values."""
        with self._condition:
            times, rates = self._throughput.rates()
            return {
                "lists": self._throughput.total,
                "times": times,
                "rates": rates,
                "recall": self._recall.shown(),
                "dead": self._dead,
                "letters": list(self._letters),
                "unreadable": self._unreadable,
                "why_unreadable": self._why_unreadable,
                "behind": self._behind,
                "problem": self._problem,
                "users": self._lists.latest_users(),
            }
