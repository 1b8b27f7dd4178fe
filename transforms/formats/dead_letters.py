"""Dead letters: JSON lines for files; for topics the record as it came, with headers.

The headers follow Kafka Connect's dead letter queue (KIP-298), whose names begin with
`__connect.errors.`: ours begin with `PREFIX`.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any, Final, NamedTuple, TypeVar

import orjson

from transforms.errors import MalformedRecordError
from transforms.formats.records import DeadLetter, Header

PREFIX: Final = "__flurs_beam.errors."
"""Names of headers that begin with it belong to the letter, not to the record."""
ORIGIN: Final = PREFIX + "origin"
STAGE: Final = PREFIX + "stage"
REASON: Final = PREFIX + "reason"
EXCEPTION: Final = PREFIX + "exception.class.name"
CUT: Final = PREFIX + "cut"
"""Number of bytes that the value had before it was cut to fit the topic."""

_T = TypeVar("_T")


class Kept(NamedTuple):
    """A dead letter as a topic holds it.

    Attributes:
        letter: The letter.
        whole_bytes: Size of the value before it was cut; None if it is whole.
    """

    letter: DeadLetter
    whole_bytes: int | None = None


def class_name(error: BaseException) -> str:
    """Returns an error's class with its module, as `DeadLetter.exception` has it."""
    return f"{type(error).__module__}.{type(error).__qualname__}"


def letter_headers(letter: DeadLetter, whole_bytes: int | None = None) -> list[Header]:
    """Returns the record's own headers and then ours.

    Args:
        letter: The letter.
        whole_bytes: Size of the value before it was cut; None if it is whole.
    """
    ours = [(ORIGIN, letter.origin), (STAGE, letter.stage), (REASON, letter.reason)]
    if letter.exception:
        ours.append((EXCEPTION, letter.exception))
    if whole_bytes is not None:
        ours.append((CUT, str(whole_bytes)))
    return [
        *own_headers(letter.headers),
        *(Header(name, value.encode("utf-8", "backslashreplace")) for name, value in ours),
    ]


def own_headers(headers: Sequence[Header]) -> list[Header]:
    """Returns the headers that belong to the record itself."""
    return [header for header in headers if not header.key.startswith(PREFIX)]


def letter_of_record(
    key: bytes | None, value: bytes | None, headers: Sequence[Header], time: float
) -> Kept:
    """Reads a record of a dead-letter topic.

    Args:
        key: The record's key.
        value: The record's value.
        headers: All of its headers.
        time: The record's time, in seconds since the epoch.

    Raises:
        MalformedRecordError: It is no dead letter.
    """
    ours = {
        name: value.decode("utf-8", "replace")
        for name, value in headers
        if name.startswith(PREFIX) and value is not None
    }
    missing = [name for name in (ORIGIN, STAGE, REASON) if name not in ours]
    if missing:
        msg = f"not a dead letter: the header {missing[0]} is missing"
        raise MalformedRecordError(msg)
    letter = DeadLetter(
        ours[ORIGIN],
        ours[STAGE],
        ours[REASON],
        value or b"",
        key,
        tuple(own_headers(headers)),
        time,
        ours.get(EXCEPTION, ""),
    )
    cut = ours.get(CUT)
    if cut is not None and not cut.isdecimal():
        msg = f"not a dead letter: the header {CUT} is {cut[:60]!r}, expected a number of bytes"
        raise MalformedRecordError(msg)
    return Kept(letter, None if cut is None else int(cut))


def encode_dead_letter(letter: DeadLetter) -> bytes:
    """Writes `{"origin": ..., "stage": ..., "reason": ..., "value": "<base64>"}`.

    `exception`, `key` (base64), `headers` (pairs of a name and base64) and `time` follow where the
    letter has them.
    """
    fields: dict[str, object] = {
        "origin": letter.origin,
        "stage": letter.stage,
        "reason": letter.reason,
        "value": _base64(letter.value),
    }
    if letter.exception:
        fields["exception"] = letter.exception
    if letter.key is not None:
        fields["key"] = _base64(letter.key)
    if letter.headers:
        fields["headers"] = [(name, _base64(value)) for name, value in letter.headers]
    if letter.time:
        fields["time"] = letter.time
    return orjson.dumps(fields)


def decode_dead_letter(line: bytes) -> DeadLetter:
    """Reads what `encode_dead_letter` wrote; further keys are ignored.

    Raises:
        MalformedRecordError: It is no dead letter.
    """
    try:
        fields = _checked(orjson.loads(line), dict)
        get = fields.get
        headers = [_checked(pair, list) for pair in _checked(get("headers", []), list)]
        return DeadLetter(
            _checked(fields["origin"], str),
            _checked(fields["stage"], str),
            _checked(fields["reason"], str),
            _bytes(fields["value"]),
            _bytes(fields["key"]) if "key" in fields else None,
            tuple(Header(_checked(name, str), _bytes(value)) for name, value in headers),
            float(_checked(get("time", 0.0), (int, float))),
            _checked(get("exception", ""), str),
        )
    except (KeyError, TypeError, ValueError, OverflowError) as e:
        msg = f"not a dead letter: {type(e).__name__}: {e}"
        raise MalformedRecordError(msg) from e


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")


def _bytes(value: object) -> bytes:
    return base64.b64decode(_checked(value, str), validate=True)


def _checked(value: Any, kind: type[_T] | tuple[type[_T], ...]) -> _T:
    if not isinstance(value, kind):
        msg = f"a value of type {type(value).__name__}"
        raise TypeError(msg)
    return value
