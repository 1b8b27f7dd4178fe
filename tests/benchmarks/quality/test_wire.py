from __future__ import annotations

import io
import json
from collections.abc import Sequence, Set

import pytest

from benchmarks.quality.peer_programs.wire import DAY, Peer, Schedule, answer

HOUR = 3600.0


class Alphabet:
    """Lists what it learned by name; knows users since its last training."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, str]] = []
        self.trained: list[int] = []

    def learn(self, user: str, item: str) -> None:
        self.taken.append((user, item))

    def retrain(self) -> None:
        self.trained.append(len(self.taken))

    def best(self, user: str, n: int, excluded: Set[str]) -> Sequence[str] | None:
        known = self.taken[: self.trained[-1]] if self.trained else self.taken
        if user not in {one for one, _ in known}:
            return None
        # More than was asked for, as a library may give.
        return sorted({item for _, item in known} - excluded)


def _answers(*messages: tuple[object, ...], every: str = "") -> tuple[Alphabet, list[object]]:
    model, out = Alphabet(), io.StringIO()
    lines = [json.dumps(message) for message in messages]
    answer(Peer(model, Schedule(every) if every else None), lines, out)
    return model, [json.loads(line) for line in out.getvalue().splitlines()]


def test_lists_leave_out_what_the_user_has_unless_repeats_are_allowed() -> None:
    _, (never, allow) = _answers(
        ("learn", "u", "b", 0.0, 1.0),
        ("learn", "v", "a", 0.0, 1.0),
        ("list", "u", 5, False, 0.0),
        ("list", "u", 5, True, 0.0),
    )
    assert never == ["a"]
    assert allow == ["a", "b"]


def test_lists_are_cut_to_their_length() -> None:
    learned = [("learn", "u", item, 0.0, 1.0) for item in "dcba"]
    _, (items,) = _answers(*learned, ("list", "u", 2, True, 0.0))
    assert items == ["a", "b"]


def test_unwanted_items_are_left_out_until_a_positive() -> None:
    _, lists = _answers(
        ("learn", "u", "a", 0.0, 1.0),
        ("learn", "u", "b", 0.0, 0.0),
        ("learn", "v", "b", 0.0, 1.0),
        ("list", "u", 5, False, 0.0),
        ("learn", "u", "a", 0.0, -1.0),
        ("list", "u", 5, True, 0.0),
        ("learn", "u", "a", 0.0, 1.0),
        ("list", "u", 5, True, 0.0),
    )
    assert lists == [[], ["b"], ["a", "b"]]


def test_only_positives_reach_the_model() -> None:
    model, _ = _answers(
        ("learn", "u", "a", 0.0, 0.5), ("learn", "u", "b", 0.0, 0.0), ("learn", "u", "c", 0.0, -1.0)
    )
    assert model.taken == [("u", "a")]


def test_who_is_unknown_gets_what_is_popular() -> None:
    clicks = [("learn", f"u{n}", item, 0.0, 1.0) for n, item in enumerate("abbcccd")]
    _, (new, has_one) = _answers(
        *clicks,
        ("list", "nobody", 3, False, 0.0),
        ("learn", "marks", "c", 0.0, 0.0),
        ("list", "marks", 2, False, 0.0),
    )
    assert new == ["c", "b", "a"]
    assert has_one == ["b", "a"]


def test_daily_training_comes_before_the_first_list_of_a_day_that_has_something_new() -> None:
    model, _ = _answers(
        ("learn", "u", "a", 1 * HOUR, 1.0),
        ("list", "u", 1, True, 2 * HOUR),
        ("learn", "u", "b", 3 * HOUR, 1.0),
        ("list", "u", 1, True, 23 * HOUR),
        ("learn", "u", "c", 24 * HOUR, 1.0),
        ("list", "u", 1, True, 25 * HOUR),
        ("list", "u", 1, True, 49 * HOUR),
        every=DAY,
    )
    assert model.trained == [1, 3]


def test_training_every_so_many_positives() -> None:
    messages: list[tuple[object, ...]] = []
    for number in range(7):
        messages += [("learn", "u", f"i{number}", 0.0, 1.0), ("list", "u", 1, True, 0.0)]
    model, _ = _answers(*messages, every="3")
    assert model.trained == [1, 4, 7]


@pytest.mark.parametrize("every", ["", DAY])
def test_the_report_counts(every: str) -> None:
    _, (*_, report) = _answers(
        ("learn", "u", "a", 0.0, 1.0),
        ("learn", "u", "b", 0.0, 0.0),
        ("list", "u", 1, True, 0.0),
        ("end",),
        every=every,
    )
    assert isinstance(report, dict)
    seconds = report.pop("training_seconds"), report.pop("list_seconds")
    assert min(seconds) > 0
    assert report == {"learned": 1, "lists": 1, "trainings": int(bool(every))}
