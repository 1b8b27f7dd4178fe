from __future__ import annotations

import pytest

from benchmarks.quality.history import history
from benchmarks.quality.protocols import Stream, next_click, prequential, tuning_part
from transforms.formats.records import Rating


def _clicks(text: str, weight: float = 1.0) -> list[Rating]:
    """Returns clicks of `user` and `item`, one letter each."""
    return [
        Rating(click[0], click[1], 1.0, float(time), weight=weight)
        for time, click in enumerate(text.split())
    ]


def test_prequential_learns_the_first_share_alone() -> None:
    stream = prequential(_clicks("ua ub uc ud ue uf ug"), 0.3)
    assert stream.tested == [False] * 2 + [True] * 5
    assert stream.tests == 5
    assert prequential(_clicks("ua ub"), 0.0).tested == [True, True]


@pytest.mark.parametrize("warm_up", [-0.1, 1.0, float("nan")])
def test_a_share_out_of_range_is_refused(warm_up: float) -> None:
    with pytest.raises(ValueError, match="expected 0 to below 1"):
        prequential(_clicks("ua"), warm_up)


def test_what_is_no_positive_is_learned_but_not_tested() -> None:
    ratings = _clicks("ua") + _clicks("ub", 0.0) + _clicks("uc", -1.0) + _clicks("ud")
    assert prequential(ratings, 0.0).tested == [True, False, False, True]
    assert next_click([], ratings).tested == [False, False, False, True]
    with pytest.raises(ValueError, match="weight -1"):
        Stream(ratings, [False, False, True, False], "prequential")


def test_next_click_tests_all_clicks_of_a_session_but_the_first_of_the_test_part() -> None:
    # Session u goes on from the training part: its first click here is not tested either.
    stream = next_click(_clicks("ua va"), _clicks("ub wa uc wa xa uc"))
    assert [one.item for one in stream.ratings] == list("aabacaac")
    assert stream.tested == [False, False, False, False, True, True, False, True]


def test_first_clicks_that_are_no_positives_do_not_begin_a_session() -> None:
    seen = _clicks("ua", 0.0)
    assert next_click([], [*seen, *_clicks("ub uc")]).tested == [False, False, True]


def test_tuning_sees_nothing_that_is_tested() -> None:
    stream = prequential(_clicks(" ".join(f"u{item}" for item in "abcdefghijklmnopqrst")), 0.4)
    part = tuning_part(stream)
    assert [one.item for one in part.ratings] == list("abcdefgh")
    assert part.tested == [False] * 2 + [True] * 6


def test_sessions_are_tuned_on_their_own_test_part() -> None:
    stream = next_click(_clicks("ua"), _clicks("va vb"))
    assert tuning_part(stream) is stream


def test_nothing_is_left_to_tune_on_without_a_warm_up() -> None:
    with pytest.raises(ValueError, match="warm_up above 0"):
        tuning_part(prequential(_clicks("ua ub"), 0.0))


def test_history_counts_positives_before_each_test() -> None:
    ratings = _clicks("ua va") + _clicks("ub", -1.0) + _clicks("ub va ua")
    before = history(prequential(ratings, 1 / 6))
    assert before.users.tolist() == [0, 1, 0, 1]
    assert before.user_positives.tolist() == [0, 1, 1, 2]
    assert before.item_positives.tolist() == [1, 0, 2, 3]


def test_new_is_who_has_fewer_than_three_and_what_has_fewer_than_five() -> None:
    before = history(prequential(_clicks("ua ua ua ua ua ua"), 0.0))
    assert before.new_users.tolist() == [True] * 3 + [False] * 3
    assert before.new_items.tolist() == [True] * 5 + [False]


def test_a_stream_without_tests_has_an_empty_history() -> None:
    before = history(next_click(_clicks("ua"), []))
    assert [len(column) for column in before] == [0, 0, 0]
