"""Tells early that the input cannot be used, and why."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from transforms.formats.records import DeadLetter

WATCHED_RECORDS: Final = 1000

_DETAIL: Final = re.compile(r"'[^']*'|\"[^\"]*\"|[-+]?\d[\w.+-]*")
"""Quoted values and numbers, in which reasons of one kind differ."""


class _Kind(NamedTuple):
    """Dead letters whose reasons differ in details only: their number, and the first of them."""

    times: int
    origin: str
    reason: str


class ParseWatch:
    """Counts the dead letters among the first thousand records of one reader.

    It looks at batches, not at records, and at nothing after the first thousand.
    """

    def __init__(self) -> None:
        self._read = 0
        self._dead = 0
        self._kinds: dict[str, _Kind] = {}
        self._told = False

    def note(self, read: int, dead: Sequence[DeadLetter]) -> str:
        """Takes a batch into account.

        Args:
            read: How many records with a value it had.
            dead: Those that could not be used.

        Returns:
            What to log: that no record could be used so far, once, or that most of the first
            thousand could not; empty if there is nothing to say.
        """
        if self._read >= WATCHED_RECORDS or not read:
            return ""
        self._read += read
        self._dead += len(dead)
        for letter in dead:
            name = _DETAIL.sub("_", letter.reason)
            kind = self._kinds.get(name) or _Kind(0, letter.origin, letter.reason)
            self._kinds[name] = kind._replace(times=kind.times + 1)
        none, enough = self._dead == self._read, self._read >= WATCHED_RECORDS
        few = enough and self._dead * 2 > self._read
        text = self._text() if few or (none and not self._told) else ""
        self._told = self._told or none
        if enough:
            self._kinds.clear()
        return text

    def _text(self) -> str:
        usable = self._read - self._dead
        kind = max(self._kinds.values(), key=lambda one: one.times)
        text = (
            f"{usable or 'none'} of the first {self._read} record(s) could be used; most often,"
            f" {kind.times} time(s): {kind.reason} (for example {kind.origin})"
        )
        return " ".join(text.split())
