"""Origins of records, made when they are read: most are needed by nobody."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import overload


class Origins(Sequence[str]):
    """Origins of records of one source, each its source and its position.

    Args:
        source: What each begins with, separator included.
        positions: Offset or line number of each record.
    """

    __slots__ = ("_positions", "_source")

    def __init__(self, source: str, positions: Sequence[int]) -> None:
        self._source = source
        self._positions = positions

    def keep(self, kept: Sequence[bool]) -> Origins:
        """Returns those that are kept, with a flag for each."""
        return Origins(self._source, list(itertools.compress(self._positions, kept)))

    def __len__(self) -> int:
        return len(self._positions)

    def __iter__(self) -> Iterator[str]:
        return map(self._source.__add__, map(str, self._positions))

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> Origins: ...

    def __getitem__(self, index: int | slice) -> str | Origins:
        if isinstance(index, slice):
            return Origins(self._source, self._positions[index])
        return f"{self._source}{self._positions[index]}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(list(self))
