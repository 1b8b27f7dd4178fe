"""The entries of a model shard's log: ratings that changed its model, as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from operator import itemgetter
from typing import Final

import orjson

from transforms.errors import IncompatibleModelError
from transforms.formats.rating_columns import RatingColumns, columns_of, of_plain
from transforms.formats.records import Rating
from transforms.learning.snapshot_codec import VERSION, require_version

_BEGINNING: Final = 64
"""An entry's version and number are within so many bytes."""


def encode(first: int, ratings: Sequence[Rating]) -> bytes:
    """Returns ratings without origins and headers; the first one's number is `first`, from 0."""
    *plain, _, features, weights, _ = columns_of(ratings)
    return orjson.dumps([VERSION, first, *plain, features, weights], default=list)


def decode_in_order(entries: Iterable[bytes], learned: int) -> Iterator[RatingColumns]:
    """Yields the ratings of entries that come in any order, entry by entry.

    They are decoded one by one, as what is decoded takes several times the memory.

    Args:
        entries: What `encode` returned, perhaps damaged since.
        learned: The number of the first rating.

    Raises:
        IncompatibleModelError: An entry is damaged, missing, or of another version.
    """
    for first, entry in sorted(((_first_of(entry), entry) for entry in entries), key=itemgetter(0)):
        if first != learned:
            msg = f"the log has a hole: entry {first} follows {learned} ratings"
            raise IncompatibleModelError(msg)
        ratings = _decode(entry)
        yield ratings
        learned += len(ratings)


def _first_of(entry: bytes) -> int:
    """Returns the number of an entry's first rating, from its beginning alone."""
    try:
        version, first = entry[1:_BEGINNING].split(b",", 2)[:2]
        numbers = int(version), int(first)
    except ValueError as e:
        msg = f"a log entry is damaged: {e}"
        raise IncompatibleModelError(msg) from e
    require_version(numbers[0])
    return numbers[1]


def _decode(entry: bytes) -> RatingColumns:
    try:
        _, _, *columns = orjson.loads(entry)
        *plain, features, weights = columns
        return of_plain([*plain, [""] * len(plain[0]), features, weights, ()])
    except (TypeError, ValueError, IndexError) as e:
        msg = f"a log entry is damaged: {e}"
        raise IncompatibleModelError(msg) from e
