"""Which Kafka headers of a rating or request come back on its recommendation."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Final

from transforms.formats.records import Header

DEFAULT_NAMES: Final = (
    "traceparent",
    "tracestate",
    "baggage",
    "correlation-id",
    "correlation_id",
    "x-correlation-id",
    "x-request-id",
)
"""W3C Trace Context, W3C Baggage, and what correlation ids are usually called."""

MAX_BYTES: Final = 8192
"""Of all headers of a record together, the limit of W3C Baggage; what is beyond is dropped."""

RESERVED: Final = "origin"
"""The header that names where the rating or request was read."""


def names_of(further: Iterable[str]) -> frozenset[str]:
    """Returns the names that are passed, in lower case.

    Args:
        further: Beside `DEFAULT_NAMES`.

    Raises:
        ValueError: One is empty, or `RESERVED`.
    """
    names = frozenset(name.strip().lower() for name in further)
    for name in ("", RESERVED):
        if name in names:
            msg = f"a header named {name!r} cannot be passed on"
            raise ValueError(msg)
    return names | frozenset(DEFAULT_NAMES)


def passed(headers: Sequence[Header], names: Collection[str]) -> tuple[Header, ...]:
    """Returns the headers of these names, in order, as far as `MAX_BYTES` goes."""
    kept: list[Header] = []
    size = 0
    for header in headers:
        if header.key.lower() in names:
            size += len(header.key) + len(header.value)
            if size > MAX_BYTES:
                break
            kept.append(header)
    return tuple(kept)
