"""Times as records have them, to seconds since the epoch."""

from __future__ import annotations

import datetime
from decimal import Decimal
from typing import Final

from transforms.errors import MalformedRecordError
from transforms.formats.validation import as_number, shown

UNITS: Final = ("auto", "s", "ms", "us", "ns")
_NAMES: Final = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
_DIVISORS: Final = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
_UTC: Final = datetime.UTC
_SECONDS_DIGITS: Final = 10
PLAIN_SECONDS: Final = 1e11
"""Numbers below are seconds when nobody says otherwise: this many are in the year 5138."""


class TimeReader:
    """Reads times, and keeps note of the units that it told apart by size.

    A number below 1e11 is in seconds, below 1e14 in milliseconds, below 1e17 in microseconds,
    and above in nanoseconds: all times from March 1973 to the year 5138 are read correctly. Text
    is a number or ISO 8601; without an offset it is in UTC.

    Args:
        unit: One of `UNITS`; other than `auto`, all numbers are in that unit.

    Attributes:
        notes: A line for each unit other than seconds that was found by size.
    """

    def __init__(self, unit: str = "auto") -> None:
        self._divisor = _DIVISORS.get(unit)
        self._noted: set[str] = set()
        self.notes: list[str] = []

    def seconds(self, value: object) -> float | None:
        """Returns seconds since the epoch; None for null and for text without content.

        Raises:
            MalformedRecordError: The value is no time.
        """
        if type(value) is str:
            # The two usual forms first: 2026-11-25..., and whole seconds.
            if value[4:5] == "-":
                try:
                    made = datetime.datetime.fromisoformat(value)
                    return (made if made.tzinfo else made.replace(tzinfo=_UTC)).timestamp()
                except (ValueError, OverflowError):
                    pass
            elif self._divisor is None and value.isdecimal() and len(value) <= _SECONDS_DIGITS:
                return float(value)
            return self._of_text(value.strip())
        if type(value) is int or type(value) is float:
            return self._scaled(value)
        return None if value is None else self._of_object(value)

    def _of_object(self, value: object) -> float:
        """Returns the seconds of what Avro's logical types are decoded to."""
        if isinstance(value, datetime.datetime):
            return _of_datetime(value)
        if isinstance(value, datetime.date):
            return datetime.datetime.combine(value, datetime.time(tzinfo=_UTC)).timestamp()
        if isinstance(value, Decimal):
            return self._scaled(as_number("timestamp", value))
        msg = f"timestamp is of type {type(value).__name__}, expected a number or ISO 8601"
        raise MalformedRecordError(msg)

    def _of_text(self, text: str) -> float | None:
        if not text:
            return None
        try:
            return self._scaled(int(text) if text.isdecimal() else _float(text))
        except ValueError:
            pass
        try:
            return _of_datetime(datetime.datetime.fromisoformat(text))
        except (ValueError, OverflowError) as e:
            msg = f"timestamp is {shown(text)}, expected a number or ISO 8601"
            raise MalformedRecordError(msg) from e

    def _scaled(self, value: float) -> float:
        """Returns a number in the unit that was given, or in that of its size, as seconds."""
        number = as_number("timestamp", value)
        if self._divisor:
            return value / self._divisor if self._divisor > 1 else number
        if not PLAIN_SECONDS <= number < float("inf"):
            return number
        unit = "ms" if number < 1e14 else "us" if number < 1e17 else "ns"
        if unit not in self._noted:
            self._noted.add(unit)
            self.notes.append(
                f"timestamps such as {value} are taken for {_NAMES[unit]};"
                " --timestamp_unit says otherwise"
            )
        # Of a whole number, this rounds once.
        return value / _DIVISORS[unit]


def _of_datetime(value: datetime.datetime) -> float:
    aware = value if value.tzinfo else value.replace(tzinfo=_UTC)
    return aware.timestamp()


def _float(text: str) -> float:
    # float() takes 1_000 and "nan", which are no times.
    if "_" in text or not text[-1].isdigit():
        msg = "no number"
        raise ValueError(msg)
    return float(text)
