"""Incremental matrix factorization that also learns from what was not chosen for long."""

from __future__ import annotations

from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from transforms.errors import IncompatibleModelError
from transforms.formats.records import Rating
from transforms.recommenders import compiled
from transforms.recommenders.checks import at_least, share, step_size
from transforms.recommenders.dots import dot
from transforms.recommenders.forgetting import renumbered
from transforms.recommenders.mf import MF, MFConfig
from transforms.recommenders.model import Arrays, Stretch
from transforms.recommenders.trail import FactorTrail


@dataclass(frozen=True)
class RAISGDConfig:
    """Hyperparameters of `RAISGD`; what each is stands in its metadata."""

    k: int = field(default=40, metadata={"help": "number of latent factors"})
    l2_reg: float = field(default=0.01, metadata={"help": "regularization, lambda"})
    learn_rate: float = field(default=0.1, metadata={"help": "step size, eta"})
    negatives: int = field(
        default=10, metadata={"help": "items held against each positive, as not chosen for long"}
    )

    def __post_init__(self) -> None:
        """Raises ValueError for a value that can not work."""
        at_least("k", self.k, 1)
        share("l2_reg", self.l2_reg)
        step_size("learn_rate", self.learn_rate)
        at_least("negatives", self.negatives, 0)


class RAISGD(MF):
    r"""Recency-adjusted incremental SGD: `MF` with artificial negatives.

    A matrix factorization that sees nothing but ones comes to predict ones for everything. So
    items stand in a queue by when they last played a part. Before each positive (u, i) the
    `negatives` items at its head, those that were not chosen for longest, are taken as zeros:

        p_u <- p_u + 2 eta ((0 - p_u . q_j) q_j - lambda p_u)       q_j stays as it is

    except those that u has; then they go to the queue's end, i last. The positive itself is
    learned as `MF` learns it, and items are ranked as there.

    References:
        J. Vinagre, A. M. Jorge, J. Gama. Collaborative Filtering with Recency-based Negative
        Feedback. SAC 2015.
    """

    def __init__(self, config: RAISGDConfig, seed: int) -> None:
        super().__init__(MFConfig(config.k, config.l2_reg, config.learn_rate), seed)
        self._negatives = config.negatives
        # The keys, in their order, are the queue. A dict would walk over what left its head.
        self._queue: OrderedDict[int, None] = OrderedDict()

    def learn(self, user: int, item: int, rating: Rating, known: Sequence[int]) -> None:
        """Learns one positive, after zeros for items that were not chosen for long."""
        self._learn(user, item, known)

    def _learn(self, user: int, item: int, known: Sequence[int] | NDArray[np.int32]) -> None:
        self._queue[item] = None
        heads = [head for head in islice(self._queue, self._negatives + 1) if head != item]
        for head in (*heads[: self._negatives], item):
            self._queue.move_to_end(head)
        zeros = [head for head in heads[: self._negatives] if not _has(known, head)]
        p, rate = self._p.rows[user], 2.0 * self.learn_rate
        if compiled.AVAILABLE:
            rows = np.array(zeros, dtype=np.int32)
            compiled.step_from_zeros(p, self._q.rows, rows, rate, self.l2_reg_u)
        else:
            for zero in zeros:
                q = self._q.rows[zero]
                p += rate * ((0.0 - dot(p, q)) * q - self.l2_reg_u * p)
        self.update_model(user, item, 1.0)

    def stretch(self, n: int) -> int:
        """Returns how many positives to learn at once; without lists that saves nothing."""
        return super().stretch(n) if n else 0

    def _learn_along(self, stretch: Stretch, trail: FactorTrail) -> None:
        ends = stretch.ends.tolist()
        pairs = zip(stretch.users.tolist(), stretch.items.tolist(), strict=True)
        for number, (user, item) in enumerate(pairs):
            if item >= 0:
                trail.q_before[number] = self._q.rows[item]
                known = stretch.known[ends[number] : ends[number + 1]]
                self._learn(user, item, known)
            trail.p_after[number] = self._p.rows[user]

    def keep_items(self, kept: NDArray[np.intp]) -> None:
        """Forgets all items but these."""
        numbers = renumbered(self._queued(), kept, self.n_item)
        super().keep_items(kept)
        self._queue = OrderedDict.fromkeys(numbers[numbers >= 0].tolist())

    def state_dict(self) -> Arrays:
        """Returns `MF`'s factors and the `queue`, shape (n_item,)."""
        return {**super().state_dict(), "queue": self._queued()}

    def load_state_dict(self, arrays: Arrays) -> None:
        """Takes over what `state_dict` returned.

        Raises:
            IncompatibleModelError: Something is missing or not of this model's k.
        """
        if "queue" not in arrays:
            msg = "the saved model has no array 'queue', expected one: is it another model?"
            raise IncompatibleModelError(msg)
        super().load_state_dict(arrays)
        self._queue = OrderedDict.fromkeys(arrays["queue"].tolist())

    def _queued(self) -> NDArray[np.int32]:
        return np.fromiter(self._queue, dtype=np.int32, count=len(self._queue))


def _has(known: Sequence[int] | NDArray[np.int32], item: int) -> bool:
    place = bisect_left(known, item)
    return place < len(known) and known[place] == item
