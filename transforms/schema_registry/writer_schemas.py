"""A writer's schema to the function that decodes what follows the schema's id."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import fastavro
import orjson

from transforms.errors import MalformedRecordError
from transforms.formats.avro import read_datum
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
    return partial(read_datum, schema=parsed, start=FRAME_LENGTH)


def _decode_json(value: bytes) -> Any:
    try:
        return orjson.loads(memoryview(value)[FRAME_LENGTH:])
    except orjson.JSONDecodeError as e:
        msg = f"invalid JSON after the schema's id: {e}"
        raise MalformedRecordError(msg) from e
