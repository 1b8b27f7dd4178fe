"""How to reach a schema registry: what travels with a pipeline, and what never does."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import javaproperties

from transforms.errors import KafkaSetupError, SchemaRegistrySetupError
from transforms.kafka.properties import TRUST_STORE_HINT
from transforms.kafka.secrets import follow, is_secret

RETRY_SECONDS: Final = 30.0
"""How long a registry that does not answer is asked again before a record is given up."""

TOPIC_NAME: Final = "TopicNameStrategy"
SUBJECT_STRATEGIES: Final = (TOPIC_NAME, "RecordNameStrategy", "TopicRecordNameStrategy")
"""How a schema's subject is named, by the names of Confluent's serializers."""

USER_INFO: Final = "basic.auth.user.info"
_PREFIX: Final = "schema.registry."
_SOURCE: Final = "basic.auth.credentials.source"
_TIMEOUT: Final = "timeout"
_FILES: Final = ("ssl.ca.location", "ssl.certificate.location", "ssl.key.location")
_KNOWN: Final = frozenset(
    {
        USER_INFO,
        _SOURCE,
        *_FILES,
        "bearer.auth.client.id",
        "bearer.auth.client.secret",
        "bearer.auth.credentials.source",
        "bearer.auth.identity.pool.id",
        "bearer.auth.issuer.endpoint.url",
        "bearer.auth.logical.cluster",
        "bearer.auth.scope",
        "bearer.auth.token",
        "proxy",
        "ssl.key.password",
        _TIMEOUT,
    }
)
_THE_SETTINGS: Final = "the schema registry's settings"


@dataclass(frozen=True)
class SchemaRegistrySettings:
    """How to reach a registry with Confluent's API.

    It is pickled into the pipeline, so it holds no secret: `config_file` is a path, which is read
    where a client is made. A value in the file may be or have `${env:NAME}`, `${file:PATH}`,
    `${file:PATH:KEY}` or `${directory:PATH:NAME}`.

    Attributes:
        url: Where the registry's API is; several with commas between are tried in order.
        config_file: Path of a file with client settings in Java's properties format, under the
            names of Confluent's clients, with or without the prefix `schema.registry.`.
        retry_seconds: How long a registry that does not answer is asked again.
        strategy: How subjects of schemas that are written are named; of `SUBJECT_STRATEGIES`.
    """

    url: str
    config_file: str = ""
    retry_seconds: float = RETRY_SECONDS
    strategy: str = TOPIC_NAME

    def __post_init__(self) -> None:
        """Checks what can be checked without the registry.

        Raises:
            SchemaRegistrySetupError: The URL is none, or has a password that would travel with
                the pipeline.
            ValueError: There is no such strategy, or the seconds are no number from 0.
        """
        for url in self.url.split(","):
            _require_url(url.strip())
        if self.strategy not in SUBJECT_STRATEGIES:
            expected = ", ".join(SUBJECT_STRATEGIES)
            msg = f"{self.strategy!r} is not a subject name strategy, expected {expected}"
            raise ValueError(msg)
        if not 0 <= self.retry_seconds < math.inf:
            msg = f"retry_seconds is {self.retry_seconds}, expected 0 or more"
            raise ValueError(msg)
        if self.config_file:
            object.__setattr__(self, "config_file", os.path.abspath(self.config_file))

    def resolve(self) -> dict[str, Any]:
        """Returns the client's settings, with secrets: not to be kept.

        Raises:
            SchemaRegistrySetupError: The file cannot be read, or a setting cannot be; the text
                has no value of a setting.
        """
        try:
            found = {name: follow(name, value) for name, value in _read(self.config_file).items()}
        except KafkaSetupError as e:
            reason = str(e)
        else:
            return _checked(found)
        raise SchemaRegistrySetupError(reason)


def secrets_of(properties: Mapping[str, Any]) -> list[str]:
    """Returns the values of resolved settings that nobody may see, the longest first."""
    hidden = {str(value) for name, value in properties.items() if is_secret(name, str(value))}
    user_info = properties.get(USER_INFO, "")
    hidden |= {user_info, user_info.partition(":")[2]}
    return sorted(filter(None, hidden), key=len, reverse=True)


def _require_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname)
        with_password = "@" in parts.netloc
        _ = parts.port
    except ValueError:
        usable = with_password = False
    if with_password:
        msg = (
            "the schema registry's URL has a user or a password, which would travel with the"
            f" pipeline: set {USER_INFO}=USER:PASSWORD in --schema_registry_config instead"
        )
        raise SchemaRegistrySetupError(msg)
    if not usable:
        msg = f"the schema registry's URL is {url!r}, expected http://HOST:PORT or https://HOST"
        raise SchemaRegistrySetupError(msg)


def _read(path: str) -> dict[str, str]:
    if not path:
        return {}
    try:
        lines: dict[str, str] = javaproperties.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as e:
        reason = e.strerror or "it cannot be opened"
    except ValueError:
        reason = "it is no properties file in UTF-8"
    else:
        return {name.removeprefix(_PREFIX): value for name, value in lines.items()}
    msg = f"cannot read {path}, {_THE_SETTINGS}: {reason}; workers read the same path"
    raise SchemaRegistrySetupError(msg)


def _checked(found: dict[str, str]) -> dict[str, Any]:
    for name in found:
        if name.startswith(("ssl.truststore.", "ssl.keystore.")):
            msg = f"{name!r} in {_THE_SETTINGS} is not understood. {TRUST_STORE_HINT}"
            raise SchemaRegistrySetupError(msg)
        if name not in _KNOWN:
            # A name may be the rest of a secret that has two lines.
            msg = f"{_THE_SETTINGS} have a name that is none of {', '.join(sorted(_KNOWN))}"
            raise SchemaRegistrySetupError(msg)
    if found.pop(_SOURCE, "USER_INFO").upper() != "USER_INFO":
        msg = f"{_SOURCE} in {_THE_SETTINGS} can only be USER_INFO: set {USER_INFO}, too"
        raise SchemaRegistrySetupError(msg)
    if ":" not in found.get(USER_INFO, ":"):
        msg = f"{USER_INFO} in {_THE_SETTINGS} must be USER:PASSWORD"
        raise SchemaRegistrySetupError(msg)
    for name in _FILES:
        _require_readable(name, found.get(name, ""))
    checked: dict[str, Any] = dict(found)
    if "ssl.certificate.location" in found:
        # Without one OpenSSL would ask for the key's password at the terminal.
        checked.setdefault("ssl.key.password", "")
    if _TIMEOUT in found:
        checked[_TIMEOUT] = _seconds(found[_TIMEOUT])
    return checked


def _require_readable(name: str, path: str) -> None:
    if not path or Path(path).is_dir():
        return
    try:
        with Path(path).open("rb"):
            return
    except OSError as e:
        reason = e.strerror
    msg = f"cannot read {path}, the {name} of {_THE_SETTINGS}: {reason}"
    raise SchemaRegistrySetupError(msg)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if 0 < seconds < math.inf:
        return seconds
    msg = f"{_TIMEOUT} in {_THE_SETTINGS} is no number of seconds above 0"
    raise SchemaRegistrySetupError(msg)
