"""The command line's flags, a module for each group; checks that need several flags: `settings`."""

from __future__ import annotations

import argparse
from typing import Final

from beam_pipeline.options.evaluation import EvaluationOptions
from beam_pipeline.options.flink import FLINK_DEFAULTS, FlinkOptions
from beam_pipeline.options.input import InputOptions
from beam_pipeline.options.kafka import KafkaOptions
from beam_pipeline.options.model import HyperparameterFlag, ModelOptions, hyperparameter_flags
from beam_pipeline.options.output import OutputOptions
from beam_pipeline.options.scale import ScaleOptions
from beam_pipeline.options.schema_registry import SchemaRegistryOptions

__all__ = [
    "FLINK_DEFAULTS",
    "OURS",
    "EvaluationOptions",
    "FlinkOptions",
    "HyperparameterFlag",
    "InputOptions",
    "KafkaOptions",
    "ModelOptions",
    "OutputOptions",
    "ScaleOptions",
    "SchemaRegistryOptions",
    "hyperparameter_flags",
    "our_flags",
]

OURS: Final = (
    InputOptions,
    KafkaOptions,
    SchemaRegistryOptions,
    ModelOptions,
    OutputOptions,
    EvaluationOptions,
    ScaleOptions,
    FlinkOptions,
)


def our_flags() -> list[str]:
    """Returns the flags that are not Beam's own."""
    parser = argparse.ArgumentParser(add_help=False)
    for options in OURS:
        options._add_argparse_args(parser)
    return [option for action in parser._actions for option in action.option_strings]
