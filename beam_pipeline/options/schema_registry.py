"""Flags of the schema registry."""

from __future__ import annotations

import argparse

from apache_beam.options.pipeline_options import PipelineOptions

from transforms.schema_registry.settings import RETRY_SECONDS, SUBJECT_STRATEGIES, TOPIC_NAME


class SchemaRegistryOptions(PipelineOptions):
    """How to reach a schema registry."""

    @classmethod
    def _add_argparse_args(cls, parser: argparse.ArgumentParser) -> None:
        group = parser.add_argument_group("schema registry")
        group.add_argument(
            "--schema_registry_url",
            metavar="URL",
            help="registry with Confluent's API, for input in Confluent's wire format (Avro, JSON"
            " Schema, Protobuf) and --output_format confluent-avro; several with commas",
        )
        group.add_argument(
            "--schema_registry_config",
            metavar="FILE",
            help="client settings (basic.auth.user.info, ssl.ca.location, ...), name=value lines;"
            " workers read the same path",
        )
        group.add_argument(
            "--schema_registry_retry_seconds",
            type=float,
            default=RETRY_SECONDS,
            metavar="SECONDS",
            help="how long a registry that does not answer is asked again before records become"
            f" dead letters (default: {RETRY_SECONDS:g})",
        )
        group.add_argument(
            "--subject_name_strategy",
            choices=SUBJECT_STRATEGIES,
            default=TOPIC_NAME,
            help=f"how subjects of written schemas are named (default: {TOPIC_NAME})",
        )
