"""Envelopes around an event: CloudEvents and Debezium."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import orjson

from transforms.errors import MalformedRecordError
from transforms.formats.records import Header

_CE: Final = "ce_"
_NO_ROW: Final = ("d", "t", "m")
"""Debezium's operations that come without a row: delete, truncate, message."""


class Unwrapped(NamedTuple):
    """What was in an envelope.

    Attributes:
        payload: The event; None if the envelope says that there is none to learn.
        outer: The envelope's own fields.
        time: The envelope's own time, in any form; None if it has none.
        event: The envelope's own event type; None if it has none.
    """

    payload: Any
    outer: Mapping[str, Any]
    time: Any = None
    event: Any = None


def cloudevents(tree: Any, headers: Sequence[Header]) -> Unwrapped:
    """Unwraps a CloudEvent in structured or, by its headers, in binary mode.

    Source: CloudEvents 1.0, "JSON Event Format" and "Kafka Protocol Binding".

    Raises:
        MalformedRecordError: It is no CloudEvent, or its data are no JSON.
    """
    binary = {
        name[len(_CE) :]: value.decode("utf-8", "replace")
        for name, value in headers
        if name.startswith(_CE)
    }
    if "specversion" in binary:
        return Unwrapped(tree, binary, binary.get("time"), binary.get("type"))
    if type(tree) is not dict or "specversion" not in tree:
        msg = "no CloudEvent: specversion is missing, in the record and among its headers"
        raise MalformedRecordError(msg)
    payload = tree.get("data")
    if payload is None and type(tree.get("data_base64")) is str:
        try:
            payload = base64.b64decode(tree["data_base64"], validate=True).decode()
        except (binascii.Error, ValueError) as e:
            msg = f"the CloudEvent's data_base64 cannot be decoded: {e}"
            raise MalformedRecordError(msg) from e
    if type(payload) is str:
        try:
            payload = orjson.loads(payload)
        except orjson.JSONDecodeError as e:
            msg = f"the CloudEvent's data are no JSON: {e}"
            raise MalformedRecordError(msg) from e
    if payload is None:
        msg = "the CloudEvent has no data"
        raise MalformedRecordError(msg)
    return Unwrapped(payload, tree, tree.get("time"), tree.get("type"))


def debezium(tree: Any, headers: Sequence[Header]) -> Unwrapped:
    """Unwraps a change event, with its schema beside it or without: the row after the change.

    A change that leaves no row has no payload.

    Source: Debezium, "Data change events".

    Raises:
        MalformedRecordError: It is no change event.
    """
    body = tree.get("payload", tree) if type(tree) is dict else tree
    operation = body.get("op") if type(body) is dict else None
    if type(body) is not dict or not ("after" in body or operation in _NO_ROW):
        msg = "no change event of Debezium: neither payload.after nor after is there"
        raise MalformedRecordError(msg)
    row = None if operation in _NO_ROW else body.get("after")
    return Unwrapped(row, body, body.get("ts_ms"))


Unwrap = Callable[[Any, Sequence[Header]], Unwrapped]
UNWRAP: Final[Mapping[str, Unwrap]] = {"cloudevents": cloudevents, "debezium": debezium}
"""By the names of `mapping.ENVELOPES`."""
