"""Positions of a model shard: the offsets up to which it has learned each partition."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from transforms.errors import IncompatibleModelError
from transforms.formats.origins import Origins
from transforms.formats.rating_columns import columns_of
from transforms.formats.records import Rating

Positions = Mapping[str, int]
"""By origin prefix, as `ratings-0-`, the offset after the last record learned of a partition.

A partition's records are learned in the order of their offsets, so all before it are learned.
"""

# The events of one record are numbered: `ratings-0-17#2`.
_ORIGIN: Final = re.compile(r"(.+-\d+-)(\d{1,18})(?:#\d+)?", re.ASCII | re.DOTALL)


def after(positions: Positions, ratings: Sequence[Rating]) -> dict[str, int]:
    """Returns the positions after further ratings were learned.

    Only ratings of topics count, whose origins are `topic-partition-offset`: ratings of files may
    have been sorted.
    """
    found = dict(positions)
    origins = columns_of(ratings).origins if ratings else ()
    if not origins:
        return found
    for _, last in _ends_of_runs(origins):
        if parsed := _parsed(last):
            source, number = parsed
            found[source] = max(number + 1, found.get(source, 0))
    return found


def are_new(positions: Positions, ratings: Sequence[Rating]) -> list[bool] | None:
    """Returns for each rating whether it lies behind the positions; None if all do."""
    origins = columns_of(ratings).origins if ratings and positions else ()
    if not origins:
        return None
    if all(_is_new(positions, first) for first, _ in _ends_of_runs(origins)):
        return None
    return [_is_new(positions, origin) for origin in origins]


def earliest(shards: Iterable[Positions]) -> dict[str, int]:
    """Returns the lowest position of each partition; one that a shard lacks is left out."""
    first, *others = shards
    known = set(first).intersection(*others)
    return {source: min(one[source] for one in (first, *others)) for source in sorted(known)}


def encode(positions: Positions, imported: Positions) -> bytes:
    """Returns JSON for state: the current positions, and those of the imported model."""
    return json.dumps([positions, imported]).encode()


def decode(encoded: bytes | None) -> tuple[dict[str, int], dict[str, int]]:
    """Returns what `encode` wrote; nothing for None.

    Raises:
        IncompatibleModelError: It is no such thing.
    """
    try:
        positions, imported = ({}, {}) if encoded is None else json.loads(encoded)
        return checked(positions), checked(imported)
    except (ValueError, TypeError, RecursionError) as e:
        msg = f"the positions in state are damaged: {e}"
        raise IncompatibleModelError(msg) from e


def checked(document: object) -> dict[str, int]:
    """Returns positions that came from outside.

    Raises:
        ValueError: They are none.
    """
    if not isinstance(document, dict):
        msg = f"positions are {document!r}, expected an offset for each partition"
        raise ValueError(msg)
    for source, position in document.items():
        if type(position) is not int or not 0 <= position < 1 << 63:
            msg = f"the position in {source!r} is {position!r}, expected an offset"
            raise ValueError(msg)
    return document


def _parsed(origin: str) -> tuple[str, int] | None:
    found = _ORIGIN.fullmatch(origin)
    return (found[1], int(found[2])) if found else None


def _ends_of_runs(origins: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yields the lowest and the highest origin of each run of records of one partition."""
    if isinstance(origins, Origins):
        for source, positions in origins.runs:
            yield f"{source}{min(positions)}", f"{source}{max(positions)}"
        return
    first = _parsed(origins[0])
    # What one read gives ascends. `ratings-1-` is also what an origin of the topic `ratings-1`
    # begins with, so all up to the last hyphen is compared.
    if first and all(f"{origin.rpartition('-')[0]}-" == first[0] for origin in origins):
        yield origins[0], origins[-1]
    else:
        yield from zip(origins, origins, strict=True)


def _is_new(positions: Positions, origin: str) -> bool:
    parsed = _parsed(origin)
    return parsed is None or parsed[1] >= positions.get(parsed[0], 0)
