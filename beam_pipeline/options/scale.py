"""Flags of the sharding."""

from __future__ import annotations

import argparse

from apache_beam.options.pipeline_options import PipelineOptions


class ScaleOptions(PipelineOptions):
    """How the model is spread."""

    @classmethod
    def _add_argparse_args(cls, parser: argparse.ArgumentParser) -> None:
        group = parser.add_argument_group("scale")
        group.add_argument(
            "--user_blocks",
            type=int,
            default=1,
            metavar="N",
            help="number of user shards, each with a model of its own (default: 1)",
        )
        group.add_argument(
            "--item_blocks",
            type=int,
            default=1,
            metavar="M",
            help="number of item shards of each user shard; their top-N are merged. Those of"
            " itemknn, popular and random recommend what one does, other models get worse"
            " (default: 1)",
        )
        group.add_argument(
            "--replicas",
            type=int,
            default=1,
            metavar="R",
            help="number of replicas of each user shard's model; all learn its ratings, and each"
            " makes the lists of its share of the users (default: 1)",
        )
