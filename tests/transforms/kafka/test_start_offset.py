from __future__ import annotations

import pytest

from transforms.kafka.start_offset import START_OFFSETS, start_seconds


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *((word, None) for word in START_OFFSETS),
        ("1970-01-02", 86400.0),
        ("1970-01-01T00:00:01.5", 1.5),
        ("1970-01-01T00:00:00Z", 0.0),
        ("1970-01-01T01:00:10+01:00", 10.0),
    ],
)
def test_a_start_is_a_word_or_a_time_in_utc(text: str, expected: float | None) -> None:
    assert start_seconds(text) == expected


@pytest.mark.parametrize("text", ["", "middle", "12", "2026-13-01", "1969-12-31", "Earliest"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(
        ValueError, match="expected earliest, latest, committed, exported, or a time"
    ):
        start_seconds(text)
