from __future__ import annotations

from transforms.formats.parse_watch import WATCHED_RECORDS, ParseWatch
from transforms.formats.records import DeadLetter


def _dead(count: int, reason: str = "user is missing", start: int = 0) -> list[DeadLetter]:
    return [DeadLetter(f"t-0-{start + at}", "parse", reason, b"x" * 1000) for at in range(count)]


def test_it_says_at_once_that_nothing_can_be_used_and_only_once() -> None:
    watch = ParseWatch()
    assert watch.note(2, _dead(2)) == (
        "none of the first 2 record(s) could be used; most often, 2 time(s): user is missing"
        " (for example t-0-0)"
    )
    assert watch.note(3, _dead(3)) == ""


def test_the_commonest_reason_is_that_of_most_records_whatever_their_details() -> None:
    watch = ParseWatch()
    numbers = [
        DeadLetter(f"a:{at}", "parse", f"timestamp is -{at}.5, expected 0 or later", b"")
        for at in (4, 5, 6)
    ]
    text = watch.note(5, [*_dead(2), *numbers])
    assert "3 time(s): timestamp is -4.5, expected 0 or later (for example a:4)" in text


def test_it_says_after_a_thousand_records_that_most_can_not_be_used() -> None:
    watch = ParseWatch()
    assert watch.note(900, _dead(450)) == ""
    assert "449 of the first 1000 record(s) could be used" in watch.note(100, _dead(101))
    # From here on it holds and says nothing.
    assert watch.note(1000, _dead(1000)) == ""
    assert not watch._kinds


def test_half_is_not_most() -> None:
    watch = ParseWatch()
    assert watch.note(WATCHED_RECORDS, _dead(WATCHED_RECORDS // 2)) == ""


def test_what_is_told_is_one_line() -> None:
    assert "\n" not in ParseWatch().note(1, _dead(1, "a\nb"))


def test_a_batch_without_records_is_none() -> None:
    assert ParseWatch().note(0, []) == ""
