"""`implicit`, retrained.

    python -m benchmarks.quality.peer_programs.implicit_retrained MODEL EVERY

MODEL is `cosine`, item-item similarity, or `bpr`. Similarities and factors are those of the last
training; the history that a list is made from is always the user's current one. Of a user who is
not in the last training, `bpr` has no factors: it takes the mean of those of the user's items, as
Hidasi et al. (ICLR 2016) do for sessions.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence, Set
from typing import Any, Final

import numpy as np
from implicit.bpr import BayesianPersonalizedRanking
from implicit.nearest_neighbours import CosineRecommender
from scipy.sparse import csr_matrix

from benchmarks.quality.peer_programs.wire import serve

_NEIGHBORS: Final = 200
_FACTORS: Final = 64
_PASSES: Final = 100


class Interactions:
    """Users, items and the positives between them, as a sparse matrix wants them."""

    def __init__(self) -> None:
        self.users: dict[str, int] = {}
        self.items: dict[str, int] = {}
        self.ids: list[str] = []
        self.histories: list[list[int]] = []

    def add(self, user: str, item: str) -> None:
        """Adds a positive."""
        number = self.items.setdefault(item, len(self.items))
        if number == len(self.ids):
            self.ids.append(item)
        row = self.users.setdefault(user, len(self.users))
        if row == len(self.histories):
            self.histories.append([])
        self.histories[row].append(number)

    def matrix(self, rows: Sequence[Sequence[int]], width: int) -> csr_matrix:
        """Returns rows of item numbers as a matrix of ones of shape (len(rows), width)."""
        kept = [sorted({item for item in row if item < width}) for row in rows]
        ends = np.cumsum([0, *map(len, kept)])
        columns = np.fromiter((item for row in kept for item in row), np.int32, int(ends[-1]))
        ones = np.ones(len(columns), dtype=np.float32)
        return csr_matrix((ones, columns, ends), shape=(len(rows), width))


class Retrained:
    """A model of `implicit` that is trained anew each time, on everything."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._data = Interactions()
        self._model: Any = None
        # Users and items of the last training.
        self._users = self._items = 0

    def learn(self, user: str, item: str) -> None:
        """Stores a positive."""
        self._data.add(user, item)

    def retrain(self) -> None:
        """Trains a new model."""
        self._users, self._items = len(self._data.histories), len(self._data.ids)
        if self._kind == "cosine":
            self._model = CosineRecommender(K=_NEIGHBORS, num_threads=1)
        else:
            self._model = BayesianPersonalizedRanking(
                factors=_FACTORS, iterations=_PASSES, num_threads=1, random_state=0
            )
        self._model.fit(self._data.matrix(self._data.histories, self._items), show_progress=False)

    def best(self, user: str, n: int, excluded: Set[str]) -> Sequence[str] | None:
        """Returns the user's best items of the last training."""
        row = self._data.users.get(user)
        history = [] if row is None else self._data.histories[row]
        current = self._data.matrix([history], self._items)
        if not current.nnz:
            return None
        left_out = np.array(
            [number for item in excluded if (number := self._data.items[item]) < self._items],
            dtype=np.int32,
        )
        if self._kind == "bpr":
            return self._by_factors(row, current, n, left_out)
        found, scores = self._model.recommend(
            0, current, N=n, filter_already_liked_items=False, filter_items=left_out
        )
        return [self._data.ids[item] for item in found[scores > 0].tolist()]

    def _by_factors(
        self, row: int | None, current: csr_matrix, n: int, left_out: np.ndarray[Any, Any]
    ) -> list[str]:
        factors = self._model.item_factors
        if row is not None and row < self._users:
            of_user = self._model.user_factors[row]
        else:
            of_user = factors[current.indices].mean(axis=0)
        scores = factors @ of_user
        scores[left_out] = -np.inf
        best = np.argsort(-scores, kind="stable")[:n]
        return [self._data.ids[item] for item in best.tolist() if scores[item] > -np.inf]


if __name__ == "__main__":
    serve(Retrained(sys.argv[1]), sys.argv[2])
