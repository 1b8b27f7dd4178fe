"""Flags of the evaluation."""

from __future__ import annotations

import argparse

from apache_beam.options.pipeline_options import PipelineOptions


class EvaluationOptions(PipelineOptions):
    """Whether and where to evaluate recommendations."""

    @classmethod
    def _add_argparse_args(cls, parser: argparse.ArgumentParser) -> None:
        group = parser.add_argument_group("evaluation")
        group.add_argument(
            "--evaluate",
            action="store_true",
            help="test each positive before it is learned (prequential evaluation)",
        )
        group.add_argument(
            "--evaluation",
            metavar="PATH",
            help="file for a record of each test, as --output; implies --evaluate",
        )
        group.add_argument(
            "--evaluation_topic",
            metavar="TOPIC",
            help="topic for a record of each test; implies --evaluate",
        )
