"""How a client of kafka-python is made: settings in its names and types, and its errors."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from kafka import KafkaConsumer, KafkaProducer
from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError, KafkaTimeoutError

from transforms.errors import KafkaSetupError
from transforms.kafka.clients.connection import prepared
from transforms.kafka.clients.oauth import Tokens
from transforms.kafka.properties import KAFKA_PYTHON_NAMES
from transforms.kafka.secrets import redacted
from transforms.kafka.settings import (
    BACKOFF_MS,
    CONNECT_SECONDS,
    KAFKA_PYTHON,
    KafkaSettings,
    unknown_property,
    unreachable,
)
from transforms.kafka.token_provider import fetch

_CLIENTS: Final = (KafkaConsumer, KafkaProducer, KafkaAdminClient)
# Settings whose values are objects, which text cannot name.
_OBJECTS: Final = {
    "default_offset_commit_callback",
    "kafka_client",
    "key_deserializer",
    "key_serializer",
    "metric_reporters",
    "partition_assignment_strategy",
    "sasl_oauth_token_provider",
    "selector",
    "socket_options",
    "ssl_context",
    "value_deserializer",
    "value_serializer",
}


def accepted(properties: Mapping[str, str]) -> dict[str, Any]:
    """Returns the properties in kafka-python's names and types.

    Raises:
        KafkaSetupError: It has no such setting, or not with such a value.
    """
    return dict(_converted(name, value) for name, value in properties.items())


def _converted(name: str, value: str) -> tuple[str, Any]:
    key = KAFKA_PYTHON_NAMES.get(name, name.replace(".", "_"))
    defaults = [client.DEFAULT_CONFIG[key] for client in _CLIENTS if key in client.DEFAULT_CONFIG]
    if not defaults or key in _OBJECTS:
        raise unknown_property(name, KAFKA_PYTHON)
    if key == "ssl_check_hostname":
        return key, value == "https"
    if key == "compression_type" and value == "none":
        return key, None
    default = defaults[0]
    if isinstance(default, bool):
        if value.lower() not in {"true", "false"}:
            msg = f"{name} in the Kafka settings is neither true nor false"
            raise KafkaSetupError(msg)
        return key, value.lower() == "true"
    if isinstance(default, int):
        if not re.fullmatch(r"[+-]?\d+", value):
            # Not shown, as no value is: it may be a password that stands in the wrong line.
            msg = f"{name} in the Kafka settings is no whole number"
            raise KafkaSetupError(msg)
        return key, int(value)
    return key, value


def configuration(client: type[Any], properties: Mapping[str, str]) -> dict[str, Any]:
    """Returns what a class of kafka-python takes of the properties, in its names and types."""
    known = accepted(properties)
    return {name: value for name, value in known.items() if name in client.DEFAULT_CONFIG}


def connected(
    client: type[Any],
    settings: KafkaSettings,
    defaults: Mapping[str, Any] | None = None,
    **fixed: Any,
) -> Any:
    """Returns a client of this class that has heard from a broker.

    Args:
        client: The class.
        settings: Of the brokers.
        defaults: What the settings may change.
        **fixed: What they may not.

    Raises:
        KafkaSetupError: The broker cannot be reached, or refuses.
    """
    properties, answered = prepared(settings)
    arguments = {
        "bootstrap_servers": settings.bootstrap_servers.split(","),
        "bootstrap_timeout_ms": int(CONNECT_SECONDS * 1000),
        "reconnect_backoff_max_ms": BACKOFF_MS,
        **(defaults or {}),
        **configuration(client, properties),
        **fixed,
    }
    if settings.token_provider:
        provider = settings.token_provider
        arguments["sasl_oauth_token_provider"] = Tokens(lambda: fetch(provider).value)
    try:
        try:
            return client(**arguments)
        except KafkaTimeoutError:
            # It picks servers at random, and one that does not answer can use up the timeout.
            if answered in {"", settings.bootstrap_servers}:
                raise
            return client(**{**arguments, "bootstrap_servers": [answered]})
    # kafka-python raises ValueError, AssertionError and OSError for settings that cannot work.
    except (KafkaError, ValueError, AssertionError, OSError) as e:
        reason = redacted(str(e), properties)
    # Raised here, so that the error has no context: that one's text may show a value.
    raise unreachable(settings, reason)
