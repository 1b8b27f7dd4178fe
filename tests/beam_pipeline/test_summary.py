from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from beam_pipeline.summary import Summary, last_lists, notes, nothing_usable, print_lists
from transforms import Recommendation, ScoredItem, counters
from transforms.formats.json_lines import encode_recommendation

SUMMARY = Summary(read=100000, positives=82520, filtered=17480, dead=0, users=943, items=1574)


def lines(*recommendations: Recommendation) -> list[bytes]:
    return [encode_recommendation(one) for one in recommendations]


def a_list(user: str, item: str) -> Recommendation:
    return Recommendation(user, [ScoredItem(item, 0.5)], 1.0, f"f:{user}{item}")


def test_the_last_line_is_what_others_parse() -> None:
    assert SUMMARY.line() == (
        "read=100000 positives=82520 filtered=17480 dead=0 users=943 items=1574"
    )
    assert json.loads(SUMMARY.to_json()) == {
        "read": 100000,
        "positives": 82520,
        "filtered": 17480,
        "dead": 0,
        "users": 943,
        "items": 1574,
        "tombstones": 0,
    }


def test_the_last_lists_are_of_the_users_who_came_last() -> None:
    users = [str(number) for number in range(8)]
    found = last_lists(lines(*(a_list(user, "x") for user in users), a_list("3", "y")))
    assert [(one.user, one.items[0].item) for one in found] == [
        ("3", "y"),
        ("7", "x"),
        ("6", "x"),
        ("5", "x"),
        ("4", "x"),
    ]


def test_the_table_names_users_and_items() -> None:
    console = Console(width=80, record=True)
    print_lists([a_list("alice", "jazz")], console)
    text = console.export_text()
    assert "alice" in text
    assert "jazz 0.50" in text


def test_an_item_that_looks_like_markup_is_shown_as_it_is() -> None:
    console = Console(width=80, record=True)
    print_lists([a_list("[bold]", "[/x]")], console)
    text = console.export_text()
    assert "[bold]" in text
    assert "[/x]" in text


class Metrics:
    """What a run's `result.metrics()` returns for these counters."""

    def __init__(self, **counts: int) -> None:
        self._counts = counts

    def query(self) -> dict[str, list[Any]]:
        names = [SimpleNamespace(namespace=counters.NAMESPACE, name=name) for name in self._counts]
        found = [
            SimpleNamespace(key=SimpleNamespace(metric=name), committed=count, attempted=count)
            for name, count in zip(names, self._counts.values(), strict=True)
        ]
        return {"counters": found, "distributions": []}


@pytest.mark.parametrize(
    ("hits", "popular", "below"),
    [
        (50, 78, False),
        (500, 780, True),
        (0, 6, False),
        (0, 7, True),
        (780, 500, False),
        (0, 0, False),
    ],
)
def test_a_model_that_is_surely_below_most_popular_is_called_so(
    hits: int, popular: int, below: bool
) -> None:
    lines = notes(Metrics(tested=10_000, hits=hits, popular_hits=popular))
    verdicts = [line for line in lines if line.startswith("recall is below most popular after")]
    assert bool(verdicts) == below
    assert any(line.startswith("recall 0.") for line in lines)


@pytest.mark.parametrize(
    ("counts", "nothing"),
    [
        ({"dead": 5}, True),
        ({"dead": 4, "filtered": 1, "tombstones": 1}, True),
        ({"dead": 4, "filtered": 1, "filtered_event_type:scroll": 1}, True),
        ({"dead": 4, "filtered": 1, "deletes": 1}, True),
        ({"dead": 4, "filtered": 1}, False),
        ({"dead": 4, "positives": 1}, False),
        ({"filtered": 5, "tombstones": 5}, False),
    ],
)
def test_what_is_filtered_does_not_make_an_input_usable(
    counts: dict[str, int], nothing: bool
) -> None:
    assert nothing_usable(Metrics(read=5, **counts)) is nothing
