"""Exports the models of a process: when a bundle begins, and by a thread while none comes."""

from __future__ import annotations

import logging
import threading
import time
from typing import Final, NamedTuple

from transforms import model_export
from transforms.learning.state import ModelCache, ShardModel
from transforms.learning.token_cache import CacheKey
from transforms.model_export import ModelExport
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

    def save(self) -> None:
        """Writes it, unless it has learned nothing; raises as `model_export.save` does."""
        if self.model.sequence:
            model_export.save(self.export, self.shard, self.shards, self.spec, self.model)


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

    A failed export is logged and retried later: the previous one stays, and a job can resume from
    it. Only a shard's last export has to succeed.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last: dict[CacheKey, float] = {}
        self._idle: dict[CacheKey, _Idle] = {}
        self._thread: threading.Thread | None = None
        self._ended = threading.Event()

    def begin(self, key: CacheKey, one: ExportedModel) -> None:
        """Exports a shard when a bundle begins, if its last export is old enough.

        The model is then as in committed state; what the bundle learns may yet fail.
        """
        with self._lock:
            last = self._last.setdefault(key, time.monotonic())
        if time.monotonic() - last >= one.export.seconds:
            self._try(key, one)

    def end(self, key: CacheKey, one: ExportedModel) -> None:
        """Leaves a shard to the thread when a bundle that learned ends, unless another follows."""
        with self._lock:
            self._idle[key] = _Idle(one, time.monotonic())
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="exporter", daemon=True)
                self._thread.start()

    def finish(self, key: CacheKey, one: ExportedModel) -> None:
        """Exports a shard whose input has ended.

        Raises:
            OSError: It cannot be written.
            IncompatibleModelError: What was exported before is damaged.
        """
        with self._lock:
            self._idle.pop(key, None)
        try:
            one.save()
        except OSError as e:
            msg = f"cannot export the model to {one.export.directory}: {e}"
            raise OSError(msg) from e

    def close(self) -> None:
        """Ends the thread."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(_LOOK_SECONDS):
            now = time.monotonic()
            with self._lock:
                due = [
                    key
                    for key, idle in self._idle.items()
                    if now - self._last[key] >= idle.exported.export.seconds
                    and now - idle.since >= _GRACE_SECONDS
                ]
            for key in due:
                self._export_idle(key)

    def _export_idle(self, key: CacheKey) -> None:
        # A bundle that begins now waits until its model is written.
        with WORKER.get(ModelCache).lent(key) as kept:
            with self._lock:
                idle = self._idle.get(key)
            if kept is None or idle is None:
                return
            if not WORKER.get(Unsent).is_sent(idle.since):
                # Recommendations that are lost now would not be made again from this export.
                return
            if kept.recommender is idle.exported.model.recommender:
                self._try(key, idle.exported)
            else:
                # The shard was rebuilt, and has learned nothing since.
                with self._lock:
                    self._idle.pop(key, None)

    def _try(self, key: CacheKey, one: ExportedModel) -> None:
        try:
            one.save()
        # The clients of object stores raise errors of their own.
        except Exception as e:
            _LOGGER.warning(
                "cannot export the model to %s: %s; the previous export stays, and the next attempt"
                " is in %g s",
                one.export.directory,
                e,
                one.export.seconds,
            )
        else:
            with self._lock:
                self._idle.pop(key, None)
        with self._lock:
            self._last[key] = time.monotonic()
