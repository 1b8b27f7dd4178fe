"""How a client of librdkafka is made, and what its errors say."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import confluent_kafka as rd

from transforms.errors import KafkaSetupError
from transforms.kafka.clients.connection import prepared
from transforms.kafka.secrets import redacted
from transforms.kafka.settings import (
    BACKOFF_MS,
    CONNECT_SECONDS,
    LIBRDKAFKA,
    KafkaSettings,
    unknown_property,
    unreachable,
)
from transforms.kafka.token_provider import fetch

ANSWER_SECONDS: Final = 30.0
NO_GROUP: Final = "flurs-beam-commits-nothing"
# Below the logger that the program turns down for kafka-python.
LOGGER: Final = logging.getLogger("kafka.librdkafka")
_UNKNOWN: Final = "No such configuration property"
_QUOTED: Final = re.compile(r'"([\w.]+)"')
_RANGE: Final = re.compile(r"allowed range -?\d+\.\.-?\d+")


def accepted(properties: Mapping[str, str]) -> dict[str, Any]:
    """Returns the properties as they are, tried on a client.

    Raises:
        KafkaSetupError: librdkafka has no such setting, or not with such a value.
    """
    try:
        rd.Consumer({"group.id": NO_GROUP, **_common(properties)}).close()
    except rd.KafkaException as e:
        problem = _bad_setting(text_of(e), properties)
    else:
        return dict(properties)
    # Raised here, so that the error has no context: that one's text may show a value.
    raise problem


def _bad_setting(text: str, properties: Mapping[str, str]) -> KafkaSetupError:
    """Returns the error for settings that librdkafka does not take, without their values."""
    named = [name for name in _QUOTED.findall(text) if name in properties]
    if named and text.startswith(_UNKNOWN):
        return unknown_property(named[0], LIBRDKAFKA)
    if named:
        within = _RANGE.search(text)
        more = f" ({within[0]})" if within else ""
        msg = f"{named[0]!r} in the Kafka settings has a value that librdkafka does not take{more}"
        return KafkaSetupError(msg)
    reason = redacted(text, properties)
    return KafkaSetupError(f"the Kafka settings do not work with librdkafka: {reason}")


def _common(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "reconnect.backoff.max.ms": BACKOFF_MS,
        "logger": LOGGER,
        **properties,
    }


def text_of(error: rd.KafkaException) -> str:
    """Returns what went wrong, without its number."""
    cause = error.args[0]
    return str(cause.str() if isinstance(cause, rd.KafkaError) else cause)


def _token_callback(provider: str) -> Callable[[str], tuple[str, float]]:
    """Returns what librdkafka calls for a token, and again before that one expires."""

    def token(_: str) -> tuple[str, float]:
        found = fetch(provider)
        return found.value, found.expires

    return token


class _Troubles:
    """The latest error that a client has told of; a connection has no other way to say why."""

    def __init__(self) -> None:
        self.last = ""

    def note(self, error: rd.KafkaError) -> None:
        if error.code() != rd.KafkaError._ALL_BROKERS_DOWN or not self.last:
            self.last = error.str()
        LOGGER.warning("%s", error.str())


def connected(
    kind: Any, settings: KafkaSettings, defaults: Mapping[str, Any], fixed: Mapping[str, Any]
) -> Any:
    """Returns a client of this kind that has heard from a broker.

    Args:
        kind: The class.
        settings: Of the brokers.
        defaults: What the settings may change.
        fixed: What they may not.

    Raises:
        KafkaSetupError: The broker cannot be reached, or refuses.
    """
    troubles = _Troubles()
    properties = prepared(settings).properties
    config = {
        **_common({**defaults, **properties}),
        "bootstrap.servers": settings.bootstrap_servers,
        "error_cb": troubles.note,
        **fixed,
    }
    if settings.token_provider:
        config["oauth_cb"] = _token_callback(settings.token_provider)
    try:
        client = kind(config)
    except rd.KafkaException as e:
        problem = _bad_setting(text_of(e), properties)
    else:
        try:
            client.list_topics(timeout=CONNECT_SECONDS)
        except rd.KafkaException as e:
            raise unreachable(settings, troubles.last or text_of(e)) from e
        return client
    raise problem
