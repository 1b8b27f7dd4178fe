"""What is asked of a registry when a pipeline is built: whether it answers, and ids of schemas.

A sink gets its schema's id then, and needs no registry later.
"""

from __future__ import annotations

import contextlib
import json
from typing import Any, Final

from confluent_kafka.schema_registry import (
    record_subject_name_strategy,
    topic_record_subject_name_strategy,
    topic_subject_name_strategy,
)
from confluent_kafka.serialization import MessageField, SerializationContext

from transforms.errors import SchemaRegistrySetupError
from transforms.formats.detection import CONFLUENT_MAGIC
from transforms.schema_registry.client import (
    DeniedError,
    IncompatibleError,
    RegistryClient,
    RequestFailedError,
)
from transforms.schema_registry.settings import SUBJECT_STRATEGIES, SchemaRegistrySettings

_STRATEGIES: Final = dict(
    zip(
        SUBJECT_STRATEGIES,
        (
            topic_subject_name_strategy,
            record_subject_name_strategy,
            topic_record_subject_name_strategy,
        ),
        strict=True,
    )
)


def require_registry(settings: SchemaRegistrySettings) -> None:
    """Checks that a registry answers.

    Raises:
        SchemaRegistrySetupError: It does not, or a setting cannot be used.
    """
    with contextlib.closing(RegistryClient(settings)) as client:
        try:
            client.check()
        except RequestFailedError as e:
            reason = str(e)
        else:
            return
    msg = f"{reason}; check --schema_registry_url and --schema_registry_config"
    raise SchemaRegistrySetupError(msg)


def subject_of(strategy: str, topic: str, record: str) -> str:
    """Returns the subject of a value's schema.

    Args:
        strategy: One of `SUBJECT_STRATEGIES`.
        topic: Where the records go.
        record: The record's full name.
    """
    context = SerializationContext(topic, MessageField.VALUE)
    return str(_STRATEGIES[strategy](context, record))


def registered_frame(settings: SchemaRegistrySettings, topic: str, schema: dict[str, Any]) -> bytes:
    """Returns what records of an Avro schema start with in a topic; registers it if it is new.

    Raises:
        SchemaRegistrySetupError: The registry cannot be reached, or does not take the schema.
    """
    subject = subject_of(settings.strategy, topic, f"{schema['namespace']}.{schema['name']}")
    with contextlib.closing(RegistryClient(settings)) as client:
        try:
            schema_id = client.register(subject, json.dumps(schema))
        except IncompatibleError as e:
            reason = f"{e}; write to another topic, or change the subject's compatibility"
        except DeniedError as e:
            reason = f"{e}; or have somebody register it: docs/schema_registry.md says how"
        except RequestFailedError as e:
            reason = str(e)
        else:
            return CONFLUENT_MAGIC + schema_id.to_bytes(4, "big")
    msg = f"cannot register the schema of {schema['name']} as {subject}: {reason}"
    raise SchemaRegistrySetupError(msg)
