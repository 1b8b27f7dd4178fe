"""The hyperparameters of `RAISGD`, apart from FluRS, which takes a second to import."""

from __future__ import annotations

from dataclasses import dataclass, field

from transforms.recommenders.models.mf_config import check_steps
from transforms.recommenders.validation import at_least


@dataclass(frozen=True)
class RAISGDConfig:
    """Hyperparameters of `RAISGD`; what each is stands in its metadata."""

    k: int = field(default=40, metadata={"help": "number of latent factors"})
    l2_reg: float = field(default=0.04, metadata={"help": "regularization, lambda"})
    learn_rate: float = field(default=0.16, metadata={"help": "step size, eta"})
    item_learn_rate: float = field(
        default=0.1, metadata={"help": "step size of items' factors; learn_rate is that of users'"}
    )
    negatives: int = field(
        default=10, metadata={"help": "items held against each positive, as not chosen for long"}
    )

    def __post_init__(self) -> None:
        """Raises ValueError for a value that cannot work."""
        check_steps(self.k, self.l2_reg, self.learn_rate, self.item_learn_rate)
        at_least("negatives", self.negatives, 0)
