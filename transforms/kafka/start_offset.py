"""Where a source starts to read."""

from __future__ import annotations

import datetime
from typing import Final

EARLIEST: Final = "earliest"
LATEST: Final = "latest"
COMMITTED: Final = "committed"
START_OFFSETS: Final = (EARLIEST, LATEST, COMMITTED)


def start_seconds(start_offset: str) -> float | None:
    """Returns the time that a start offset names, in seconds since the epoch; None for a word.

    A time is ISO 8601, in UTC unless it has another zone: `2026-11-25`, `2026-11-25T10:00:00Z`.

    Raises:
        ValueError: It is neither one of `START_OFFSETS` nor a time.
    """
    if start_offset in START_OFFSETS:
        return None
    try:
        time = datetime.datetime.fromisoformat(start_offset)
        seconds = (time if time.tzinfo else time.replace(tzinfo=datetime.UTC)).timestamp()
    except (ValueError, OverflowError):
        seconds = -1.0
    if seconds < 0:
        msg = (
            f"start_offset is {start_offset!r}, expected {', '.join(START_OFFSETS)}, or a time"
            " such as 2026-11-25T10:00:00Z"
        )
        raise ValueError(msg)
    return seconds
