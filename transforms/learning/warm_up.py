"""Compiles the kernels of a model before the first rating comes, rather than while it waits."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import replace
from typing import Final

from numba.core import event

from transforms.formats.records import Features, Rating, Request
from transforms.learning.shard import learn
from transforms.recommenders.numerics import jit
from transforms.recommenders.recommender import Recommender
from transforms.recommenders.registry import RecommenderSpec
from transforms.runtime.worker_context import WORKER

_LOG: Final = logging.getLogger(__name__)
_WORTH_TELLING_SECONDS: Final = 1.0


class _Warm:
    """The models whose kernels this process has compiled."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.models: set[str] = set()


class _Compiling(event.Listener):
    """Says once that kernels are being compiled, as nothing else is said meanwhile.

    Attributes:
        has_begun: Whether any was compiled rather than found in the cache.
    """

    def __init__(self, model: str) -> None:
        self.has_begun = False
        self._model = model

    def on_start(self, event: event.Event) -> None:
        del event
        if not self.has_begun:
            _LOG.info("compiling the kernels of %s, which can take a minute", self._model)
        self.has_begun = True

    def on_end(self, event: event.Event) -> None:
        """Does nothing."""


def warm_up(spec: RecommenderSpec) -> None:
    """Makes throwaway recommenders learn and list, so that every kernel is compiled.

    Does nothing for a model that this process has warmed up. Logs when it begins to compile, and
    if that took more than a second whether the next process will find the kernels on disk.

    Args:
        spec: Of the recommender that is about to be used.
    """
    warm = WORKER.get(_Warm)
    with warm.lock:
        if spec.model in warm.models:
            return
        warm.models.add(spec.model)
        start = time.monotonic()
        compiled = _Compiling(spec.model)
        with event.install_listener("numba:compile", compiled):
            spec = replace(spec, max_users=0, max_items=0, user_ttl=0.0)
            _exercise(spec)
            if "neighbors" in spec.to_dict()["hyperparameters"]:
                # Counts of many items are kept in another way than those of few.
                few = {**spec.hyperparameters, "neighbors": 2}
                _exercise(replace(spec, hyperparameters=few))
        seconds = time.monotonic() - start
    # Loading kernels from the cache takes a while, too, on a busy machine.
    if compiled.has_begun and seconds > _WORTH_TELLING_SECONDS:
        cached = (
            "the next start will find them cached"
            if jit.is_cached()
            else "no folder for a cache can be written, so each start compiles them:"
            " set NUMBA_CACHE_DIR to a folder that can"
        )
        _LOG.warning("compiled the kernels of %s in %.1f s; %s", spec.model, seconds, cached)


class _EveryKernel:
    """Does what evaluation does before each update."""

    def before_update(self, recommender: Recommender, rating: Rating) -> None:
        candidates = recommender.candidates(rating.user, rating.item, (1.0,))
        recommender.best(candidates.scores, 2)
        recommender.best(candidates.popularity, 2)


def _exercise(spec: RecommenderSpec) -> None:
    requests = [Request("u0", context=(1.0,)), Request("nobody")]
    # With features a model may learn one by one what it learns in minibatches without.
    for features in (None, Features((1.0,), (1.0,), (1.0,))):
        ratings = [
            Rating(f"u{number % 3}", f"i{number % 7}", 5.0, float(number), "", features)
            for number in range(20)
        ]
        for top_n, observer in ((2, _EveryKernel()), (2, None), (0, None)):
            learn(spec.build(), ratings, top_n, requests=requests, observer=observer)
