"""What every client needs before it is made: settings with secrets, and brokers that take them."""

from __future__ import annotations

import logging
from typing import Final, NamedTuple

from transforms.kafka.clients.probe import probe
from transforms.kafka.clients.tls import client_context
from transforms.kafka.properties import require_protocol
from transforms.kafka.settings import KafkaSettings, unreachable
from transforms.kafka.token_provider import fetch

# At DEBUG they show what is sent, passwords included, or the configuration.
_TALKATIVE: Final = ("kafka.admin.client", "kafka.net.connection", "kafka.protocol.parser")


class Prepared(NamedTuple):
    """What a client is made from.

    Attributes:
        properties: All settings with secrets, under librdkafka's names.
        answered: The first server that answered a probe; empty if none did.
    """

    properties: dict[str, str]
    answered: str


def prepared(settings: KafkaSettings) -> Prepared:
    """Returns what a client is made from, when a broker takes it.

    Raises:
        KafkaSetupError: The settings, a file that they name or the brokers cannot be used; the
            text says which, within five seconds.
    """
    _keep_secrets_out_of_logs()
    properties = settings.resolve()
    require_protocol(properties)
    problem, answered = probe(settings.bootstrap_servers, properties, settings.token_provider)
    if problem:
        raise unreachable(settings, problem.reason, problem.advice)
    return Prepared(properties, answered)


def checked(settings: KafkaSettings) -> dict[str, str]:
    """Returns all settings as `prepared` does, without asking the brokers.

    Raises:
        KafkaSetupError: The settings, a file that they name or the token provider cannot be
            used.
    """
    properties = settings.resolve()
    require_protocol(properties)
    client_context(properties)
    if settings.token_provider:
        fetch(settings.token_provider)
    return properties


def _keep_secrets_out_of_logs() -> None:
    for name in _TALKATIVE:
        logger = logging.getLogger(name)
        if _is_no_debugging not in logger.filters:
            logger.addFilter(_is_no_debugging)


def _is_no_debugging(record: logging.LogRecord) -> bool:
    return record.levelno > logging.DEBUG
