from __future__ import annotations

import base64
import datetime
from typing import Any

import pytest
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.protobuf import ProtobufSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.message_factory import GetMessageClass
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.schema_registry import SchemaRegistry
from tests.schema_registries import frame, registered
from transforms.errors import MalformedRecordError
from transforms.schema_registry import protobuf
from transforms.schema_registry.client import RegistryClient
from transforms.schema_registry.decoding import RegistryDecoder
from transforms.schema_registry.settings import SchemaRegistrySettings

SHOP = """
syntax = "proto3";
package shop;
import "google/protobuf/timestamp.proto";
import "google/protobuf/duration.proto";
import "google/protobuf/struct.proto";
import "google/protobuf/wrappers.proto";
message Heartbeat { string host = 1; }
message Event {
  enum Kind { VIEW = 0; PURCHASE = 1; }
  message Item { string sku = 1; Item parent = 2; }
  string customer_id = 1;
  Item item = 2;
  double stars = 3;
  google.protobuf.Timestamp ts = 4;
  Kind kind = 5;
  optional int64 count = 6;
  repeated Item others = 7;
  repeated uint32 sizes = 8;
  map<string, Item> by_name = 9;
  map<int32, string> names = 10;
  google.protobuf.Duration stayed = 11;
  google.protobuf.DoubleValue discount = 12;
  google.protobuf.Struct more = 13;
  oneof how { string web = 14; string app = 15; }
}
"""
FRAME = frame(1)


@pytest.fixture(scope="module")
def kinds() -> dict[str, Any]:
    """The classes of the messages above."""
    file = protobuf._file(SHOP, ())
    return {name: GetMessageClass(one) for name, one in file.message_types_by_name.items()}


@pytest.fixture(scope="module")
def serialized(kinds: dict[str, Any]) -> str:
    """The schema as a file descriptor in base64."""
    return base64.b64encode(kinds["Event"].DESCRIPTOR.file.serialized_pb).decode()


@pytest.fixture(scope="module", params=["source", "descriptor"])
def text(request: pytest.FixtureRequest, serialized: str) -> str:
    return SHOP if request.param == "source" else serialized


def event(kinds: dict[str, Any]) -> Any:
    made = kinds["Event"](customer_id="c1", stars=4.5, kind=1, sizes=[1, 2], names={3: "three"})
    made.item.sku = "x9"
    made.item.parent.sku = "x"
    made.ts.FromDatetime(datetime.datetime(2026, 11, 25, 10, tzinfo=datetime.UTC))
    made.others.add().sku = "y"
    made.by_name["z"].sku = "z1"
    made.stayed.FromMilliseconds(1500)
    made.discount.value = 0.25
    made.more.update({"a": [1.0, {"b": None}]})
    made.web = "firefox"
    return made


TREE = {
    "customer_id": "c1",
    "item": {"sku": "x9", "parent": {"sku": "x"}},
    "stars": 4.5,
    "ts": datetime.datetime(2026, 11, 25, 10, tzinfo=datetime.UTC),
    "kind": "PURCHASE",
    "others": [{"sku": "y"}],
    "sizes": [1, 2],
    "by_name": {"z": {"sku": "z1"}},
    "names": {"3": "three"},
    "stayed": 1.5,
    "discount": 0.25,
    "more": {"a": [1.0, {"b": None}]},
    "web": "firefox",
}


def test_a_message_becomes_a_tree(text: str, kinds: dict[str, Any]) -> None:
    decode = protobuf.decoder_of(text)
    value = FRAME + b"\x02\x02" + event(kinds).SerializeToString()
    assert decode(value) == TREE


def test_fields_without_presence_have_their_default(text: str, kinds: dict[str, Any]) -> None:
    decode = protobuf.decoder_of(text)
    assert decode(FRAME + b"\x02\x02") == {
        "customer_id": "",
        "stars": 0.0,
        "kind": "VIEW",
        "others": [],
        "sizes": [],
        "by_name": {},
        "names": {},
    }


def test_the_indexes_choose_the_message(text: str, kinds: dict[str, Any]) -> None:
    decode = protobuf.decoder_of(text)
    assert decode(FRAME + b"\0" + kinds["Heartbeat"](host="h").SerializeToString()) == {"host": "h"}
    # The list [1, 0]: the first message within the second.
    assert decode(FRAME + b"\x04\x02\x00" + b"\x0a\x02x9") == {"sku": "x9"}


@pytest.mark.parametrize(
    ("rest", "expected"),
    [
        (b"", "no message indexes"),
        (b"\x02", "no message indexes"),
        (b"\x02\x80\x80\x80\x80\x80\x80", "no message indexes"),
        (b"\x01", "-1 message indexes"),
        (b"\x80\x01\x00", "64 message indexes"),
        (b"\x02\x04", r"message \[2\] of its Protobuf schema does not exist"),
        (b"\x02\x01", r"message \[-1\] of its Protobuf schema does not exist"),
        (b"\x04\x02\x08", r"message \[1, 4\] of its Protobuf schema does not exist"),
        (b"\x02\x02\x0a\x05ab", "not a message of its Protobuf schema"),
        (b"\x02\x02\x0a\x01\xff", "not a message of its Protobuf schema"),
        # A timestamp in the year 30000.
        (b"\x02\x02\x22\x07\x08\x80\xc0\xa6\xd1\xb9\x19", "not a message of its Protobuf schema"),
    ],
)
def test_messages_that_can_not_be_read(rest: bytes, expected: str, serialized: str) -> None:
    with pytest.raises(MalformedRecordError, match=expected):
        protobuf.decoder_of(serialized)(FRAME + rest)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_are_a_tree_or_refused(
    kinds: dict[str, Any], serialized: str, rest: bytes
) -> None:
    decode = protobuf.decoder_of(serialized)
    try:
        assert isinstance(decode(FRAME + rest), dict)
    except MalformedRecordError as e:
        assert "message" in str(e)


def test_a_number_that_a_newer_enum_has_stays_a_number(serialized: str) -> None:
    assert protobuf.decoder_of(serialized)(FRAME + b"\x02\x02\x28\x07")["kind"] == 7


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("message {", "protoc does not compile it: line 1:9: Expected message name"),
        ('syntax = "proto3"; import "other.proto";', "other.proto: File not found"),
        (base64.b64encode(b"\x0a\xffnothing").decode(), "no file descriptor"),
    ],
)
def test_schemas_that_can_not_be_used(source: str, expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        protobuf.decoder_of(source)


def test_a_descriptor_without_what_it_imports() -> None:
    file = FileDescriptorProto(name="a.proto", dependency=["b.proto"])
    text = base64.b64encode(file.SerializeToString()).decode()
    with pytest.raises(ValueError, match=r"b\.proto"):
        protobuf.decoder_of(text)


@pytest.mark.parametrize(
    "name", ["../x.proto", "/etc/x.proto", "a/../../x.proto", "x", "a\nb.proto"]
)
def test_an_import_is_written_nowhere_but_where_it_belongs(name: str) -> None:
    with pytest.raises(ValueError, match="no name of a file"):
        protobuf.decoder_of('syntax = "proto3";', [(name, 'syntax = "proto3";')])


def test_source_and_descriptors_are_not_mixed(serialized: str) -> None:
    source = 'syntax = "proto3"; message A {}'
    for text, other in ((source, serialized), (serialized, source)):
        with pytest.raises(ValueError, match=r"its import b\.proto is"):
            protobuf.decoder_of(text, [("b.proto", other)])


def of_real(registry: SchemaRegistry) -> RegistryDecoder:
    settings = SchemaRegistrySettings(registry.url)
    return RegistryDecoder(settings, RegistryClient(settings))


def test_as_confluents_serializer_writes_it(
    schema_registry: SchemaRegistry, kinds: dict[str, Any]
) -> None:
    client = SchemaRegistryClient({"url": schema_registry.url})
    serialize = ProtobufSerializer(kinds["Event"], client, {"subject.name.strategy.type": "TOPIC"})
    value = serialize(event(kinds), SerializationContext("shop", MessageField.VALUE))
    assert value
    assert of_real(schema_registry).decode(value) == TREE


def test_source_that_imports_another_subject(schema_registry: SchemaRegistry) -> None:
    item = 'syntax = "proto3"; package shop; message Item { string sku = 1; }'
    main = 'syntax = "proto3"; import "shop/item.proto"; message E { shop.Item item = 1; }'
    registered(schema_registry.url, "pb-item", item, "PROTOBUF")
    schema_id = registered(
        schema_registry.url, "pb-value", main, "PROTOBUF", [("shop/item.proto", "pb-item", 1)]
    )
    value = frame(schema_id) + b"\0\x0a\x04\x0a\x02x9"
    assert of_real(schema_registry).decode(value) == {"item": {"sku": "x9"}}


def test_descriptors_that_import_others() -> None:
    item = FileDescriptorProto(name="x", package="shop", syntax="proto3")
    item.message_type.add(name="Item").field.add(name="sku", number=1, type=9, label=1)
    main = FileDescriptorProto(
        name="y",
        syntax="proto3",
        dependency=["shop/item.proto", "confluent/meta.proto", "google/protobuf/timestamp.proto"],
    )
    fields = main.message_type.add(name="E").field
    fields.add(name="item", number=1, type=11, label=1, type_name=".shop.Item")
    fields.add(name="ts", number=2, type=11, label=1, type_name=".google.protobuf.Timestamp")
    text, other = (base64.b64encode(one.SerializeToString()).decode() for one in (main, item))
    decode = protobuf.decoder_of(text, [("shop/item.proto", other)])
    found = decode(FRAME + b"\0\x0a\x04\x0a\x02x9\x12\x02\x08\x01")
    assert found == {
        "item": {"sku": "x9"},
        "ts": datetime.datetime(1970, 1, 1, 0, 0, 1, tzinfo=datetime.UTC),
    }
