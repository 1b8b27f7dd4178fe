"""The models by name, and how a recommender is made of one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Final, NamedTuple

from transforms.recommenders.base import Recommender
from transforms.recommenders.blocks import EVERYTHING, Block
from transforms.recommenders.bprmf import BPRMF, BPRMFConfig
from transforms.recommenders.fm import FM, FMConfig
from transforms.recommenders.itemknn import ItemKNN, ItemKNNConfig
from transforms.recommenders.mf import MF, MFConfig
from transforms.recommenders.model import Model
from transforms.recommenders.popular import Popular, PopularConfig
from transforms.recommenders.raisgd import RAISGD, RAISGDConfig
from transforms.recommenders.random_order import RandomOrder, RandomOrderConfig
from transforms.recommenders.sketch import Sketch, SketchConfig
from transforms.recommenders.userknn import UserKNN, UserKNNConfig


class _Entry(NamedTuple):
    config: type[Any]
    model: Callable[[Any, int], Model]


_MODELS: Final[dict[str, _Entry]] = {
    "mf": _Entry(MFConfig, MF),
    "bprmf": _Entry(BPRMFConfig, BPRMF),
    "fm": _Entry(FMConfig, FM),
    "userknn": _Entry(UserKNNConfig, UserKNN),
    "sketch": _Entry(SketchConfig, Sketch),
    "itemknn": _Entry(ItemKNNConfig, ItemKNN),
    "raisgd": _Entry(RAISGDConfig, RAISGD),
    "popular": _Entry(PopularConfig, Popular),
    "random": _Entry(RandomOrderConfig, RandomOrder),
}
MODEL_NAMES: Final = tuple(_MODELS)
DEFAULT_MODEL: Final = "itemknn"
"""The best of them on what was measured, see docs/models.md."""


def config_class(model: str) -> type[Any]:
    """Returns the dataclass of a model's hyperparameters.

    Raises:
        ValueError: There is no such model.
    """
    try:
        return _MODELS[model].config
    except KeyError as e:
        msg = f"{model!r} is not a model, expected one of {', '.join(MODEL_NAMES)}"
        raise ValueError(msg) from e


@dataclass(frozen=True)
class RecommenderSpec:
    """Everything that a new recommender is made from; small, and travels to the workers.

    Attributes:
        model: One of `MODEL_NAMES`.
        hyperparameters: Those of the model's config that are not at their defaults.
        seed: What every random draw derives from.
        allow_repeats: Whether a list may name an item that the user already has.
        max_users: Beyond so many, those that were not seen for longest are forgotten; 0 for no
            bound.
        max_items: The same for items.
    """

    model: str = DEFAULT_MODEL
    hyperparameters: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    allow_repeats: bool = False
    max_users: int = 0
    max_items: int = 0

    def __post_init__(self) -> None:
        """Raises ValueError for a model or a hyperparameter that can not work."""
        if self.seed < 0:
            msg = f"seed is {self.seed}, expected 0 or more"
            raise ValueError(msg)
        for name, bound in (("max_users", self.max_users), ("max_items", self.max_items)):
            if bound < 0:
                msg = f"{name} is {bound}, expected at least 1, or 0 for no bound"
                raise ValueError(msg)
        _ = self.config

    @property
    def config(self) -> Any:
        """The model's hyperparameters, checked."""
        try:
            return config_class(self.model)(**self.hyperparameters)
        except TypeError as e:
            msg = f"hyperparameters {sorted(self.hyperparameters)} do not fit {self.model}: {e}"
            raise ValueError(msg) from e

    def build(self, items: Block = EVERYTHING) -> Recommender:
        """Returns a recommender of these items that has learned nothing yet."""
        model = _MODELS[self.model].model(self.config, self.seed)
        return Recommender(
            model,
            allow_repeats=self.allow_repeats,
            items=items,
            max_users=self.max_users,
            max_items=self.max_items,
        )

    def describe(self) -> dict[str, str]:
        """Returns model and hyperparameters as text, for what is saved beside the arrays."""
        return {"model": self.model, **{name: str(v) for name, v in asdict(self.config).items()}}
