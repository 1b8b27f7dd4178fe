"""Titles of items, for people."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from transforms.errors import UnsupportedFormatError

_HEADERS: Final = {"item", "itemid", "movieid", "id"}


def read_titles(path: str) -> Mapping[str, str]:
    """Reads a file whose first column is the item's id and whose second is its title.

    That is MovieLens' `u.item` (`|` between columns, Latin-1), `movies.dat` (`::`) and
    `movies.csv`, and any CSV or TSV, with a header or without.

    Returns:
        Titles by item.

    Raises:
        OSError: The file cannot be read; the text says that it is the file of titles.
        UnsupportedFormatError: A line has a single column, or the file is empty.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as e:
        msg = f"cannot read --titles {path}: {e.strerror or e}"
        raise OSError(msg) from e
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    separator = _separator(text.split("\n", 1)[0])
    rows: Iterable[list[str]]
    if separator == ",":
        rows = csv.reader(io.StringIO(text, newline=""))
    else:
        # Not splitlines(), which also breaks at control characters of Latin-1.
        lines = text.replace("\r\n", "\n").split("\n")
        rows = (line.split(separator) if line else [] for line in lines)
    titles: dict[str, str] = {}
    try:
        for number, row in enumerate(rows, start=1):
            if not row:
                continue
            if len(row) < 2:
                msg = f"{path}:{number}: {row[0][:60]!r} has one column, expected item and title"
                raise UnsupportedFormatError(msg)
            name = row[0].strip()
            if number == 1 and name.split(":")[0].replace("_", "").lower() in _HEADERS:
                continue
            titles[name] = row[1].strip()
    except csv.Error as e:
        msg = f"{path} is not valid CSV: {e}"
        raise UnsupportedFormatError(msg) from e
    if not titles:
        msg = f"{path} has no titles: expected lines with an item and its title"
        raise UnsupportedFormatError(msg)
    return titles


def _separator(line: str) -> str:
    """Returns the column separator: the one that occurs first."""
    found = [(line.find(one), one) for one in ("\t", "|", "::", ",") if one in line]
    return min(found)[1] if found else ","
