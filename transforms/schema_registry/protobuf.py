"""Protobuf by a schema that is known only at run time: its compilation, and messages as trees.

A registry has a schema as source or as a file descriptor in base64, depending on who registered
it. Source is compiled by protoc, which grpcio-tools brings along.
"""

from __future__ import annotations

import base64
import binascii
import importlib
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC
from pathlib import Path
from typing import Any, Final

from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor, FileDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

from transforms.errors import MalformedRecordError

_START: Final = 5
_MAX_INDEXES: Final = 32
_COMPILE_SECONDS: Final = 60
_MAIN: Final = "flurs_beam_main.proto"
_SAFE_NAME: Final = re.compile(r"(?!/)(?!.*(^|/)\.\.?(/|$))[\w./-]+\.proto", re.ASCII)
_PROBLEM: Final = re.compile(r"^\S+\.proto:.*", re.MULTILINE)
_SHOWN: Final = 300
_CONFLUENT: Final = "confluent_kafka.schema_registry."
# What every compiler of Protobuf and every registry of Confluent's knows.
_BUILT_IN: Final = {
    **{
        f"google/protobuf/{name}.proto": f"google.protobuf.{name}_pb2"
        for name in (
            *("any", "api", "descriptor", "duration", "empty", "field_mask", "source_context"),
            *("struct", "timestamp", "type", "wrappers"),
        )
    },
    "confluent/meta.proto": f"{_CONFLUENT}confluent.meta_pb2",
    "confluent/type/decimal.proto": f"{_CONFLUENT}confluent.type.decimal_pb2",
    "confluent/types/decimal.proto": f"{_CONFLUENT}confluent.types.decimal_pb2",
}

Tree = Callable[[Any], Any]


def decoder_of(
    text: str, references: Sequence[tuple[str, str]] = ()
) -> Callable[[bytes], dict[str, Any]]:
    """Returns the function that decodes framed messages of a schema.

    Fields have the names of the schema. Those without a value are left out, and those that can
    not be without one have their default. Enums are names, timestamps are datetimes in UTC,
    durations are seconds, wrappers what they wrap.

    Args:
        text: The schema, as source or as a file descriptor in base64.
        references: Name and text of what it imports, what others of them import first.

    Raises:
        ValueError: The schema cannot be used; the text says why.
    """
    return _Messages(_file(text, references)).decode


class _Messages:
    """The message types of one file, each ready to decode once it has been asked for."""

    def __init__(self, file: FileDescriptor) -> None:
        self._file = file
        self._trees: dict[str, Tree] = {}
        self._by_indexes: dict[tuple[int, ...], Callable[[bytes], dict[str, Any]]] = {}

    def decode(self, value: bytes) -> dict[str, Any]:
        indexes, start = _indexes(value)
        decode = self._by_indexes.get(indexes)
        if decode is None:
            decode = self._by_indexes[indexes] = self._decoder(indexes)
        return decode(value[start:])

    def _decoder(self, indexes: tuple[int, ...]) -> Callable[[bytes], dict[str, Any]]:
        types: Sequence[Descriptor] = list(self._file.message_types_by_name.values())
        found: Descriptor | None = None
        for index in indexes:
            if not 0 <= index < len(types):
                msg = f"message {list(indexes)} of its Protobuf schema does not exist"
                raise MalformedRecordError(msg)
            found = types[index]
            types = found.nested_types
        assert found is not None
        parse = GetMessageClass(found).FromString
        tree = self._tree(found)

        def decode(payload: bytes) -> dict[str, Any]:
            try:
                decoded: dict[str, Any] = tree(parse(payload))
            # DecodeError, and what a timestamp far away or text that is no UTF-8 provokes.
            except Exception as e:
                msg = f"not a message of its Protobuf schema: {type(e).__name__}: {e}"
                raise MalformedRecordError(msg) from e
            return decoded

        return decode

    def _tree(self, kind: Descriptor) -> Tree:
        """Returns the function that makes a tree of a message of a type."""
        special = _SPECIAL.get(kind.full_name)
        if special is not None:
            return special
        known = self._trees.get(kind.full_name)
        if known is not None:
            return known
        # Filled below, as a type may contain itself.
        fields: list[tuple[str, bool, Tree | None]] = []

        def tree(message: Any) -> dict[str, Any]:
            found = {}
            for name, optional, convert in fields:
                if optional and not message.HasField(name):
                    continue
                value = getattr(message, name)
                found[name] = value if convert is None else convert(value)
            return found

        self._trees[kind.full_name] = tree
        fields += [(one.name, one.has_presence, self._converter(one)) for one in kind.fields]
        return tree

    def _converter(self, field: FieldDescriptor) -> Tree | None:
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            of_value = self._of_one(field.message_type.fields_by_name["value"])
            if of_value is None:
                return lambda entries: {str(key): value for key, value in entries.items()}
            return lambda entries: {str(key): of_value(value) for key, value in entries.items()}
        of_one = self._of_one(field)
        if not field.is_repeated:
            return of_one
        return list if of_one is None else lambda values: [of_one(value) for value in values]

    def _of_one(self, field: FieldDescriptor) -> Tree | None:
        if field.message_type is not None:
            return self._tree(field.message_type)
        return _names_of(field.enum_type) if field.enum_type is not None else None


def _names_of(kind: EnumDescriptor) -> Tree:
    names = {number: value.name for number, value in kind.values_by_number.items()}
    # A number that a newer writer knows stays a number.
    return lambda number: names.get(number, number)


def _value(wrapper: Any) -> Any:
    return wrapper.value


_SPECIAL: Final[dict[str, Tree]] = {
    "google.protobuf.Timestamp": lambda message: message.ToDatetime(UTC),
    "google.protobuf.Duration": lambda message: message.ToTimedelta().total_seconds(),
    **{
        f"google.protobuf.{name}": json_format.MessageToDict
        for name in ("Struct", "Value", "ListValue")
    },
    **{
        f"google.protobuf.{name}Value": _value
        for name in (
            *("Double", "Float", "Int64", "UInt64", "Int32", "UInt32", "Bool", "String", "Bytes"),
        )
    },
}


def _indexes(value: bytes) -> tuple[tuple[int, ...], int]:
    """Reads the path to the message's type: how many numbers, then they, as zigzag varints."""
    # One byte 0 stands for the file's first message, which is the usual one.
    if value[_START : _START + 1] == b"\0":
        return (0,), _START + 1
    count, at = _varint(value, _START)
    if not 0 < count <= _MAX_INDEXES:
        msg = f"{count} message indexes after the schema's id, expected 1 to {_MAX_INDEXES}"
        raise MalformedRecordError(msg)
    found = []
    for _ in range(count):
        index, at = _varint(value, at)
        found.append(index)
    return tuple(found), at


def _varint(value: bytes, at: int) -> tuple[int, int]:
    number = 0
    for shift in range(0, 35, 7):
        if at >= len(value):
            break
        byte = value[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (number >> 1) ^ -(number & 1), at
    msg = "no message indexes of Protobuf after the schema's id"
    raise MalformedRecordError(msg)


def _file(text: str, references: Sequence[tuple[str, str]]) -> FileDescriptor:
    main = _descriptor(text)
    imported = [(name, _descriptor(one)) for name, one in references]
    pool = DescriptorPool()
    try:
        if main is None:
            for name, one in imported:
                if one is not None:
                    msg = f"its import {name} is a file descriptor, but it is source itself"
                    raise ValueError(msg)
            for compiled in _compiled(text, references):
                pool.Add(compiled)
            return pool.FindFileByName(_MAIN)
        for name, one in imported:
            if one is None:
                msg = f"its import {name} is source, but it is a file descriptor itself"
                raise ValueError(msg)
            one.name = name
            _add(pool, one)
        main.name = _MAIN
        _add(pool, main)
        return pool.FindFileByName(_MAIN)
    # The pool's errors are of several types.
    except (KeyError, TypeError) as e:
        msg = f"no Protobuf schema: {e}"
        raise ValueError(msg) from e


def _descriptor(text: str) -> FileDescriptorProto | None:
    """Returns the file descriptor that a text is in base64, None if it is source."""
    try:
        return FileDescriptorProto.FromString(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError):
        return None
    # DecodeError, which is none of these.
    except Exception as e:
        msg = f"no file descriptor of Protobuf: {e}"
        raise ValueError(msg) from e


def _add(pool: DescriptorPool, file: FileDescriptorProto) -> None:
    for name in file.dependency:
        module = _BUILT_IN.get(name)
        if module is not None:
            built_in = FileDescriptorProto()
            importlib.import_module(module).DESCRIPTOR.CopyToProto(built_in)
            _add(pool, built_in)
    pool.Add(file)


def _compiled(text: str, references: Sequence[tuple[str, str]]) -> Sequence[FileDescriptorProto]:
    with tempfile.TemporaryDirectory(prefix="flurs-beam-proto-") as folder:
        for name, one in (*references, (_MAIN, text)):
            if not _SAFE_NAME.fullmatch(name):
                msg = f"its import {name!r} is no name of a file"
                raise ValueError(msg)
            path = Path(folder, "source", name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(one, encoding="utf-8")
        compiled = Path(folder, "compiled")
        # In a process of its own: what it says, it says to standard error.
        try:
            done = subprocess.run(
                [
                    *(sys.executable, "-m", "grpc_tools.protoc", "--include_imports"),
                    *(f"-I{folder}/source", f"--descriptor_set_out={compiled}", _MAIN),
                ],
                check=False,
                capture_output=True,
                stdin=subprocess.DEVNULL,
                timeout=_COMPILE_SECONDS,
            )
        except subprocess.TimeoutExpired as e:
            msg = f"protoc does not end within {_COMPILE_SECONDS} s"
            raise ValueError(msg) from e
        if done.returncode:
            said = _said(done.stderr.decode(errors="replace").replace(f"{folder}/source/", ""))
            msg = f"protoc does not compile it: {said}"
            raise ValueError(msg)
        return list(FileDescriptorSet.FromString(compiled.read_bytes()).file)


def _said(errors: str) -> str:
    """Returns what protoc found in the files, without its log."""
    problems = _PROBLEM.findall(errors) or [errors]
    return " ".join(" ".join(problems).replace(f"{_MAIN}:", "line ").split())[:_SHOWN]
