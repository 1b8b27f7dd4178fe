from __future__ import annotations

import datetime
import time
from collections.abc import Iterator
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.errors import MalformedRecordError
from transforms.formats.times import TimeReader

SECONDS = 1764064800.0


@pytest.mark.parametrize(
    ("value", "unit"),
    [
        (1764064800, None),
        (1764064800.0, None),
        (1764064800000, "milliseconds"),
        (1764064800000000, "microseconds"),
        (1764064800000000000, "nanoseconds"),
        ("1764064800", None),
        ("1764064800.0", None),
        ("1764064800000", "milliseconds"),
    ],
)
def test_units_are_told_apart_by_size_and_said_once(value: object, unit: str | None) -> None:
    reader = TimeReader()
    assert [reader.seconds(value) for _ in range(3)] == [SECONDS] * 3
    assert len(reader.notes) == (unit is not None)
    assert all(f"are taken for {unit};" in note for note in reader.notes)


@pytest.mark.parametrize(
    ("value", "unit", "seconds"),
    [
        (5, "s", 5.0),
        (10**15, "s", 1e15),
        (5, "ms", 0.005),
        (1764064800123, "ms", 1764064800.123),
        ("1500", "us", 0.0015),
        (2 * 10**9, "ns", 2.0),
    ],
)
def test_a_unit_that_is_given_is_taken_at_its_word(
    value: object, unit: str, seconds: float
) -> None:
    reader = TimeReader(unit)
    assert reader.seconds(value) == seconds
    assert reader.notes == []


@pytest.fixture
def in_another_zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "IST-5:30")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("in_another_zone")
@pytest.mark.parametrize("unit", ["auto", "ms"])
@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2025-11-25T10:00:00Z", SECONDS),
        ("2025-11-25T10:00:00", SECONDS),
        ("2025-11-25 10:00:00", SECONDS),
        ("2025-11-25T11:30:00+01:30", SECONDS),
        ("2025-11-25T11:00:00+0100", SECONDS),
        ("2025-11-25T10:00:00.250Z", SECONDS + 0.25),
        ("2025-11-25T10:00:00,25-00:00", SECONDS + 0.25),
        ("2025-11-25T10:00:00.123456789Z", SECONDS + 0.123456),
        ("20251125T100000Z", SECONDS),
        (" 2025-11-25T10:00:00Z ", SECONDS),
        ("2025-11-25", SECONDS - 36_000),
        ("1970-01-01T00:00:00Z", 0.0),
    ],
)
def test_iso_8601_is_read_and_is_utc_without_an_offset(
    text: str, seconds: float, unit: str
) -> None:
    assert TimeReader(unit).seconds(text) == pytest.approx(seconds, abs=1e-6)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (datetime.datetime(2025, 11, 25, 10, tzinfo=datetime.UTC), SECONDS),
        (datetime.datetime(2025, 11, 25, 10), SECONDS),  # noqa: DTZ001 - as fastavro gives it
        (datetime.date(2025, 11, 25), SECONDS - 36_000),
        (Decimal("1764064800"), SECONDS),
        (None, None),
        ("", None),
        ("  ", None),
    ],
)
def test_what_avros_logical_types_are_decoded_to(value: object, seconds: float | None) -> None:
    assert TimeReader().seconds(value) == seconds


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("soon", "timestamp is 'soon', expected a number or ISO 8601"),
        ("nan", "timestamp is 'nan', expected a number or ISO 8601"),
        ("1_000", "timestamp is '1_000', expected a number or ISO 8601"),
        ("2025-13-25", "timestamp is '2025-13-25', expected a number or ISO 8601"),
        ("25.11.2025", "timestamp is '25.11.2025', expected"),
        (True, "timestamp is of type bool, expected a number or ISO 8601"),
        ([1], "timestamp is of type list, expected a number or ISO 8601"),
        (10**400, "timestamp is too large a number"),
    ],
)
def test_what_is_no_time_says_so(value: object, reason: str) -> None:
    with pytest.raises(MalformedRecordError) as raised:
        TimeReader().seconds(value)
    assert str(raised.value).startswith(reason)


@given(st.integers(100_000_000, 10**11 - 1))
def test_any_second_from_1973_to_5138_is_the_same_in_all_units(second: int) -> None:
    for power in (0, 3, 6, 9):
        assert TimeReader().seconds(second * 10**power) == second


@given(st.text() | st.floats() | st.integers() | st.binary())
def test_whatever_comes_is_a_number_or_malformed(value: object) -> None:
    try:
        seconds = TimeReader().seconds(value)
    except MalformedRecordError as e:
        assert str(e)
    else:
        assert seconds is None or isinstance(seconds, float | int)
