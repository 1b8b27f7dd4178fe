"""Flags of Flink that only its job server declares, with our defaults."""

from __future__ import annotations

import argparse
from typing import Final

from apache_beam.options.pipeline_options import PipelineOptions

from beam_pipeline.job_server_options import truth
from transforms.runtime.flink_key_groups import KEY_GROUPS


class FlinkOptions(PipelineOptions):
    """Options of Beam's Flink runner that only its job server declares, with our defaults."""

    @classmethod
    def _add_argparse_args(cls, parser: argparse.ArgumentParser) -> None:
        group = parser.add_argument_group("Flink")
        for name, text in _FLINK_HELP.items():
            group.add_argument(
                f"--{name}",
                type=int,
                metavar="N",
                help=f"{text} (default on Flink: {FLINK_DEFAULTS[name]})",
            )
        group.add_argument(
            "--operator_chaining",
            type=truth,
            metavar="true|false",
            help="chain Flink's operators; a savepoint then only fits the same parallelism"
            " (default on Flink: false)",
        )


_FLINK_HELP: Final = {
    "checkpointing_interval": "milliseconds between the starts of two checkpoints",
    "min_pause_between_checkpoints": "milliseconds between the end of a checkpoint and the next",
    "checkpoint_timeout_millis": "milliseconds after which a checkpoint is abandoned",
    "max_bundle_time_mills": "maximum milliseconds of a bundle; output leaves at its end",
}
FLINK_DEFAULTS: Final[dict[str, int | str]] = {
    "checkpointing_interval": 10_000,
    "min_pause_between_checkpoints": 500,
    "checkpoint_timeout_millis": 60_000,
    "max_bundle_time_mills": 10,
    "max_parallelism": KEY_GROUPS,
    "operator_chaining": "false",
}
