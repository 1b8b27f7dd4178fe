"""Origins of records as sources and positions: each is made to text when somebody reads it."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, overload


class Run(NamedTuple):
    """Records of one source that follow each other.

    Attributes:
        source: What the origin of each begins with, separator included.
        positions: Offset or line number of each.
    """

    source: str
    positions: Sequence[int]


class Origins(Sequence[str]):
    """Origins of records, each its source and its position.

    Args:
        runs: The records, in order; those without any are left out.

    Attributes:
        runs: Those that have records.
    """

    __slots__ = ("runs",)

    def __init__(self, runs: Iterable[Run]) -> None:
        self.runs = [run for run in runs if run.positions]

    @classmethod
    def of(cls, source: str, positions: Sequence[int]) -> Origins:
        """Returns those of one source."""
        return cls([Run(source, positions)])

    @classmethod
    def joined(cls, parts: Iterable[Origins]) -> Origins:
        """Returns those of all parts, in order."""
        runs = (run for part in parts for run in part.runs)
        return cls(
            Run(source, list(itertools.chain.from_iterable(run.positions for run in some)))
            for source, some in itertools.groupby(runs, lambda run: run.source)
        )

    def keep(self, kept: Sequence[bool]) -> Origins:
        """Returns those that are kept, with a flag for each."""
        flags = iter(kept)
        return Origins(
            Run(run.source, list(itertools.compress(run.positions, flags))) for run in self.runs
        )

    def take(self, places: Sequence[int]) -> Origins:
        """Returns those at some places, in the order of these."""
        if len(self.runs) == 1:
            (run,) = self.runs
            return Origins.of(run.source, [run.positions[at] for at in places])
        each = [Run(run.source, [position]) for run in self.runs for position in run.positions]
        return Origins.joined([Origins(each[at] for at in places)])

    def __len__(self) -> int:
        return sum(len(run.positions) for run in self.runs)

    def __iter__(self) -> Iterator[str]:
        for run in self.runs:
            yield from map(run.source.__add__, map(str, run.positions))

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> Origins: ...

    def __getitem__(self, index: int | slice) -> str | Origins:
        if isinstance(index, slice):
            places = range(len(self))[index]
            if places.step != 1:
                return self.take(places)
            return Origins(self._between(places.start, places.stop))
        at = range(len(self))[index]
        (run,) = Origins(self._between(at, at + 1)).runs
        return f"{run.source}{run.positions[0]}"

    def _between(self, start: int, stop: int) -> Iterator[Run]:
        """Yields the records from a place up to, not including, another one."""
        for run in self.runs:
            yield Run(run.source, run.positions[max(0, start) : max(0, stop)])
            start -= len(run.positions)
            stop -= len(run.positions)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(list(self))
