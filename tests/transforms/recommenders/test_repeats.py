from __future__ import annotations

import logging

import numpy as np
import pytest

from transforms.errors import IncompatibleModelError
from transforms.recommenders.arrays import SavedArrays
from transforms.recommenders.numerics.repeat_share import AGAIN, FIRST, OTHER
from transforms.recommenders.repeats import RepeatPolicy


def test_a_stream_that_never_repeats_never_gets_repeats() -> None:
    policy = RepeatPolicy("auto")
    assert not policy.see(np.array([FIRST, *[OTHER] * 30_000])).any()
    assert not policy.see(np.array(([OTHER] * 99 + [AGAIN]) * 30)).any()


def test_clicks_get_repeats_within_some_choices_and_keep_them() -> None:
    policy = RepeatPolicy("auto")
    allowed = policy.see(np.array([FIRST, OTHER, AGAIN, OTHER] * 5000))
    assert 5 < int(np.argmax(allowed)) < 60
    assert allowed[np.argmax(allowed) :].all()


def test_a_stream_that_ends_to_repeat_loses_them() -> None:
    policy = RepeatPolicy("auto")
    policy.see(np.array([AGAIN, OTHER] * 20_000))
    assert policy.allowed
    policy.see(np.array([OTHER] * 60_000))
    assert not policy.allowed


def test_a_share_between_the_bounds_changes_nothing() -> None:
    policy = RepeatPolicy("auto")
    policy.see(np.array([AGAIN] * 10))
    allowed = policy.see(np.array(([OTHER] * 13 + [AGAIN]) * 1000))
    assert allowed.all()
    policy = RepeatPolicy("auto")
    assert not policy.see(np.array(([OTHER] * 13 + [AGAIN]) * 1000)).any()


@pytest.mark.parametrize(("repeats", "allowed"), [("never", False), ("allow", True)])
def test_what_was_said_stays(repeats: str, allowed: bool) -> None:
    policy = RepeatPolicy(repeats)
    assert set(policy.see(np.array([OTHER, AGAIN] * 500 + [OTHER] * 5000)).tolist()) == {allowed}
    policy.load_state_dict(SavedArrays({"counts": np.array([90, 60, 1 - allowed])}))
    assert policy.allowed is allowed


def test_it_says_what_it_took(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        RepeatPolicy("auto").see(np.array([OTHER] * 9000))
        RepeatPolicy("auto").see(np.array([AGAIN, OTHER] * 4000))
    assert [record.getMessage().split(": ")[1][:18] for record in caplog.records] == [
        "lists do not name ",
        "lists may name ite",
    ]


@pytest.mark.parametrize("counts", [[3, 4, 0], [10_000, 1, 0], [5, 1, 2]])
def test_damaged_counts_are_refused(counts: list[int]) -> None:
    with pytest.raises(IncompatibleModelError, match="counts"):
        RepeatPolicy("auto").load_state_dict(SavedArrays({"counts": np.array(counts)}))
