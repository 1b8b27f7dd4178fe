"""When a history is over: the last record of its files has gone through the whole graph."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Final

from transforms.file_reader import FileReader, Files
from transforms.runtime.worker_context import WORKER
from transforms.splittable_read import Chunk

_ROUNDS: Final = 2
"""Finalized bundles that have to follow the files' last one before the topic is read.

Flink finalizes at a checkpoint all bundles that have ended by then, also those whose records stand
behind the checkpoint's barrier. What ended before an earlier checkpoint was complete stands before
the barrier of the next one, and so everything downstream has processed it when that is complete.
"""


class Handoff:
    """Whether the files' last record has gone through the whole graph. Thread-safe."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._rounds = 0

    def is_confirmed(self, wait_seconds: float) -> bool:
        """Waits until bundles enough are final; returns False if that takes longer."""
        with self._condition:
            return self._condition.wait_for(lambda: self._rounds >= _ROUNDS, wait_seconds)

    def next_round(self) -> Callable[[], None]:
        """Returns what a bundle calls when it is final."""
        this_round = self._rounds

        def confirm() -> None:
            with self._condition:
                # Several bundles of a round may become final at once.
                self._rounds = max(self._rounds, this_round + 1)
                self._condition.notify_all()

        return confirm


class Handoffs:
    """The handoffs of this process, one for each history that is read here."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._handoffs: dict[tuple[str, Files], Handoff] = {}
        self._done: set[str] = set()

    def get(self, scope: str, files: Files) -> Handoff:
        """Returns the handoff of these files, a new one if there is none."""
        with self._lock:
            return self._handoffs.setdefault((scope, files), Handoff())

    def finish(self, scope: str, files: Files) -> None:
        """Notes that the files have been handed over."""
        self.discard(scope, files)
        with self._lock:
            self._done.add(scope)

    def is_done(self, scope: str) -> bool:
        """Whether `finish` was called, in this process."""
        return scope in self._done

    def discard(self, scope: str, files: Files) -> None:
        """Forgets the handoff, as the files are read again."""
        with self._lock:
            self._handoffs.pop((scope, files), None)


class HistoryReader:
    """Ends after the files only when what was read of them has been processed.

    Args:
        reader: Of the files.
        scope: Of the handoff.
        files: What is read.
        patient: Whether to wait for it inside a call.
    """

    def __init__(self, reader: FileReader, scope: str, files: Files, *, patient: bool) -> None:
        self.reader = reader
        self.handed_over = False
        self._handoffs = WORKER.get(Handoffs)
        self._scope, self._files = scope, files
        self._patient = patient

    @property
    def sources(self) -> int:
        """One."""
        return 1

    def read(self, position: int, stop: int, wait_seconds: float) -> Chunk:
        """Returns the next batch; none while the end is not confirmed."""
        chunk = self.reader.read(position, stop, wait_seconds)
        if not chunk.exhausted:
            # What was confirmed before a failure says nothing of what is read again after it.
            self._handoffs.discard(self._scope, self._files)
            return chunk
        handoff = self._handoffs.get(self._scope, self._files)
        self.handed_over = handoff.is_confirmed(wait_seconds if self._patient else 0.0)
        return chunk._replace(exhausted=self.handed_over)

    def finish(self, finalizer: Any) -> bool:
        """Asks to be told when the bundle is final if that matters; returns whether it asked."""
        if self.handed_over:
            self._handoffs.finish(self._scope, self._files)
        elif self.reader.exhausted:
            finalizer.register(self._handoffs.get(self._scope, self._files).next_round())
            return True
        return False
