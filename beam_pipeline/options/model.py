"""Flags of the model: what learns, and what it recommends."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable
from typing import Any

from apache_beam.options.pipeline_options import PipelineOptions

from transforms.recommenders.registry import DEFAULT_MODEL, MODEL_NAMES, config_class
from transforms.recommenders.repeats import ALLOW, AUTO, REPEATS
from transforms.recommenders.validation import seconds


@dataclasses.dataclass(frozen=True)
class HyperparameterFlag:
    """One flag for all models that have a hyperparameter of that name.

    Attributes:
        name: Of the flag and of the configs' field.
        type: Of its value, or what parses it.
        choices: What it may be; None for any value of the type.
        help: What it is and its default, for each model.
    """

    name: str
    type: Callable[[str], int | float | str]
    choices: tuple[str, ...] | None
    help: str


def hyperparameter_flags() -> list[HyperparameterFlag]:
    """Returns the flags of all models' hyperparameters, in the order of the models.

    A flag that is not given is None, which stands for the model's own default.
    """
    fields: dict[str, list[tuple[str, dataclasses.Field[Any]]]] = {}
    for model in MODEL_NAMES:
        for one in dataclasses.fields(config_class(model)):
            fields.setdefault(one.name, []).append((model, one))
    return [_flag(name, owners) for name, owners in fields.items()]


def _flag(name: str, owners: list[tuple[str, dataclasses.Field[Any]]]) -> HyperparameterFlag:
    defaults: dict[str, dict[Any, list[str]]] = {}
    for model, one in owners:
        defaults.setdefault(one.metadata["help"], {}).setdefault(one.default, []).append(model)
    texts = []
    for text, models in defaults.items():
        each = "; ".join(f"{', '.join(who)}: {value}" for value, who in models.items())
        texts.append(f"{text} (default for {each})")
    first = owners[0][1]
    kind: Any = _duration if first.metadata.get("parse") is seconds else type(first.default)
    return HyperparameterFlag(name, kind, first.metadata.get("choices"), "; or ".join(texts))


def _duration(text: str) -> float:
    try:
        return seconds(text)
    except ValueError as e:
        raise argparse.ArgumentTypeError(str(e)) from e


class ModelOptions(PipelineOptions):
    """What learns, and what it recommends."""

    @classmethod
    def _add_argparse_args(cls, parser: argparse.ArgumentParser) -> None:
        group = parser.add_argument_group("model")
        group.add_argument(
            "--model",
            choices=MODEL_NAMES,
            default=DEFAULT_MODEL,
            help=f"the recommender (default: {DEFAULT_MODEL})",
        )
        for flag in hyperparameter_flags():
            group.add_argument(
                f"--{flag.name}",
                type=flag.type,
                choices=flag.choices,
                metavar=None
                if flag.choices
                else "DURATION"
                if flag.type is _duration
                else "NUMBER",
                help=flag.help,
            )
        group.add_argument(
            "--min_rating",
            type=float,
            default=3.0,
            metavar="RATING",
            help="lowest rating that counts as positive and is learned (default: 3)",
        )
        group.add_argument(
            "--top_n",
            type=int,
            default=10,
            metavar="N",
            help="number of items to recommend; 0 only learns (default: 10)",
        )
        group.add_argument(
            "--seed", type=int, default=0, metavar="SEED", help="random seed (default: 0)"
        )
        group.add_argument(
            "--repeats",
            choices=REPEATS,
            default=AUTO,
            help="whether to recommend items that the user already has, too; auto: where a tenth"
            " of the stream's ratings repeat an earlier one (default: auto)",
        )
        group.add_argument(
            "--allow_repeats",
            dest="repeats",
            action="store_const",
            const=ALLOW,
            help="the same as --repeats allow",
        )
        for kind in ("users", "items"):
            group.add_argument(
                f"--max_{kind}",
                type=int,
                default=0,
                metavar="N",
                help=f"maximum number of {kind} in a model; the least recently seen are evicted"
                " (default: 0, no maximum)",
            )
        group.add_argument(
            "--user_ttl",
            type=_duration,
            default=0.0,
            metavar="DURATION",
            help="evict users who were not seen for so long in event time, such as 12h or 7d, as"
            " anonymous sessions need (default: 0, never)",
        )
        group.add_argument(
            "--export_model",
            metavar="FOLDER",
            help="export the model to this folder periodically and at the end of the input",
        )
        group.add_argument(
            "--export_seconds",
            type=float,
            default=60.0,
            metavar="SECONDS",
            help="seconds after which a model that has learned is exported again (default: 60)",
        )
        group.add_argument(
            "--import_model",
            metavar="FOLDER",
            help="start from a model that --export_model wrote; from none if this is the folder of"
            " --export_model and empty",
        )
