"""The registries that this process reads from, and what is asked of one when a pipeline is built.

It may be imported without the extra `schema-registry`, which what it does needs.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

from transforms.errors import SchemaRegistrySetupError
from transforms.kafka.client_pool import ClientPool
from transforms.schema_registry.settings import SchemaRegistrySettings

if TYPE_CHECKING:
    from transforms.schema_registry.decoding import RegistryDecoder

_OURS: Final = "transforms"


class RegistryPool(ClientPool[SchemaRegistrySettings, "RegistryDecoder"]):
    """One decoder for each registry. Thread-safe."""

    def decoder(self, settings: SchemaRegistrySettings) -> RegistryDecoder:
        """Returns the decoder of a registry, which is asked for nothing yet.

        Raises:
            SchemaRegistrySetupError: A setting cannot be used, or the extra is not installed.
        """
        return self._get(settings, lambda: _decoder(settings))


def _decoder(settings: SchemaRegistrySettings) -> RegistryDecoder:
    client = _extra("client").RegistryClient(settings)
    decoder: RegistryDecoder = _extra("decoding").RegistryDecoder(settings, client)
    return decoder


def check_registry(settings: SchemaRegistrySettings) -> None:
    """Checks that a registry answers.

    Raises:
        SchemaRegistrySetupError: It does not, a setting cannot be used, or the extra is not
            installed.
    """
    _extra("registration").require_registry(settings)


def frame_for(settings: SchemaRegistrySettings, topic: str, schema: dict[str, Any]) -> bytes:
    """Returns what records of an Avro schema start with in a topic; registers it if it is new.

    Raises:
        SchemaRegistrySetupError: The registry cannot be reached or does not take the schema, a
            setting cannot be used, or the extra is not installed.
    """
    frame: bytes = _extra("registration").registered_frame(settings, topic, schema)
    return frame


def _extra(name: str) -> Any:
    """Returns a module of this package that needs the extra."""
    try:
        return importlib.import_module(f"{__package__}.{name}")
    except ImportError as e:
        if (e.name or "").startswith(_OURS):
            raise
    msg = "a schema registry needs more packages: pip install 'flurs-beam[schema-registry]'"
    raise SchemaRegistrySetupError(msg)
