"""Incremental matrix factorization that also learns from what was not chosen for long."""

from __future__ import annotations

from collections import OrderedDict
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from transforms.formats.records import Rating
from transforms.recommenders.arrays import Arrays, SavedArrays
from transforms.recommenders.memory.eviction import renumbered
from transforms.recommenders.memory.factor_matrix import FLURS_SCALE
from transforms.recommenders.memory.factor_trace import FactorTrace
from transforms.recommenders.minibatch import Minibatch
from transforms.recommenders.models.mf import MF, target
from transforms.recommenders.models.mf_config import MFConfig
from transforms.recommenders.models.raisgd_config import RAISGDConfig
from transforms.recommenders.numerics.mf_steps import step_from_zeros


class RAISGD(MF):
    r"""Recency-adjusted incremental SGD: `MF` with artificial negatives.

    A matrix factorization that sees nothing but ones comes to predict ones for everything. So
    items stand in a queue by when they last played a part. Before each positive (u, i) the
    `negatives` items at its head, those that were least recently chosen, are taken as zeros:

        p_u <- p_u + 2 eta_u ((0 - p_u . q_j) q_j - lambda p_u)       q_j stays as it is

    except those that u has; then they go to the queue's end, i last. The positive itself is
    learned as `MF` learns it, and items are ranked as there.

    References:
        J. Vinagre, A. M. Jorge, J. Gama. Collaborative Filtering with Recency-based Negative
        Feedback. SAC 2015.
    """

    def __init__(self, config: RAISGDConfig, seed: int) -> None:
        rates = config.learn_rate, config.item_learn_rate
        super().__init__(MFConfig(config.k, config.l2_reg, *rates, FLURS_SCALE), seed)
        self._negatives = config.negatives
        # The keys, in their order, are the queue. A dict would walk over what left its head.
        self._queue: OrderedDict[int, None] = OrderedDict()

    def learn(self, user: int, item: int, rating: Rating, seen: NDArray[np.int32]) -> None:
        """Learns one positive, after zeros for items that were not chosen for long."""
        self._learn(user, item, seen, rating.weight)

    def learn_negative(self, user: int, item: int) -> None:
        """Takes the item as a zero for the user, like those at the queue's head."""
        zero = np.array([item], dtype=np.int32)
        self._step_from_zeros(user, zero, np.zeros(0, dtype=np.int32))

    def _learn(self, user: int, item: int, seen: NDArray[np.int32], weight: float) -> None:
        self._queue[item] = None
        heads = [head for head in islice(self._queue, self._negatives + 1) if head != item]
        for head in (*heads[: self._negatives], item):
            self._queue.move_to_end(head)
        candidates = np.array(heads[: self._negatives], dtype=np.int32)
        self._step_from_zeros(user, candidates, seen)
        self.update_model(user, item, target(weight))

    def _step_from_zeros(
        self, user: int, zeros: NDArray[np.int32], seen: NDArray[np.int32]
    ) -> None:
        p, rate = self._p.rows[user], 2.0 * self.learn_rate
        step_from_zeros(p, self._q.rows, zeros, seen, rate, self.l2_reg_u)

    def minibatch_size(self, n: int) -> int:
        """Returns how many positives to learn together; without lists that saves nothing."""
        return super().minibatch_size(n) if n else 0

    def _learn_batch(self, batch: Minibatch, trace: FactorTrace) -> None:
        ends = batch.seen_ends.tolist()
        columns = batch.users.tolist(), batch.items.tolist(), batch.weights.tolist()
        for number, (user, item, weight) in enumerate(zip(*columns, strict=True)):
            if item >= 0:
                trace.q_before[number] = self._q.rows[item]
                self._learn(user, item, batch.seen[ends[number] : ends[number + 1]], weight)
            trace.p_after[number] = self._p.rows[user]

    def keep_items(self, kept: NDArray[np.intp]) -> None:
        """Drops all items but these."""
        numbers = renumbered(self._queued(), kept, self.n_item)
        super().keep_items(kept)
        self._queue = OrderedDict.fromkeys(numbers[numbers >= 0].tolist())

    def state_dict(self) -> Arrays:
        """Returns `MF`'s factors and the `queue`, shape (n_item,)."""
        return {**super().state_dict(), "queue": self._queued()}

    def load_state_dict(self, arrays: SavedArrays, n_user: int, n_item: int) -> None:
        """Takes over what `state_dict` returned.

        Raises:
            IncompatibleModelError: An array is missing, damaged or not of this model's k.
        """
        super().load_state_dict(arrays, n_user, n_item)
        queue = arrays.indices("queue", n_item)
        arrays.require(len(np.unique(queue)) == len(queue), "queue", "has an item twice")
        self._queue = OrderedDict.fromkeys(queue.tolist())

    def _queued(self) -> NDArray[np.int32]:
        return np.fromiter(self._queue, dtype=np.int32, count=len(self._queue))
