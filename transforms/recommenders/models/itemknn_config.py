"""The hyperparameters of `itemknn`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np

from transforms.recommenders.memory.item_statistics import RECENT_HALF_LIFE
from transforms.recommenders.numerics.cooccurrence_arrays import Constants
from transforms.recommenders.validation import above, at_least, at_most, seconds

TUNE: Final = ("auto", "off")
"""What `ItemKNNConfig.tune` may be."""

_LEAST_RECENCY: Final = 0.01
_HALF_LIVES: Final = (1 / 3, 1.0, 3.0)


@dataclass(frozen=True)
class ItemKNNConfig:
    """Hyperparameters of `ItemKNN`; what each is stands in its metadata."""

    history: int = field(default=32, metadata={"help": "length of a user's history, in items"})
    half_life: float = field(
        default=3.0, metadata={"help": "half-life of a user's history, in items"}
    )
    gap_power: float = field(
        default=0.5, metadata={"help": "how fast co-occurrence falls with the gap in a history"}
    )
    shrinkage: float = field(
        default=10.0, metadata={"help": "positives that are added to the norms of a similarity"}
    )
    neighbors: int = field(
        default=2000,
        metadata={"help": "maximum number of neighbors kept for each item"},
    )
    feature_weight: float = field(
        default=0.7,
        metadata={"help": "weight of item features for items of few positives; 0 for none"},
    )
    session_gap: float = field(
        default=0.0,
        metadata={
            "help": "pause that ends a session, such as 30m: a user's history starts anew; 0 for"
            " none",
            "parse": seconds,
        },
    )
    tune: str = field(
        default="auto",
        metadata={
            "help": "auto: where items do not repeat, list by what does best on the stream of three"
            " half-lives and the mixture of experts; off: by half_life",
            "choices": TUNE,
        },
    )

    def __post_init__(self) -> None:
        """Raises ValueError for a value that cannot work."""
        at_least("history", self.history, 1)
        at_most("history", self.history, 10_000)
        above("half_life", self.half_life, 0)
        at_least("gap_power", self.gap_power, 0)
        above("shrinkage", self.shrinkage, 0)
        at_least("neighbors", self.neighbors, 1)
        at_most("neighbors", self.neighbors, 100_000)
        at_least("feature_weight", self.feature_weight, 0)
        at_least("session_gap", self.session_gap, 0)
        if self.tune not in TUNE:
            msg = f"tune is {self.tune!r}, expected one of {', '.join(TUNE)}"
            raise ValueError(msg)

    def constants(self) -> Constants:
        """Returns them with what follows from them, for kernels."""
        ages = np.arange(self.history, dtype=np.float64)
        half_lives = self.half_life * np.array(_HALF_LIVES)
        recency = 0.5 ** (ages / half_lives[:, np.newaxis])
        recency[recency < _LEAST_RECENCY] = 0.0
        return Constants(
            self.history,
            self.shrinkage,
            self.session_gap,
            (1.0 + ages) ** -self.gap_power,
            recency,
            np.count_nonzero(recency, axis=1),
            self.tune == "auto",
            self.tune == "auto",
            np.exp2(np.arange(RECENT_HALF_LIFE) / RECENT_HALF_LIFE),
        )
