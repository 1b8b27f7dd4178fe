"""Flags of the output: recommendations, dead letters, the summary."""

from __future__ import annotations

import argparse

from apache_beam.options.pipeline_options import PipelineOptions

from transforms.kafka.sink import CONFLUENT_AVRO
from transforms.write_files import OUTPUT_FORMATS


class OutputOptions(PipelineOptions):
    """Where recommendations, dead letters and the summary go."""

    @classmethod
    def _add_argparse_args(cls, parser: argparse.ArgumentParser) -> None:
        group = parser.add_argument_group("output")
        group.add_argument(
            "--output",
            metavar="PATH|-",
            help="file for recommendations, or - for standard output; on another filesystem than"
            " the local one, a file for each bundle",
        )
        group.add_argument("--output_topic", metavar="TOPIC", help="topic for recommendations")
        group.add_argument(
            "--output_format",
            choices=(*OUTPUT_FORMATS, CONFLUENT_AVRO),
            default="json",
            help="format of recommendations; confluent-avro is for topics, and for that of"
            " evaluations, too (default: json)",
        )
        group.add_argument(
            "--dead_letters", metavar="PATH", help="file for dead letters, as --output"
        )
        group.add_argument("--dead_letter_topic", metavar="TOPIC", help="topic for dead letters")
        group.add_argument("--summary", metavar="PATH", help="file for the summary, as JSON")
