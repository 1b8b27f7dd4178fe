"""The command line of every rival that reads a topic."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Arguments(NamedTuple):
    """`BROKER IN OUT RATINGS`; with `-` for OUT it only learns."""

    broker: str
    source: str
    target: str
    ratings: int

    @classmethod
    def of(cls, argv: Sequence[str]) -> Arguments:
        """Reads a command line."""
        broker, source, target, ratings = argv[1:5]
        return cls(broker, source, target, int(ratings))

    @property
    def lists(self) -> bool:
        """Whether lists are to be sent."""
        return self.target != "-"
