"""Secrets in client settings: which settings are secret, and references to where a secret is.

A reference has the form of Kafka's own config providers (KIP-297) and is followed where a client
is made, so a pipeline carries the reference and never the secret.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import javaproperties

from transforms.errors import KafkaSetupError

_REFERENCE: Final = re.compile(r"\$\{(\w+):([^}]*)\}")
# Broad, so that a misspelled name counts as secret too.
_SECRET_NAME: Final = re.compile(
    r"pass|pasw|pwd|secret|private|jaas|key\.pem|ssl\.key$|keystore\.key|oauthbearer\.config|token$"
)
_PLACE_NAME: Final = re.compile(r"\.(file|location|url)$")
_PROXY_NAMES: Final = ("proxy.url", "socks5.proxy")
_SHORTEST_REDACTED: Final = 4
_HARMLESS: Final = ("security.protocol", "sasl.mechanism")
_EVERYWHERE: Final = "on the machine that starts the pipeline and on every worker"


def is_secret(name: str, value: str) -> bool:
    """Whether the setting of that name and value may be seen by nobody."""
    if name in _PROXY_NAMES:
        return "@" in value
    return bool(_SECRET_NAME.search(name)) and not _PLACE_NAME.search(name)


def is_reference(value: str) -> bool:
    """Whether the value is nothing but one reference."""
    return bool(_REFERENCE.fullmatch(value))


def follow(name: str, value: str) -> str:
    """Returns the value with what its references refer to.

    `${env:NAME}` is an environment variable, `${file:PATH}` the content of a file,
    `${file:PATH:KEY}` a line of a properties file, and `${directory:PATH:NAME}` the content of
    a file in a folder.

    Raises:
        KafkaSetupError: What is referred to does not exist here.
    """
    return _REFERENCE.sub(lambda found: _target(name, *found.groups()), value)


def _target(name: str, provider: str, where: str) -> str:
    path, _, key = where.partition(":")
    if provider == "env":
        if where not in os.environ:
            msg = f"{name} refers to the environment variable {where}; set it {_EVERYWHERE}"
            raise KafkaSetupError(msg)
        return os.environ[where]
    if provider == "directory" and key:
        return _content(name, str(Path(path) / key)).rstrip("\r\n")
    if provider == "file" and not key:
        return _content(name, path).rstrip("\r\n")
    if provider == "file":
        found = _lines(name, path).get(key)
        if found is None:
            msg = f"{name} refers to the setting {key} of {path}, which does not have it"
            raise KafkaSetupError(msg)
        return found
    msg = (
        f"{name} has a reference of unknown form; expected ${{env:NAME}}, ${{file:PATH}},"
        " ${file:PATH:KEY} or ${directory:PATH:NAME}"
    )
    raise KafkaSetupError(msg)


def _content(name: str, path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError as e:
        reason = e.strerror
    except UnicodeDecodeError:
        reason = "it is not UTF-8"
    msg = f"{name} refers to {path}, which cannot be read: {reason}; it must be there {_EVERYWHERE}"
    raise KafkaSetupError(msg)


def _lines(name: str, path: str) -> dict[str, str]:
    text = _content(name, path)
    try:
        lines: dict[str, str] = javaproperties.loads(text)
    except ValueError:
        lines = {}
    return lines


def redacted(text: str, properties: Mapping[str, str]) -> str:
    """Returns what a library said, without the values that it was given."""
    hidden = {
        value
        for name, value in properties.items()
        if value and (is_secret(name, value) or len(value) >= _SHORTEST_REDACTED)
        if name not in _HARMLESS
    }
    for value in sorted(hidden, key=len, reverse=True):
        text = text.replace(value, "***")
    return text
