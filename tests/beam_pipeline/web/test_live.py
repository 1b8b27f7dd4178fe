from __future__ import annotations

import threading
from itertools import pairwise

import pytest

from beam_pipeline.web.live import LastLists, Live, RecallWindow, Throughput
from tests.evaluations import evaluations
from transforms.errors import MalformedRecordError
from transforms.evaluation.prequential import Figures
from transforms.formats.json_lines import encode_evaluation
from transforms.formats.records import DeadLetter


class Clock:
    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def test_throughput_is_by_the_time_of_writing() -> None:
    clock = Clock(1000.0)
    throughput = Throughput(clock)
    for at in (990.0, 991.9, 992.0, 996.5, 996.5, 999.9, 5000.0):
        throughput.add(at)
    clock.now = 1002.0
    times, rates = throughput.rates()
    by_time = dict(zip(times, rates, strict=True))
    assert len(times) == 150
    assert all(later - earlier == 2 for earlier, later in pairwise(times))
    assert times[-1] == 1000
    assert [by_time[at] for at in (990, 992, 994, 996, 998, 1000)] == [1, 0.5, 0, 1, 0.5, 0.5]
    assert by_time[988] is None
    assert throughput.total == 7


def test_throughput_forgets_what_is_old() -> None:
    clock = Clock(0.0)
    throughput = Throughput(clock)
    for second in range(5000):
        clock.now = float(second)
        throughput.add(clock.now)
        throughput.add(clock.now - 1000)
    assert throughput.total == 10_000
    assert len(throughput._bins) <= 151
    assert set(throughput.rates()[1]) == {1.0}


def test_the_recall_window_is_that_of_the_figures() -> None:
    window = RecallWindow(50, 10)
    figures = Figures(10, 50)
    for record in evaluations(220):
        window.add(encode_evaluation(record))
        figures.add(record)
    shown = window.shown()
    assert (shown["tests"], shown["x"][-1]) == (220, 220)
    assert shown["models"]["mf"][-1] == pytest.approx(figures.recent.model.recall)
    assert shown["popular"][-1] == pytest.approx(figures.recent.popular.recall)
    assert shown["event_us"] == {"mf": 40.0}


def test_repeats_count_once_and_models_apart() -> None:
    window = RecallWindow(50, 10)
    good, bad = evaluations(30, "good", 1.0), evaluations(30, "bad", 0.0)
    for record in [*good, *good[10:], *bad]:
        window.add(encode_evaluation(record))
    shown = window.shown()
    assert shown["tests"] == 60
    assert (shown["models"]["good"][-1], shown["models"]["bad"][-1]) == (1.0, 0.0)
    # Before the second model came it had no recall.
    assert shown["models"]["bad"][0] is None


def test_points_and_models_are_bounded() -> None:
    window = RecallWindow(50, 10)
    for record in evaluations(2000):
        window.add(encode_evaluation(record))
    assert len(window.shown()["x"]) <= 301
    for name in "abcde":
        window.add(encode_evaluation(evaluations(1, name)[0]))
    with pytest.raises(MalformedRecordError, match="'f': 6 models are followed already"):
        window.add(encode_evaluation(evaluations(1, "f")[0]))


def test_the_last_list_of_each_user_within_bounds() -> None:
    lists = LastLists(max_bytes=10 * 1000)
    for number in range(100):
        lists.add(f"u{number}", bytes(700))
    assert lists.get("u99") == bytes(700)
    assert lists.get("u0") is None
    assert len(lists._lists) <= 10
    lists.add("u99", b"new")
    lists.add("u98", b"newer")
    assert lists.get("u99") == b"new"
    assert lists.latest_users()[:3] == ["u98", "u99", "u97"]


def test_a_list_that_is_more_than_all_may_be_stays_until_the_next() -> None:
    lists = LastLists(max_bytes=10)
    lists.add("a", bytes(1000))
    assert lists.get("a")
    lists.add("b", bytes(1000))
    assert lists.get("a") is None


def test_an_answer_is_waited_for_by_its_origin() -> None:
    live = Live(asking="asks-")
    other = threading.Timer(0.05, live.add_list, ("u", "asks-0-6", b"other", 0.0))
    right = threading.Timer(0.2, live.add_list, ("u", "asks-0-7", b"right", 0.0))
    other.start()
    right.start()
    assert live.answer("asks-0-7", 30.0) == b"right"
    assert live.answer("asks-0-8", 0.01) is None


def test_an_answer_may_come_before_it_is_waited_for() -> None:
    live = Live(asking="asks-")
    live.add_list("u", "asks-0-7", b"early", 0.0)
    assert live.answer("asks-0-7", 0.0) == b"early"


def test_answers_are_bounded_and_ratings_are_none() -> None:
    live = Live(asking="asks-")
    for offset in range(3000):
        live.add_list("u", f"asks-0-{offset}", b"", 0.0)
        live.add_list("u", f"ratings-0-{offset}", b"", 0.0)
    assert len(live._answers) == 1000
    assert live.answer("ratings-0-2999", 0.0) is None


def test_dead_letters_are_counted_and_the_latest_shown() -> None:
    live = Live()
    live.add_earlier_dead(100)
    for number in range(9):
        letter = DeadLetter(f"t-0-{number}", "parse", "r" * 999, b"\xff<b>" + b"x" * 999)
        live.add_dead_letter(letter)
    snapshot = live.snapshot()
    assert snapshot["dead"] == 109
    assert [one["origin"] for one in snapshot["letters"]] == [f"t-0-{n}" for n in (8, 7, 6, 5, 4)]
    assert snapshot["letters"][0]["value"].startswith(r"\xff<b>xxx")
    assert all(len(text) <= 210 for text in snapshot["letters"][0].values())


def test_a_snapshot_says_what_is_wrong() -> None:
    live = Live()
    live.add_unreadable("t-0-1: not JSON")
    live.set_condition(12, "away")
    snapshot = live.snapshot()
    assert (snapshot["unreadable"], snapshot["why_unreadable"]) == (1, "t-0-1: not JSON")
    assert (snapshot["behind"], snapshot["problem"]) == (12, "away")
