"""When the models of a process are exported: as a bundle begins, and while no bundle comes."""

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
"""Where bundles keep coming, one of them exports before the thread does; and what comes after this
step, as writing lists to a file, has ended by then."""


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


class Exporter:
    """Exports each model shard of a process every so often, if it has learned. Thread-safe.

    An export that fails is logged and tried again later: the one before it stays, and is as good
    to go on from. Only the last one of a shard has to succeed.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last: dict[CacheKey, float] = {}
        self._idle: dict[CacheKey, ExportedModel] = {}
        self._ended_at: dict[CacheKey, float] = {}
        self._thread: threading.Thread | None = None
        self._ended = threading.Event()

    def begin(self, key: CacheKey, one: ExportedModel) -> None:
        """Exports a shard as a bundle begins, if the last time is long ago.

        What a bundle begins with is what state has; what it learns may yet fail.
        """
        with self._lock:
            last = self._last.setdefault(key, time.monotonic())
        if time.monotonic() - last >= one.export.seconds:
            self._try(key, one)

    def end(self, key: CacheKey, one: ExportedModel) -> None:
        """Leaves a shard, as a bundle that learned has ended, to be exported if no other comes."""
        with self._lock:
            self._idle[key] = one
            self._ended_at[key] = time.monotonic()
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
                    for key, one in self._idle.items()
                    if now - self._last[key] >= one.export.seconds
                    and now - self._ended_at[key] >= _GRACE_SECONDS
                ]
            for key in due:
                self._export_idle(key)

    def _export_idle(self, key: CacheKey) -> None:
        # A bundle that begins now waits until its model is written.
        with WORKER.get(ModelCache).lent(key) as kept:
            with self._lock:
                one = self._idle.get(key)
            if kept is None or one is None:
                return
            if not WORKER.get(Unsent).is_sent(self._ended_at[key]):
                # A start from an export of now would not make the lists again that may yet be lost.
                return
            if kept.recommender is one.model.recommender:
                self._try(key, one)
            else:
                # It was rebuilt, and has learned nothing since.
                with self._lock:
                    self._idle.pop(key, None)

    def _try(self, key: CacheKey, one: ExportedModel) -> None:
        try:
            one.save()
        except Exception as e:
            _LOGGER.warning(
                "cannot export the model to %s: %s; the export before stays, and the next one is"
                " tried in %g s",
                one.export.directory,
                e,
                one.export.seconds,
            )
        else:
            with self._lock:
                self._idle.pop(key, None)
        with self._lock:
            self._last[key] = time.monotonic()
