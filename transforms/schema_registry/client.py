"""Requests to a registry, by Confluent's own client, and what their failures mean."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Callable
from typing import Any, Final, NamedTuple, TypeVar

from confluent_kafka.schema_registry import (
    Schema,
    SchemaRegistryClient,
    SchemaRegistryError,
)

from transforms.errors import SchemaRegistrySetupError
from transforms.schema_registry.settings import SchemaRegistrySettings, secrets_of

AVRO: Final = "AVRO"
JSON: Final = "JSON"
PROTOBUF: Final = "PROTOBUF"

REQUEST_SECONDS: Final = 10.0
_SHOWN: Final = 300
_SERIALIZED: Final = "serialized"
_MAX_REFERENCES: Final = 100
_BUSY: Final = (408, 429, 500, 502, 503, 504)
_NOT_FOUND: Final = 404
_DENIED: Final = (401, 403)
_INCOMPATIBLE: Final = (409, 422)
T = TypeVar("T")


class WriterSchema(NamedTuple):
    """A schema as the registry has it.

    Attributes:
        kind: `AVRO`, `JSON` or `PROTOBUF`.
        text: The schema; of Protobuf the source, or a file descriptor in base64.
        references: Name and text of what it refers to, what others of them need first.
    """

    kind: str
    text: str
    references: tuple[tuple[str, str], ...] = ()


class RequestFailedError(Exception):
    """A request was not answered as asked; the text says why and has no secret."""


class RegistryAwayError(RequestFailedError):
    """Nobody answers, or not now: asking again may help."""


class NotFoundError(RequestFailedError):
    """The registry does not have it."""


class DeniedError(RequestFailedError):
    """The credentials are missing, wrong, or not enough."""


class IncompatibleError(RequestFailedError):
    """The registry does not take a schema."""


class RegistryClient:
    """A registry's client, which asks once and keeps nothing. Thread-safe.

    Args:
        settings: Of the registry.

    Raises:
        SchemaRegistrySetupError: A setting cannot be used.
    """

    def __init__(self, settings: SchemaRegistrySettings) -> None:
        properties = settings.resolve()
        self._url = settings.url
        self._secrets = secrets_of(properties)
        try:
            self._client = SchemaRegistryClient(
                {"timeout": REQUEST_SECONDS, **properties, "url": settings.url, "max.retries": 0}
            )
        except ssl.SSLError as e:
            problem = e.reason or "it is no PEM"
            reason = f"a certificate or key cannot be used: {problem}"
        except (OSError, TypeError, ValueError) as e:
            reason = self._redacted(str(e))
        else:
            return
        msg = f"the schema registry's settings cannot be used: {reason}"
        raise SchemaRegistrySetupError(msg)

    def check(self) -> None:
        """Asks for something small.

        Raises:
            RequestFailedError: The registry is away, denies, or is no registry.
        """
        try:
            kinds = self._ask(self._client.get_schema_types)
        except NotFoundError:
            kinds = None
        if not isinstance(kinds, list):
            raise self._no_registry()

    def schema(self, schema_id: int) -> WriterSchema:
        """Returns the schema of an id, with all that it refers to.

        Raises:
            RequestFailedError: It is not there, or cannot be had.
        """
        return self._ask(lambda: self._schema(schema_id))

    def _schema(self, schema_id: int) -> WriterSchema:
        try:
            schema = self._client.get_schema(schema_id)
            kind = schema.schema_type or AVRO
            form = _SERIALIZED if kind == PROTOBUF else None
            if form:
                # The client's cache does not tell formats apart.
                self._client.clear_caches()
                schema = self._client.get_schema(schema_id, fmt=form)
            found: dict[str, str] = {}
            self._add_references(schema, form, found)
        finally:
            self._client.clear_caches()
        return WriterSchema(kind, schema.schema_str or "", tuple(found.items()))

    def _add_references(self, schema: Any, form: str | None, found: dict[str, str]) -> None:
        for reference in schema.references or ():
            if reference.name in found:
                continue
            if len(found) >= _MAX_REFERENCES:
                raise ValueError
            version = self._client.get_version(
                reference.subject, reference.version, deleted=True, fmt=form
            )
            # Before what it refers to itself, so that a circle ends.
            found[reference.name] = ""
            self._add_references(version.schema, form, found)
            # Behind what it refers to.
            del found[reference.name]
            found[reference.name] = version.schema.schema_str or ""

    def register(self, subject: str, text: str) -> int:
        """Returns the id of an Avro schema under a subject, where it is registered if it is new.

        Raises:
            RequestFailedError: The registry is away, denies, or does not take the schema.
        """
        schema = Schema(text, AVRO)
        # Reading is allowed to more users than writing.
        with contextlib.suppress(NotFoundError):
            return self._ask(lambda: int(self._client.lookup_schema(subject, schema).schema_id))
        return self._ask(lambda: int(self._client.register_schema(subject, schema)))

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()

    def _ask(self, call: Callable[[], T]) -> T:
        """Turns what the client raises into errors of ours, to which its request does not cling."""
        try:
            return call()
        except SchemaRegistryError as e:
            failure = self._answered(e.http_status_code, str(e.error_message))
        except (AttributeError, KeyError, TypeError, ValueError):
            failure = self._no_registry()
        # Its HTTP library, whose version the client chooses, has errors of its own.
        except Exception as e:
            text = self._redacted(str(e)) or type(e).__name__
            failure = RegistryAwayError(f"the schema registry at {self._url} is away: {text}")
        raise failure

    def _no_registry(self) -> RequestFailedError:
        return RequestFailedError(
            f"{self._url} does not answer as a schema registry does: check the URL's path"
            " (Apicurio has Confluent's API at /apis/ccompat/v7)"
        )

    def _answered(self, status: int, text: str) -> RequestFailedError:
        said = f"{self._redacted(text)} (HTTP {status})"
        if status in _BUSY:
            return RegistryAwayError(f"the schema registry at {self._url} cannot answer: {said}")
        if status in _DENIED:
            return DeniedError(f"the schema registry at {self._url} denies it: {said}")
        if status in _INCOMPATIBLE:
            return IncompatibleError(f"the schema registry at {self._url} refuses it: {said}")
        kind = NotFoundError if status == _NOT_FOUND else RequestFailedError
        return kind(f"the schema registry at {self._url} says: {said}")

    def _redacted(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "***")
        text = " ".join(text.split())
        return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."
