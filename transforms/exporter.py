"""Exports the models of a process, as they are when a bundle begins, or while none comes."""

from __future__ import annotations

import logging
import threading
import time
from typing import Final, NamedTuple

from transforms import model_export
from transforms.learning.state import ModelCache, ShardModel
from transforms.learning.token_cache import CacheKey
from transforms.model_export import ModelExport
from transforms.recommenders.arrays import Arrays
from transforms.recommenders.registry import RecommenderSpec
from transforms.runtime.unsent import Unsent
from transforms.runtime.worker_context import WORKER

_LOGGER: Final = logging.getLogger(__name__)
_LOOK_SECONDS: Final = 0.5
_GRACE_SECONDS: Final = 1.0
"""Lets the next bundle export first, and later steps, such as writing to a file, finish."""


class ExportedModel(NamedTuple):
    """A model shard as it is, and where it goes.

    Attributes:
        export: Where and how often.
        shard: (user shard, item shard).
        shards: How many user shards and item shards there are.
        spec: What the model was made from.
        model: The model.
    """

    export: ModelExport
    shard: tuple[int, int]
    shards: tuple[int, int]
    spec: RecommenderSpec
    model: ShardModel

    def save(self, arrays: Arrays | None = None) -> None:
        """Writes it, unless it has learned nothing.

        Args:
            arrays: See `model_export.save`, which also says what is raised.
        """
        if self.model.sequence:
            model_export.save(self.export, self.shard, self.shards, self.spec, self.model, arrays)


class _Copy(NamedTuple):
    """A shard at some time, to be written while it learns on.

    Attributes:
        exported: The shard.
        arrays: Those of its recommender at that time.
    """

    exported: ExportedModel
    arrays: Arrays


class _Idle(NamedTuple):
    """A shard between two bundles, which has learned since its last export.

    Attributes:
        exported: The shard.
        since: When its last bundle ended, on the monotonic clock.
    """

    exported: ExportedModel
    since: float


class Exporter:
    """Periodically exports the model shards of a process that have learned. Thread-safe.

    A shard waits while its arrays are copied; a thread encodes and writes them. A failed export
    is logged and retried later: the previous one stays, and a job can resume from it. Only a
    shard's last export has to succeed.
    """

    def __init__(self) -> None:
        self._lock = threading.Condition()
        self._last: dict[CacheKey, float] = {}
        self._idle: dict[CacheKey, _Idle] = {}
        self._copies: dict[CacheKey, _Copy] = {}
        self._writing: CacheKey | None = None
        self._thread: threading.Thread | None = None
        self._ended = False

    def begin(self, key: CacheKey, one: ExportedModel) -> None:
        """Exports a shard when a bundle begins, if its last export is old enough.

        The model is then as in committed state; what the bundle learns may yet fail.
        """
        with self._lock:
            last = self._last.setdefault(key, time.monotonic())
        if time.monotonic() - last >= one.export.seconds:
            self._copy(key, one)

    def end(self, key: CacheKey, one: ExportedModel) -> None:
        """Leaves a shard to the thread when a bundle that learned ends, unless another follows."""
        with self._lock:
            self._idle[key] = _Idle(one, time.monotonic())
            self._start()

    def finish(self, key: CacheKey, one: ExportedModel) -> None:
        """Exports a shard whose input has ended.

        Raises:
            OSError: It cannot be written.
            IncompatibleModelError: What was exported before is damaged.
        """
        with self._lock:
            self._idle.pop(key, None)
            self._copies.pop(key, None)
            self._lock.wait_for(lambda: self._writing != key)
        try:
            one.save()
        except OSError as e:
            msg = f"cannot export the model to {one.export.directory}: {e}"
            raise OSError(msg) from e

    def close(self) -> None:
        """Ends the thread."""
        with self._lock:
            self._ended = True
            self._lock.notify_all()
        if self._thread is not None:
            self._thread.join()

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="exporter", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while True:
            with self._lock:
                self._lock.wait_for(lambda: self._ended or self._copies, _LOOK_SECONDS)
                if self._ended:
                    return
                now = time.monotonic()
                due = [
                    key
                    for key, idle in self._idle.items()
                    if now - self._last[key] >= idle.exported.export.seconds
                    and now - idle.since >= _GRACE_SECONDS
                ]
            for key in due:
                self._copy_idle(key)
            self._write_copies()

    def _copy_idle(self, key: CacheKey) -> None:
        # A bundle that begins now waits until its model is copied.
        with WORKER.get(ModelCache).lent(key) as kept:
            with self._lock:
                idle = self._idle.get(key)
            if kept is None or idle is None:
                return
            if not WORKER.get(Unsent).is_sent(idle.since):
                # Recommendations that are lost now would not be made again from this export.
                return
            if kept.recommender is idle.exported.model.recommender:
                self._copy(key, idle.exported)
            else:
                # The shard was rebuilt, and has learned nothing since.
                with self._lock:
                    self._idle.pop(key, None)

    def _copy(self, key: CacheKey, one: ExportedModel) -> None:
        with self._lock:
            self._last[key] = time.monotonic()
        try:
            copy = _Copy(one, one.model.recommender.state_dict())
        except MemoryError:
            _warn(one.export, "not enough memory for a copy")
            return
        with self._lock:
            # One that was not written in time is replaced.
            self._copies[key] = copy
            self._start()
            self._lock.notify_all()

    def _write_copies(self) -> None:
        while True:
            with self._lock:
                if self._ended or not self._copies:
                    return
                self._writing = key = next(iter(self._copies))
                copy = self._copies.pop(key)
            written = self._try(copy)
            sequence = copy.exported.model.sequence
            with self._lock:
                self._writing = None
                self._last[key] = time.monotonic()
                idle = self._idle.get(key)
                if written and idle and idle.exported.model.sequence == sequence:
                    del self._idle[key]
                self._lock.notify_all()

    def _try(self, copy: _Copy) -> bool:
        """Writes a copy; returns whether that succeeded."""
        try:
            copy.exported.save(copy.arrays)
        # The clients of object stores raise errors of their own.
        except Exception as e:
            _warn(copy.exported.export, e)
            return False
        return True


def _warn(export: ModelExport, reason: object) -> None:
    _LOGGER.warning(
        "cannot export the model to %s: %s; the previous export stays, and the next attempt is in"
        " %g s",
        export.directory,
        reason,
        export.seconds,
    )
