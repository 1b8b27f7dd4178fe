"""Decoders of all formats of messages, where there is a registry."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from transforms.formats.detection import (
    CONFLUENT,
    CONFLUENT_MAGIC,
    REQUEST_FORMAT,
    RecordFormat,
    TreeDecoder,
    tree_decoder,
)
from transforms.runtime.worker_context import WORKER
from transforms.schema_registry.pool import RegistryPool
from transforms.schema_registry.settings import SchemaRegistrySettings

_DETECTED: Final = ("message", REQUEST_FORMAT.kind)


def tree_decoders(
    settings: SchemaRegistrySettings | None,
) -> Callable[[RecordFormat], TreeDecoder]:
    """Returns the function from a format to its decoder.

    With a registry, formats that are detected may be framed, too.

    Args:
        settings: Of the registry; None if there is none.

    Raises:
        SchemaRegistrySetupError: A setting cannot be used here, or the extra is not installed.
    """
    if settings is None:
        return tree_decoder
    framed = WORKER.get(RegistryPool).decoder(settings).decode

    def decoder_of(record_format: RecordFormat) -> TreeDecoder:
        if record_format.kind == CONFLUENT:
            return framed
        plain = tree_decoder(record_format)
        if record_format.kind not in _DETECTED:
            return plain

        def decode(value: bytes) -> Any:
            return framed(value) if value.startswith(CONFLUENT_MAGIC) else plain(value)

        return decode

    return decoder_of
