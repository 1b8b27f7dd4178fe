"""The models by name, and how a recommender is made of one."""

from __future__ import annotations

import importlib
from dataclasses import MISSING, Field, asdict, dataclass, field, fields
from typing import Any, Final, NamedTuple

from transforms.recommenders import validation
from transforms.recommenders.hashing import EVERYTHING, Block
from transforms.recommenders.recommender import Recommender
from transforms.recommenders.repeats import AUTO, REPEATS


class _Entry(NamedTuple):
    """Where a model's class and that of its hyperparameters are, in `models`.

    A process imports the models that it uses, and no others.

    Attributes:
        module: Of the model.
        name: Of its class.
        config_module: Of its hyperparameters; empty if they are beside it, as it is soon imported.
    """

    module: str
    name: str
    config_module: str = ""

    def model(self) -> Any:
        """Returns the model's class."""
        return self._load(self.module, self.name)

    def config(self) -> Any:
        """Returns the class of its hyperparameters."""
        return self._load(self.config_module or self.module, f"{self.name}Config")

    @staticmethod
    def _load(module: str, name: str) -> Any:
        return getattr(importlib.import_module(f"transforms.recommenders.models.{module}"), name)


_MODELS: Final[dict[str, _Entry]] = {
    "mf": _Entry("mf", "MF", "mf_config"),
    "bprmf": _Entry("bprmf", "BPRMF"),
    "fm": _Entry("fm", "FM"),
    "userknn": _Entry("userknn", "UserKNN"),
    "sketch": _Entry("sketch", "Sketch"),
    "itemknn": _Entry("itemknn", "ItemKNN", "itemknn_config"),
    "raisgd": _Entry("raisgd", "RAISGD", "raisgd_config"),
    "vmisknn": _Entry("vmisknn", "VMISKNN"),
    "popular": _Entry("popular", "Popular"),
    "random": _Entry("random_order", "RandomOrder"),
}
MODEL_NAMES: Final = tuple(_MODELS)
UNSHARDED: Final = frozenset({"vmisknn"})
"""Models that item shards would make another model."""

EXACTLY_SHARDED: Final = frozenset({"itemknn", "popular", "random"})
"""Models whose item shards list what one shard of all items does; all others lose quality."""

DEFAULT_MODEL: Final = "itemknn"
"""The best of them on what was measured, see docs/models.md."""


def _default(one: Field[Any]) -> Any:
    return one.default if one.default_factory is MISSING else one.default_factory()


def config_class(model: str) -> type[Any]:
    """Returns the dataclass of a model's hyperparameters.

    Raises:
        ValueError: There is no such model.
    """
    if model not in _MODELS:
        msg = f"{model!r} is not a model, expected one of {', '.join(MODEL_NAMES)}"
        raise ValueError(msg)
    loaded: type[Any] = _MODELS[model].config()
    return loaded


@dataclass(frozen=True)
class RecommenderSpec:
    """Everything that a new recommender is made from; small, and travels to the workers.

    Attributes:
        model: One of `MODEL_NAMES`.
        hyperparameters: Those of the model's config that are not at their defaults.
        seed: What every random draw derives from.
        repeats: One of `REPEATS`: whether a list may name an item that the user already has;
            `auto` decides by the share of choices that repeat an earlier one, see `RepeatPolicy`.
        max_users: Maximum number of users; the least recently seen are evicted. 0 for no maximum.
        max_items: The same for items.
        user_ttl: Seconds of event time after which a user who was not seen is evicted; 0 for
            never.
    """

    model: str = DEFAULT_MODEL
    hyperparameters: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    repeats: str = AUTO
    max_users: int = 0
    max_items: int = 0
    user_ttl: float = 0.0

    def __post_init__(self) -> None:
        """Raises ValueError for a model or a hyperparameter that cannot work."""
        for one in fields(self):
            validation.of_type(one.name, getattr(self, one.name), type(_default(one)))
        if self.seed < 0:
            msg = f"seed is {self.seed}, expected 0 or more"
            raise ValueError(msg)
        for name, bound in (("max_users", self.max_users), ("max_items", self.max_items)):
            if bound < 0:
                msg = f"{name} is {bound}, expected at least 1, or 0 for no maximum"
                raise ValueError(msg)
        if self.repeats not in REPEATS:
            msg = f"repeats is {self.repeats!r}, expected one of {', '.join(REPEATS)}"
            raise ValueError(msg)
        validation.at_least("user_ttl", self.user_ttl, 0)
        _ = self.config

    @property
    def config(self) -> Any:
        """The model's hyperparameters, checked."""
        config = config_class(self.model)
        defaults = {one.name: _default(one) for one in fields(config)}
        for name, value in self.hyperparameters.items():
            if name not in defaults:
                has = ", ".join(defaults) or "none"
                msg = f"{name} is no hyperparameter of {self.model}, expected {has}"
                raise ValueError(msg)
            validation.of_type(name, value, type(defaults[name]))
        # A whole number where a float is due becomes one, so that equal specs look equal.
        return config(**{n: type(defaults[n])(v) for n, v in self.hyperparameters.items()})

    def build(self, items: Block = EVERYTHING) -> Recommender:
        """Returns a recommender of these items that has learned nothing yet."""
        model = _MODELS[self.model].model()(self.config, self.seed)
        return Recommender(
            model,
            repeats=self.repeats,
            items=items,
            max_users=self.max_users,
            max_items=self.max_items,
            user_ttl=self.user_ttl,
        )

    def to_dict(self) -> dict[str, Any]:
        """Returns all fields, every hyperparameter included, as JSON can hold them."""
        return {**asdict(self), "hyperparameters": asdict(self.config)}

    @classmethod
    def from_dict(cls, saved: object) -> RecommenderSpec:
        """Returns the spec that `to_dict` described.

        Raises:
            ValueError: It is none.
        """
        names = [one.name for one in fields(cls)]
        if not isinstance(saved, dict) or sorted(saved) != sorted(names):
            msg = f"the saved spec is {saved!r}, expected {', '.join(names)}"
            raise ValueError(msg)
        return cls(**saved)
