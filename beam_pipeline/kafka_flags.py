"""What a command line says of the brokers, for every program here that reaches them."""

from __future__ import annotations

from pathlib import Path

from beam_pipeline.usage import UsageError
from transforms.errors import KafkaSetupError
from transforms.kafka.clients.factory import KafkaSettings, check_settings
from transforms.kafka.settings import AUTO


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
            msg = f"cannot read --kafka_config: {e}"
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
