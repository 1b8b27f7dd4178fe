"""Text with separated columns: CSV and TSV with a header, MovieLens' files without one."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from typing import Final, NamedTuple

from transforms.errors import MalformedRecordError, UnsupportedFormatError

_MOVIELENS: Final = ("user", "item", "rating", "timestamp")
_SHOWN: Final = 200


class Columns(NamedTuple):
    """The columns of a line.

    Attributes:
        separator: Separates two columns.
        names: Names of the columns, in order.
        quoted: Whether a column may be in double quotes, as in CSV.
    """

    separator: str
    names: tuple[str, ...]
    quoted: bool


MOVIELENS_TABS: Final = Columns("\t", _MOVIELENS, quoted=False)
MOVIELENS_COLONS: Final = Columns("::", _MOVIELENS, quoted=False)


def columns_of_header(header: str, separator: str) -> Columns:
    """Returns the columns that a header line names.

    Raises:
        UnsupportedFormatError: The line is no row of CSV, or names a column twice.
    """
    shown = shown_header(header)
    try:
        cells = next(csv.reader([header], delimiter=separator), [])
    except csv.Error as e:
        msg = f"the header {shown} is no row of CSV: {e}"
        raise UnsupportedFormatError(msg) from e
    names = tuple(cell.strip() for cell in cells)
    for name in filter(None, names):
        if names.count(name) > 1:
            msg = f"the header {shown} names the column {name[:_SHOWN]!r} twice"
            raise UnsupportedFormatError(msg)
    return Columns(separator, names, quoted=True)


def shown_header(header: str) -> str:
    """Returns a header line for an error message."""
    return repr(header if len(header) <= _SHOWN else header[:_SHOWN] + "...")


def decode(value: bytes, columns: Columns) -> Sequence[str]:
    """Splits a line into a cell for each column, without spaces around it.

    Raises:
        MalformedRecordError: Not UTF-8, broken quoting, or too few columns.
    """
    try:
        line = value.decode("utf-8")
    except UnicodeDecodeError as e:
        msg = f"invalid UTF-8 at byte {e.start}"
        raise MalformedRecordError(msg) from e
    separator, names, quoted = columns
    cells: list[str]
    if quoted and '"' in line:
        try:
            cells = next(csv.reader([line], delimiter=separator, strict=True))
        except (csv.Error, StopIteration) as e:
            msg = f"broken quoting: {e}"
            raise MalformedRecordError(msg) from e
    else:
        cells = line.split(separator)
    if len(cells) < len(names):
        msg = f"{len(cells)} column(s), expected at least {len(names)}"
        raise MalformedRecordError(msg)
    return list(map(str.strip, cells))
