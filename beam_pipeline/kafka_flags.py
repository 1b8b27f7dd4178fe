"""Flags of the brokers, for every program here that connects to Kafka."""

from __future__ import annotations

import argparse
from pathlib import Path

from beam_pipeline.failures import one_line
from beam_pipeline.usage import UsageError
from transforms.errors import KafkaSetupError
from transforms.kafka.clients.factory import KafkaSettings, check_settings
from transforms.kafka.settings import AUTO, CLIENT_CHOICES


def add_kafka_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of the brokers to the parser of a program that always needs them."""
    parser.add_argument("--kafka_bootstrap_servers", required=True, metavar="HOST:PORT")
    parser.add_argument("--kafka_config", metavar="FILE", help="name=value lines: SASL, TLS, ...")
    parser.add_argument(
        "--kafka_token_provider", metavar="MODULE:FUNCTION", help="gives tokens for OAUTHBEARER"
    )


def add_client_flag(parser: argparse._ActionsContainer) -> None:
    """Adds the flag of the client library."""
    parser.add_argument(
        "--kafka_client",
        choices=CLIENT_CHOICES,
        default=AUTO,
        help="Kafka client library (default: auto, librdkafka where it is installed)",
    )


def kafka_settings(
    servers: str, config: str | None, client: str = AUTO, token_provider: str | None = None
) -> KafkaSettings:
    """Returns the settings of the brokers, with the path of a file that has been checked.

    Args:
        servers: What `--kafka_bootstrap_servers` says.
        config: What `--kafka_config` says: a path, or nothing.
        client: What `--kafka_client` says.
        token_provider: What `--kafka_token_provider` says: `module:function`, or nothing.

    Raises:
        UsageError: The file cannot be read, a line of it is not `name=value`, names no setting
            of the client, or a file that cannot be used; or the token provider gives no token.
    """
    if config:
        try:
            Path(config).read_bytes()
        except OSError as e:
            msg = f"cannot read --kafka_config {one_line(e)}"
            raise UsageError(msg) from e
    try:
        settings = KafkaSettings(
            servers, config or "", client=client, token_provider=token_provider or ""
        )
        if config or token_provider:
            check_settings(settings)
    except KafkaSetupError as e:
        msg = f"--kafka_config {config}: {e}" if config else str(e)
        raise UsageError(msg) from e
    return settings
