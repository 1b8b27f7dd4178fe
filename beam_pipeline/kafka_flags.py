"""What a command line says of the brokers, for every program here that reaches them."""

from __future__ import annotations

from pathlib import Path

from beam_pipeline.usage import UsageError
from transforms.errors import KafkaSetupError
from transforms.kafka.client import KafkaSettings, read_properties
from transforms.kafka.settings import KAFKA_PYTHON


def kafka_settings(servers: str, config: str | None, client: str = KAFKA_PYTHON) -> KafkaSettings:
    """Returns the settings of the brokers, with those of a file if one is given.

    Args:
        servers: What `--kafka_bootstrap_servers` says.
        config: What `--kafka_config` says: a path, or nothing.
        client: What `--kafka_client` says.

    Raises:
        UsageError: The file can not be read, a line of it is not `name=value`, or names no
            setting of the client.
    """
    if not config:
        return KafkaSettings(servers, client=client)
    try:
        text = Path(config).read_text(encoding="utf-8")
        return KafkaSettings(servers, read_properties(text, client), client)
    except (OSError, UnicodeDecodeError) as e:
        msg = f"can not read --kafka_config: {e}"
        raise UsageError(msg) from e
    except KafkaSetupError as e:
        raise UsageError(str(e)) from e
