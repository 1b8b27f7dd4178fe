"""Text with separated columns: CSV and TSV with a header, MovieLens' files without one."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from typing import NamedTuple

from transforms.errors import MalformedRecordError, UnsupportedFormatError
from transforms.formats.records import Rating, checked_rating

FIELDS = ("user", "item", "rating", "timestamp")
_SHOWN = 200
_SYNONYMS = {
    "user": "user",
    "userid": "user",
    "item": "item",
    "itemid": "item",
    "movie": "item",
    "movieid": "item",
    "rating": "rating",
    "timestamp": "timestamp",
}


class Columns(NamedTuple):
    """Where the four fields stand in a line.

    Attributes:
        separator: What stands between two columns.
        positions: Column numbers, from 0, of user, item, rating and timestamp.
        quoted: Whether a column may be in double quotes, as in CSV.
    """

    separator: str
    positions: tuple[int, int, int, int]
    quoted: bool


MOVIELENS_TABS = Columns("\t", (0, 1, 2, 3), quoted=False)
MOVIELENS_COLONS = Columns("::", (0, 1, 2, 3), quoted=False)


def columns_of_header(header: str, separator: str) -> Columns:
    """Finds the four fields in a header line.

    Names are compared without case, underscores and a `:type` suffix: `userId`, `user_id`
    and `user_id:token` are all the user; `movieId` is an item.

    Raises:
        UnsupportedFormatError: A field has no column, or two.
    """
    shown = repr(header if len(header) <= _SHOWN else header[:_SHOWN] + "...")
    try:
        names = next(csv.reader([header], delimiter=separator))
    except csv.Error as e:
        msg = f"the header {shown} is no row of CSV: {e}"
        raise UnsupportedFormatError(msg) from e
    found: dict[str, int] = {}
    for position, name in enumerate(names):
        plain = name.split(":")[0].replace("_", "").strip().lower()
        field = _SYNONYMS.get(plain)
        if field in found:
            msg = f"the header {shown} names two columns for the {field}"
            raise UnsupportedFormatError(msg)
        if field:
            found[field] = position
    missing = [field for field in FIELDS if field not in found]
    if missing:
        msg = (
            f"the header {shown} has no column for {', '.join(missing)};"
            f" expected the columns {', '.join(FIELDS)}"
        )
        raise UnsupportedFormatError(msg)
    user, item, rating, timestamp = (found[field] for field in FIELDS)
    return Columns(separator, (user, item, rating, timestamp), quoted=True)


def decode_rating(value: bytes, origin: str, columns: Columns) -> Rating:
    """Reads one line.

    Raises:
        MalformedRecordError: Not UTF-8, too few columns, or a value that is unusable.
    """
    try:
        line = value.decode("utf-8")
    except UnicodeDecodeError as e:
        msg = f"invalid UTF-8 at byte {e.start}"
        raise MalformedRecordError(msg) from e
    separator, positions, quoted = columns
    cells: Sequence[str]
    if quoted and '"' in line:
        try:
            cells = next(csv.reader([line], delimiter=separator, strict=True))
        except (csv.Error, StopIteration) as e:
            msg = f"broken quoting: {e}"
            raise MalformedRecordError(msg) from e
    else:
        cells = line.split(separator)
    if len(cells) <= max(positions):
        msg = f"{len(cells)} column(s), expected at least {max(positions) + 1}"
        raise MalformedRecordError(msg)
    user, item, rating, timestamp = (cells[position].strip() for position in positions)
    return checked_rating(
        user, item, _number("rating", rating), _number("timestamp", timestamp), origin
    )


def _number(name: str, text: str) -> float:
    # float() takes 1_000 for a number, and no writer of ratings means that.
    if "_" not in text:
        try:
            return float(text)
        except ValueError:
            pass
    msg = f"{name} is {text[:40]!r}, expected a number"
    raise MalformedRecordError(msg)
