"""A writer's schema to the function that decodes what follows the schema's id."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any, Final

import fastavro
import orjson

from transforms.errors import MalformedRecordError
from transforms.schema_registry import protobuf
from transforms.schema_registry.client import AVRO, JSON, PROTOBUF, WriterSchema

FRAME_LENGTH: Final = 5
"""The magic byte 0 and the schema's id in four bytes."""

Decode = Callable[[bytes], Any]
"""A whole framed record to its tree; raises MalformedRecordError."""


def decoder_of(schema: WriterSchema) -> Decode:
    """Returns the function that decodes records of a schema.

    Records of JSON Schema are not validated against it: what is needed of them is checked later,
    as with any other record.

    Raises:
        ValueError: The schema cannot be used; the text says why.
    """
    if schema.kind == AVRO:
        return _avro_decoder(schema)
    if schema.kind == JSON:
        return _decode_json
    if schema.kind == PROTOBUF:
        return protobuf.decoder_of(schema.text, schema.references)
    msg = f"a schema of type {schema.kind!r}, expected {AVRO}, {JSON} or {PROTOBUF}"
    raise ValueError(msg)


def _avro_decoder(schema: WriterSchema) -> Decode:
    named: dict[str, Any] = {}
    try:
        for _, text in schema.references:
            fastavro.parse_schema(json.loads(text), named_schemas=named)
        parsed = fastavro.parse_schema(json.loads(schema.text), named_schemas=named)
    # Whatever is wrong with a schema, it comes from outside.
    except Exception as e:
        msg = f"no Avro schema: {type(e).__name__}: {e}"
        raise ValueError(msg) from e
    read = fastavro.schemaless_reader

    def decode(value: bytes) -> Any:
        buffer = io.BytesIO(value)
        buffer.seek(FRAME_LENGTH)
        try:
            tree = read(buffer, parsed, None)
        # fastavro lets whatever the bytes provoke escape: EOFError, IndexError, MemoryError, ...
        except Exception as e:
            msg = f"not a datum of its Avro schema: {type(e).__name__}: {e}"
            raise MalformedRecordError(msg) from e
        if buffer.tell() != len(value):
            msg = f"{len(value) - buffer.tell()} byte(s) left over after the Avro datum"
            raise MalformedRecordError(msg)
        return tree

    return decode


def _decode_json(value: bytes) -> Any:
    try:
        return orjson.loads(memoryview(value)[FRAME_LENGTH:])
    except orjson.JSONDecodeError as e:
        msg = f"invalid JSON after the schema's id: {e}"
        raise MalformedRecordError(msg) from e
