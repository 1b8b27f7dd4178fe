"""The hyperparameters of `MF`, apart from FluRS, which takes a second to import."""

from __future__ import annotations

from dataclasses import dataclass, field

from transforms.recommenders.validation import at_least, at_most, share, step_size


def check_steps(k: int, l2_reg: float, learn_rate: float, item_learn_rate: float) -> None:
    """Raises ValueError for a value of a matrix factorization that cannot work."""
    at_least("k", k, 1)
    at_most("k", k, 10_000)
    share("l2_reg", l2_reg)
    step_size("learn_rate", learn_rate)
    step_size("item_learn_rate", item_learn_rate)


@dataclass(frozen=True)
class MFConfig:
    """Hyperparameters of `MF`, under FluRS's names where it has one; see their metadata."""

    k: int = field(default=40, metadata={"help": "number of latent factors"})
    l2_reg: float = field(default=0.2, metadata={"help": "regularization, lambda"})
    learn_rate: float = field(default=0.6, metadata={"help": "step size, eta"})
    item_learn_rate: float = field(
        default=0.03, metadata={"help": "step size of items' factors; learn_rate is that of users'"}
    )
    init_scale: float = field(default=0.06, metadata={"help": "standard deviation of new factors"})

    def __post_init__(self) -> None:
        """Raises ValueError for a value that cannot work."""
        check_steps(self.k, self.l2_reg, self.learn_rate, self.item_learn_rate)
        share("init_scale", self.init_scale)
