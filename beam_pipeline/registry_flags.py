"""What a command line says of the schema registry."""

from __future__ import annotations

import argparse

from beam_pipeline.usage import UsageError
from transforms.errors import SchemaRegistrySetupError
from transforms.formats.detection import CONFLUENT
from transforms.kafka.sink import CONFLUENT_AVRO
from transforms.schema_registry.settings import SchemaRegistrySettings


def registry_settings(known: argparse.Namespace) -> SchemaRegistrySettings | None:
    """Returns the settings of the registry, with the path of a file that has been checked.

    Args:
        known: All flags; None comes out if they name no registry.

    Raises:
        UsageError: Flags do not fit together, the URL is none, or the file cannot be used.
    """
    framed = known.output_format == CONFLUENT_AVRO
    if framed and (known.output or not (known.output_topic or known.evaluation_topic)):
        msg = f"--output_format {CONFLUENT_AVRO} is for topics; a file takes json or avro"
        raise UsageError(msg)
    if not known.schema_registry_url:
        wanting = {
            f"--output_format {CONFLUENT_AVRO}": framed,
            f"--input_format {CONFLUENT}": known.input_format == CONFLUENT,
            "--schema_registry_config": known.schema_registry_config,
        }
        for flag, given in wanting.items():
            if given:
                msg = f"{flag} needs --schema_registry_url"
                raise UsageError(msg)
        return None
    if not (known.input_topic or framed):
        msg = (
            "--schema_registry_url goes with --input_topic, or with a topic that is written in"
            f" --output_format {CONFLUENT_AVRO}"
        )
        raise UsageError(msg)
    try:
        settings = SchemaRegistrySettings(
            known.schema_registry_url,
            known.schema_registry_config or "",
            known.schema_registry_retry_seconds,
            known.subject_name_strategy,
        )
        settings.resolve()
    except (SchemaRegistrySetupError, ValueError) as e:
        raise UsageError(str(e)) from e
    return settings
