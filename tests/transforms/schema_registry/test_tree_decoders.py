from __future__ import annotations

import json

import pytest

from cluster.schema_registry import SchemaRegistry
from tests.schema_registries import frame, registered
from transforms.batches import RawBatch
from transforms.errors import MalformedRecordError
from transforms.formats import avro
from transforms.formats.detection import REQUEST_FORMAT, format_of_messages, tree_decoder
from transforms.formats.record_reader import RecordReader
from transforms.formats.records import Rating
from transforms.runtime.worker_context import WORKER
from transforms.schema_registry.pool import RegistryPool
from transforms.schema_registry.settings import SchemaRegistrySettings
from transforms.schema_registry.tree_decoders import tree_decoders

TYPES = {
    "customer_id": {"type": "string", "logicalType": "uuid"},
    "sku": "int",
    "stars": {"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 1},
    "ts": {"type": "long", "logicalType": "timestamp-micros"},
}
SCHEMA = json.dumps(
    {
        "type": "record",
        "name": "Event",
        "fields": [{"name": name, "type": kind} for name, kind in TYPES.items()],
    }
)
CUSTOMER = "00000000-0000-0000-0000-000000000007"
DATUM = b"\x48" + CUSTOMER.encode() + b"\x12" + b"\x02\x2d" + b"\x80\x89\x7a"
PLAIN = b'{"user": "a", "item": "b", "rating": 4, "timestamp": 2}'


def batch(kind: str, *values: bytes) -> RawBatch:
    form = REQUEST_FORMAT if kind == "request" else format_of_messages(kind)
    return RawBatch("t-0-", range(len(values)), list(values), form)


@pytest.fixture
def reader(schema_registry: SchemaRegistry) -> RecordReader:
    settings = SchemaRegistrySettings(schema_registry.url)
    return RecordReader(decoder=tree_decoders(settings))


@pytest.fixture
def framed(schema_registry: SchemaRegistry) -> bytes:
    return frame(registered(schema_registry.url, "tree-value", SCHEMA)) + DATUM


def test_logical_types_become_a_rating(reader: RecordReader, framed: bytes) -> None:
    found = reader.read(batch("confluent", framed))
    assert found.ratings == [Rating(CUSTOMER, "9", 4.5, 1.0, "t-0-0")]
    assert not found.unusable


def test_what_is_detected_may_be_framed_or_not(reader: RecordReader, framed: bytes) -> None:
    single = avro.encode_rating(Rating("c", "d", 5.0, 3.0))
    found = reader.read(batch("auto", framed, PLAIN, single))
    assert [one.user for one in found.ratings] == [CUSTOMER, "a", "c"]


def test_what_is_said_to_be_framed_is_nothing_else(reader: RecordReader, framed: bytes) -> None:
    found = reader.read(batch("confluent", framed, PLAIN))
    assert [one.reason for one in found.unusable] == [
        "not in Confluent's framing: it does not start with the byte 0 and a schema's id"
    ]
    as_json = reader.read(batch("json", framed, PLAIN))
    assert (len(as_json.ratings), len(as_json.unusable)) == (1, 1)


def test_requests_may_be_framed(reader: RecordReader, framed: bytes) -> None:
    found = reader.read_requests(batch("request", framed, b'{"user": "a"}'))
    assert [one.user for one in found.requests] == [CUSTOMER, "a"]


def test_all_readers_of_a_process_share_a_client(schema_registry: SchemaRegistry) -> None:
    settings = SchemaRegistrySettings(schema_registry.url)
    tree_decoders(settings)
    one = WORKER.get(RegistryPool).decoder(settings)
    tree_decoders(SchemaRegistrySettings(schema_registry.url))
    assert WORKER.get(RegistryPool).decoder(settings) is one


def test_without_a_registry_the_flag_is_named() -> None:
    assert tree_decoders(None) is tree_decoder
    with pytest.raises(MalformedRecordError, match="schema 7: give --schema_registry_url"):
        tree_decoder(format_of_messages("auto"))(frame(7) + DATUM)
