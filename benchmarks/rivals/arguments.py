"""The command line of every rival that reads a topic."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Arguments(NamedTuple):
    """`BROKER IN OUT learn|list`."""

    broker: str
    source: str
    target: str
    mode: str

    @classmethod
    def of(cls, argv: Sequence[str]) -> Arguments:
        """Reads a command line."""
        return cls(*argv[1:5])

    @property
    def lists(self) -> bool:
        """Whether each learned rating is answered by a list."""
        return self.mode == "list"
