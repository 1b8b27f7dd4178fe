"""Origins of records as a source and positions: each is made to text when somebody reads it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import overload


class Origins(Sequence[str]):
    """Origins of records of one source, each its source and its position.

    Attributes:
        source: What each begins with, separator included.
        positions: Offset or line number of each record.
    """

    __slots__ = ("positions", "source")

    def __init__(self, source: str, positions: Sequence[int]) -> None:
        self.source = source
        self.positions = positions

    def keep(self, kept: Sequence[bool]) -> Origins:
        """Returns those that are kept, with a flag for each."""
        return Origins(self.source, list(itertools.compress(self.positions, kept)))

    def take(self, places: Sequence[int]) -> Origins:
        """Returns those at some places, in the order of these."""
        return Origins(self.source, [self.positions[at] for at in places])

    def __len__(self) -> int:
        return len(self.positions)

    def __iter__(self) -> Iterator[str]:
        return map(self.source.__add__, map(str, self.positions))

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> Origins: ...

    def __getitem__(self, index: int | slice) -> str | Origins:
        if isinstance(index, slice):
            return Origins(self.source, self.positions[index])
        return f"{self.source}{self.positions[index]}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(list(self))
