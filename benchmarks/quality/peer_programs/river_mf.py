"""River's biased matrix factorization: `python -m benchmarks.quality.peer_programs.river_mf`.

Of River's recommenders it is the one that fits: the others are a constant per user and item, no
bias, or chance. It learns numbers, so a positive is a 1 and an item drawn at random that the user
does not have is a 0, without which all predictions would go to 1. `rank` predicts the candidates
one by one.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence, Set
from typing import Final

from river import optim, reco

from benchmarks.quality.peer_programs.wire import serve

_FACTORS: Final = 40
_LEARN_RATE: Final = 0.05
_L2: Final = 0.01


class RiverMF:
    """`reco.BiasedMF` with one negative for each positive."""

    def __init__(self) -> None:
        self._model = reco.BiasedMF(
            n_factors=_FACTORS,
            latent_optimizer=optim.SGD(_LEARN_RATE),
            bias_optimizer=optim.SGD(_LEARN_RATE),
            l2_latent=_L2,
            seed=0,
        )
        self._random = random.Random(0)
        self._items: list[str] = []
        self._of_user: dict[str, set[str]] = defaultdict(set)
        self._known: set[str] = set()

    def learn(self, user: str, item: str) -> None:
        """Learns a positive, and a negative if there is one."""
        if item not in self._known:
            self._known.add(item)
            self._items.append(item)
        self._of_user[user].add(item)
        self._model.learn_one(user, item, 1.0)
        negative = self._random.choice(self._items)
        if negative not in self._of_user[user]:
            self._model.learn_one(user, negative, 0.0)

    def retrain(self) -> None:
        """Does nothing: it has learned everything."""

    def best(self, user: str, n: int, excluded: Set[str]) -> Sequence[str] | None:
        """Returns the items with the highest predictions."""
        if user not in self._of_user:
            return None
        # In one order, so that of equal predictions it is always the same one that is listed.
        candidates = [item for item in self._items if item not in excluded]
        return list(self._model.rank(user, candidates))[:n]


if __name__ == "__main__":
    serve(RiverMF(), "")
