"""Detects the format of records, and returns the decoder for it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final, NamedTuple

from transforms.errors import MalformedRecordError, UnsupportedFormatError
from transforms.formats import avro, delimited, json_lines

CONFLUENT: Final = "confluent"
CONFLUENT_MAGIC: Final = b"\0"
"""What a message in Confluent's wire format starts with; its schema's id in four bytes follows."""

FILE_FORMATS: Final = ("auto", "json", "csv", "tsv", "movielens", "avro", "parquet")
MESSAGE_FORMATS: Final = ("auto", "json", "avro", CONFLUENT)

TreeDecoder = Callable[[bytes], Any]
"""From the bytes of a record to a tree: dicts, lists and scalars, whatever the format.

It raises `MalformedRecordError` for bytes that are not of the format. `record_reader` finds the
fields of a rating in the tree.
"""


class RecordFormat(NamedTuple):
    """How the records of a batch are to be decoded.

    Attributes:
        kind: `json`; `avro`, single-object encoding; `message`, either of these, told apart by
            the first bytes; `delimited`; `datum`, an Avro datum without a header; `confluent`,
            which `transforms.schema_registry` decodes; or `request`, a request for
            recommendations in JSON.
        columns: For `delimited`.
        schema: The writer's Avro schema as JSON, for `datum`.
    """

    kind: str
    columns: delimited.Columns | None = None
    schema: str = ""


JSON: Final = RecordFormat("json")
REQUEST_FORMAT: Final = RecordFormat("request")
_OF_MESSAGES: Final = {
    "auto": RecordFormat("message"),
    "json": JSON,
    "avro": RecordFormat("avro"),
    CONFLUENT: RecordFormat(CONFLUENT),
}


def format_of_messages(name: str) -> RecordFormat:
    """Returns how Kafka values are decoded when the user says `name`.

    Raises:
        UnsupportedFormatError: `name` is no format of messages.
    """
    try:
        return _OF_MESSAGES[name]
    except KeyError as e:
        msg = f"{name!r} is not a format of Kafka messages, expected {' or '.join(MESSAGE_FORMATS)}"
        raise UnsupportedFormatError(msg) from e


def format_of_text(name: str, first_line: str) -> tuple[RecordFormat, bool]:
    """Returns how a text file is decoded, and whether its first line is a header.

    Args:
        name: One of `FILE_FORMATS` except `avro` and `parquet`, of which `auto` judges by the
            first line; or `request`.
        first_line: The file's first line, without its end.

    Raises:
        UnsupportedFormatError: The first line fits no format, or not the one named.
    """
    if name == "auto":
        name = _guess(first_line)
    if name == "json":
        return JSON, False
    if name == REQUEST_FORMAT.kind:
        return REQUEST_FORMAT, False
    if name == "movielens":
        columns = delimited.MOVIELENS_COLONS if "::" in first_line else delimited.MOVIELENS_TABS
        return RecordFormat("delimited", columns), False
    separator = "\t" if name == "tsv" else _comma_or_semicolon(first_line)
    return RecordFormat("delimited", delimited.columns_of_header(first_line, separator)), True


def _guess(first_line: str) -> str:
    start = first_line.lstrip()[:1]
    if start in {"{", "[", ""}:
        return "json"
    if "::" in first_line:
        return "movielens"
    if "\t" in first_line:
        return "movielens" if start.isdigit() else "tsv"
    if "," in first_line or ";" in first_line:
        return "csv"
    msg = (
        f"the first line {first_line[:60]!r} is of no known format;"
        f" say which with --input_format, one of {', '.join(FILE_FORMATS[1:])}"
    )
    raise UnsupportedFormatError(msg)


def _comma_or_semicolon(header: str) -> str:
    return ";" if header.count(";") > header.count(",") else ","


def tree_decoder(record_format: RecordFormat) -> TreeDecoder:
    """Returns the function from the bytes of a record to its tree.

    The tree of a delimited line is the list of its cells, which `record_format.columns` names.
    """
    kind, columns, schema = record_format
    if kind in {"json", REQUEST_FORMAT.kind}:
        return json_lines.decode
    if kind == "avro":
        return avro.decode
    if kind == "message":
        return decode_message
    if kind == "delimited" and columns:
        return partial(delimited.decode, columns=columns)
    if kind == "datum":
        return partial(avro.decode_datum, schema_json=schema)
    msg = f"no decoder for {record_format}"
    raise UnsupportedFormatError(msg)


def decode_message(value: bytes) -> Any:
    """Decodes Avro in single-object encoding, else JSON.

    Raises:
        MalformedRecordError: It is neither.
    """
    if value.startswith(avro.SINGLE_OBJECT_MARKER):
        return avro.decode(value)
    if value.startswith(CONFLUENT_MAGIC):
        schema_id = int.from_bytes(value[1:5], "big")
        msg = f"Confluent's wire format with schema {schema_id}: give --schema_registry_url"
        raise MalformedRecordError(msg)
    return json_lines.decode(value)


def require_value(value: bytes, max_bytes: int) -> bytes:
    """Returns the value if it can be decoded at all.

    Raises:
        MalformedRecordError: It is empty, or longer than `max_bytes`.
    """
    if not value.strip():
        msg = "empty record"
        raise MalformedRecordError(msg)
    if len(value) > max_bytes:
        msg = f"{len(value)} bytes, more than the {max_bytes} that a record may have"
        raise MalformedRecordError(msg)
    return value
