"""Items that go together: an incremental item-item model that minds the order of events."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from transforms.errors import IncompatibleModelError
from transforms.formats.records import Rating
from transforms.recommenders.checks import above, at_least
from transforms.recommenders.cooccurrence import DenseCounts, Rows, SparseCounts
from transforms.recommenders.forgetting import renumbered
from transforms.recommenders.model import Arrays, Model

_PRIOR: Final = 0.01
"""Weight of an item's share of all positives, beside its likeness to what the user had."""

_LEAST_RECENCY: Final = 0.01


@dataclass(frozen=True)
class ItemKNNConfig:
    """Hyperparameters of `ItemKNN`; what each is stands in its metadata."""

    history: int = field(default=32, metadata={"help": "items of a user that are remembered"})
    half_life: float = field(
        default=3.0, metadata={"help": "items after which one counts half for the user's list"}
    )
    gap_power: float = field(
        default=0.5, metadata={"help": "how fast items apart in a history go together less"}
    )
    shrinkage: float = field(
        default=10.0, metadata={"help": "positives that an item's likenesses are shrunk by"}
    )
    neighbours: int = field(
        default=2000, metadata={"help": "items that each item is compared with; bounds memory"}
    )

    def __post_init__(self) -> None:
        """Raises ValueError for a value that can not work."""
        at_least("history", self.history, 1)
        above("half_life", self.half_life, 0)
        at_least("gap_power", self.gap_power, 0)
        above("shrinkage", self.shrinkage, 0)
        at_least("neighbours", self.neighbours, 1)


class ItemKNN(Model):
    r"""Incremental item-item neighbours with time-aware co-occurrence.

    A positive (u, i) is compared with the last items h_0 (the newest), h_1, ... of u:

        c(h_g, i) <- c(h_g, i) + (1 + g)^-gap_power,  and c(i, h_g) likewise

    so items that are chosen soon after each other go together more than items of the same user
    that are far apart. With n(j), how often j was chosen, the likeness of two items is a cosine
    whose norms are shrunk, and an item's score adds its likenesses to the user's last items:

        s(i, j) = c(i, j) / sqrt((n(i) + shrinkage) (n(j) + shrinkage))
        score(j) = sum_g 2^(-g / half_life) s(h_g, j) + 0.01 n(j) / sum n

    where a g whose factor is below 0.01 is left out. The last term puts what has no likeness in
    the order of popularity. An item that is chosen again becomes the newest of its user.

    Cost: an update touches 2 x history entries, a list adds up at most as many rows as history
    is long. While there are no more items than `neighbours` c is a square matrix; beyond, a row
    has at most 2 x `neighbours` entries, the heaviest, of 8 bytes each.

    References:
        B. Sarwar, G. Karypis, J. Konstan, J. Riedl. Item-based Collaborative Filtering
        Recommendation Algorithms. WWW 2001. Incremental counts: M. Papagelis, I. Rousidis, D.
        Plexousakis, E. Theoharopoulos. Incremental Collaborative Filtering for Highly-Scalable
        Recommendation Algorithms. ISMIS 2005. Weights that fall with age: Y. Ding, X. Li. Time
        Weight Collaborative Filtering. CIKM 2005; with distance in a session: M. Ludewig, D.
        Jannach. Evaluation of Session-based Recommendation Algorithms. UMUAI 28, 2018.
    """

    def __init__(self, config: ItemKNNConfig, seed: int) -> None:
        del seed  # nothing is drawn
        self.config = config
        self.n_user = self.n_item = 0
        ages = np.arange(config.history, dtype=np.float64)
        self._gap_weights = ((1.0 + ages) ** -config.gap_power).astype(np.float32)
        recency = 0.5 ** (ages / config.half_life)
        self._recency = recency[recency >= _LEAST_RECENCY]
        self._counts: DenseCounts | SparseCounts = DenseCounts()
        # A user's last items, the newest last.
        self._histories: list[array[int]] = []
        self._chosen = np.zeros(0)
        self._norms = np.zeros(0)
        self._total = 0.0

    def add_user(self) -> None:
        """Adds the user with index `n_user`."""
        self._histories.append(array("i"))
        self.n_user += 1

    def add_item(self) -> None:
        """Adds the item with index `n_item`."""
        if self.n_item == len(self._chosen):
            more = max(64, self.n_item)
            self._chosen = np.concatenate([self._chosen, np.zeros(more)])
            self._norms = np.concatenate([self._norms, np.zeros(more)])
        self._norms[self.n_item] = 1.0 / np.sqrt(self.config.shrinkage)
        self.n_item += 1
        if isinstance(self._counts, DenseCounts) and self.n_item > self.config.neighbours:
            self._counts = SparseCounts(self.config.neighbours, self._counts.rows())
        self._counts.add_item()

    def learn(self, user: int, item: int, rating: Rating, known: Sequence[int]) -> None:
        """Learns one positive."""
        history = self._histories[user]
        if item in history:
            history.remove(item)
        if history:
            others = np.frombuffer(history, dtype=np.int32)
            self._counts.add(others, self._gap_weights, item)
            # The view has to go before the array may change its length.
            del others
        history.append(item)
        if len(history) > self.config.history:
            del history[0]
        self._chosen[item] += 1.0
        self._total += 1.0
        self._norms[item] = 1.0 / np.sqrt(self._chosen[item] + self.config.shrinkage)

    def item_scores(self, user: int, context: Sequence[float] = ()) -> NDArray[np.float64]:
        """Returns each item's likeness to what the user had last, and a little popularity."""
        scores = np.zeros(self.n_item)
        history = np.frombuffer(self._histories[user], dtype=np.int32)
        history = history[: -len(self._recency) - 1 : -1]
        factors = self._recency[: len(history)] * self._norms[history]
        self._counts.sum(history, factors, scores)
        scores *= self._norms[: self.n_item]
        if self._total:
            scores += (_PRIOR / self._total) * self._chosen[: self.n_item]
        return scores

    def keep_users(self, kept: NDArray[np.intp]) -> None:
        """Forgets all users but these; what their items had in common stays."""
        self._histories = [self._histories[user] for user in kept.tolist()]
        self.n_user = len(kept)

    def keep_items(self, kept: NDArray[np.intp]) -> None:
        """Forgets all items but these."""
        n = self.n_item
        for user, history in enumerate(self._histories):
            numbers = renumbered(np.frombuffer(history, dtype=np.int32), kept, n)
            self._histories[user] = array("i", numbers[numbers >= 0].tobytes())
        self._load(self._chosen[kept], self._counts.rows().keep(kept))

    def state_dict(self) -> Arrays:
        """Returns counts as rows end to end, how often items were chosen, and histories."""
        rows = self._counts.rows()
        joined = array("i")
        for history in self._histories:
            joined.extend(history)
        return {
            "counts.ends": rows.ends,
            "counts.ids": rows.ids,
            "counts.weights": rows.weights,
            "chosen": self._chosen[: self.n_item],
            "histories.ends": np.cumsum(list(map(len, self._histories)), dtype=np.int64),
            "histories.items": np.frombuffer(joined, dtype=np.int32),
            "shape": np.array([self.config.history, self.config.neighbours]),
        }

    def load_state_dict(self, arrays: Arrays) -> None:
        """Takes over what `state_dict` returned.

        Raises:
            IncompatibleModelError: An array is missing, or history or neighbours are others.
        """
        try:
            shape: list[int] = arrays["shape"].tolist()
            rows = Rows(
                arrays["counts.ends"].astype(np.int64),
                arrays["counts.ids"].astype(np.int32),
                arrays["counts.weights"].astype(np.float32),
            )
            chosen = arrays["chosen"].astype(np.float64)
            ends: list[int] = arrays["histories.ends"].tolist()
            items: NDArray[np.int32] = arrays["histories.items"].astype(np.int32)
        except KeyError as e:
            msg = f"the saved model has no array {e}"
            raise IncompatibleModelError(msg) from e
        if shape != [self.config.history, self.config.neighbours]:
            msg = (
                f"history and neighbours of the saved model are {shape}, expected"
                f" {[self.config.history, self.config.neighbours]}"
            )
            raise IncompatibleModelError(msg)
        starts = [0, *ends]
        self._histories = [
            array("i", items[start:end].tobytes()) for start, end in zip(starts, ends, strict=False)
        ]
        self.n_user = len(ends)
        self._load(chosen, rows)

    def _load(self, chosen: NDArray[np.float64], rows: Rows) -> None:
        self._chosen = chosen
        self.n_item = len(chosen)
        self._norms = 1.0 / np.sqrt(chosen + self.config.shrinkage)
        self._total = float(chosen.sum())
        neighbours = self.config.neighbours
        dense = self.n_item <= neighbours
        self._counts = DenseCounts(rows) if dense else SparseCounts(neighbours, rows)
