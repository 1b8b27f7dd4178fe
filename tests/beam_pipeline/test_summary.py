from __future__ import annotations

import json

from rich.console import Console

from beam_pipeline.summary import Summary, last_lists, print_lists
from transforms import Recommendation, ScoredItem
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
