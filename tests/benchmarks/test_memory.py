from __future__ import annotations

import numpy as np
import pytest

from benchmarks.memory import main, sessions, zipf


def test_a_tenth_of_the_ranks_has_its_share_of_draws() -> None:
    drawn = zipf(np.random.default_rng(0), 1000, 100_000, 0.7)
    assert drawn.min() == 0
    assert drawn.max() < 1000
    assert (drawn < 100).mean() == pytest.approx(0.1**0.3, abs=0.01)


def test_sessions_have_the_ratings_that_are_asked_for() -> None:
    parts = list(sessions(50, 70, 250_001, 0.7))
    assert sum(len(users) for users, _ in parts) == 250_001
    for users, items in parts:
        assert len(users) == len(items)
        assert users.max() < 50
        assert items.max() < 70
    again = next(iter(sessions(50, 70, 250_001, 0.7)))
    assert (again[1] == parts[0][1]).all()


def test_it_says_what_is_held(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--ratings=3000", "--users=100", "--items=200", "--neighbors=20"]) == 0
    said = capsys.readouterr().out
    assert "3,000 ratings, " in said
    assert "snapshot of " in said
