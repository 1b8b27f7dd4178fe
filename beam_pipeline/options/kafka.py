"""Flags of the brokers."""

from __future__ import annotations

import argparse

from apache_beam.options.pipeline_options import PipelineOptions

from beam_pipeline.kafka_flags import add_client_flag


class KafkaOptions(PipelineOptions):
    """How to reach the brokers."""

    @classmethod
    def _add_argparse_args(cls, parser: argparse.ArgumentParser) -> None:
        group = parser.add_argument_group("Kafka")
        group.add_argument(
            "--kafka_bootstrap_servers", metavar="HOST:PORT", help="broker(s), separated by commas"
        )
        group.add_argument(
            "--kafka_config",
            metavar="FILE",
            help="client settings (SASL, TLS, ...), name=value lines in Java's or librdkafka's"
            " names; workers read the same path",
        )
        group.add_argument(
            "--kafka_token_provider",
            metavar="MODULE:FUNCTION",
            help="Python function that returns (token, expiry in epoch seconds) for a login by"
            " OAUTHBEARER; imported on every worker",
        )
        group.add_argument(
            "--kafka_group",
            metavar="GROUP",
            default="flurs-beam",
            help="consumer group whose offsets are committed (default: flurs-beam)",
        )
        add_client_flag(group)
        group.add_argument(
            "--create_topics",
            action="store_true",
            help="create output and request topics that are missing",
        )
