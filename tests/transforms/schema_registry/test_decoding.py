from __future__ import annotations

import datetime
import decimal
import json
import threading
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.schema_registry.json_schema import JSONSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

from cluster.schema_registry import SchemaRegistry
from tests.schema_registries import Front, frame, registered
from transforms.errors import MalformedRecordError
from transforms.schema_registry import decoding
from transforms.schema_registry.client import (
    AVRO,
    DeniedError,
    NotFoundError,
    RegistryAwayError,
    RegistryClient,
    WriterSchema,
)
from transforms.schema_registry.decoding import RegistryDecoder
from transforms.schema_registry.settings import SchemaRegistrySettings

FIRST = json.dumps(
    {
        "type": "record",
        "name": "Event",
        "fields": [
            {"name": "customer_id", "type": "string"},
            {"name": "sku", "type": "string"},
        ],
    }
)
STARS = {"name": "stars", "type": ["null", "double"], "default": None}
SECOND = json.dumps({**json.loads(FIRST), "fields": [*json.loads(FIRST)["fields"], STARS]})


class Registry:
    """Stands in for the client: it answers by a list, and counts."""

    def __init__(self, *answers: WriterSchema | Exception) -> None:
        self.answers = list(answers)
        self.asked: list[int] = []
        self.closed = False

    def schema(self, schema_id: int) -> WriterSchema:
        self.asked.append(schema_id)
        answer = self.answers[min(len(self.asked), len(self.answers)) - 1]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close(self) -> None:
        self.closed = True


class Clock:
    """Time passes by sleeping only."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def decoder(registry: Registry, clock: Clock, seconds: float = 30.0) -> RegistryDecoder:
    settings = SchemaRegistrySettings("http://registry", retry_seconds=seconds)
    client: Any = registry
    return RegistryDecoder(settings, client, clock, clock.sleep)


def reason(one: RegistryDecoder, value: bytes) -> str:
    with pytest.raises(MalformedRecordError) as caught:
        one.decode(value)
    return str(caught.value)


def of_real(registry: SchemaRegistry) -> RegistryDecoder:
    settings = SchemaRegistrySettings(registry.url)
    return RegistryDecoder(settings, RegistryClient(settings))


EVENT = b"\x02a\x02b"


def test_a_schema_is_asked_for_once(schema_registry: SchemaRegistry) -> None:
    schema_id = registered(schema_registry.url, "once-value", FIRST)
    with Front(schema_registry.url).serving() as front:
        settings = SchemaRegistrySettings(front.url)
        one = RegistryDecoder(settings, RegistryClient(settings))
        found = [one.decode(frame(schema_id) + EVENT) for _ in range(100)]
        one.close()
    assert found == [{"customer_id": "a", "sku": "b"}] * 100
    assert len(front.paths) == 1


def test_threads_that_need_a_schema_at_once_ask_once() -> None:
    asking, going = threading.Event(), threading.Event()

    class Slow(Registry):
        def schema(self, schema_id: int) -> WriterSchema:
            asking.set()
            assert going.wait(60)
            return super().schema(schema_id)

    registry = Slow(WriterSchema(AVRO, FIRST))
    one = decoder(registry, Clock())
    found: list[Any] = []
    threads = [
        threading.Thread(target=lambda: found.append(one.decode(frame(1) + EVENT)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    assert asking.wait(60)
    going.set()
    for thread in threads:
        thread.join()
    assert (len(found), registry.asked) == (4, [1])


def test_avro_with_logical_types_as_confluents_serializer_writes_it(
    schema_registry: SchemaRegistry,
) -> None:
    schema = json.dumps(
        {
            "type": "record",
            "name": "Order",
            "fields": [
                {"name": "id", "type": {"type": "string", "logicalType": "uuid"}},
                {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
                {
                    "name": "price",
                    "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2},
                },
                {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["A", "B"]}},
                {
                    "name": "lines",
                    "type": {
                        "type": "array",
                        "items": {
                            "type": "record",
                            "name": "Line",
                            "fields": [{"name": "sku", "type": ["null", "string"]}],
                        },
                    },
                },
            ],
        }
    )
    tree = {
        "id": uuid.UUID(int=7),
        "at": datetime.datetime(2026, 11, 25, 10, tzinfo=datetime.UTC),
        "price": decimal.Decimal("12.50"),
        "kind": "B",
        "lines": [{"sku": "x9"}, {"sku": None}],
    }
    client = SchemaRegistryClient({"url": schema_registry.url})
    serialize = AvroSerializer(client, schema, conf={"subject.name.strategy.type": "TOPIC"})
    value = serialize(tree, SerializationContext("orders", MessageField.VALUE))
    assert value
    assert of_real(schema_registry).decode(value) == tree


def test_avro_that_refers_to_another_schema(schema_registry: SchemaRegistry) -> None:
    def record(name: str, field: str, kind: str) -> str:
        fields = [{"name": field, "type": kind}]
        return json.dumps({"type": "record", "name": name, "namespace": "shop", "fields": fields})

    item, event = record("Item", "sku", "string"), record("Event", "item", "shop.Item")
    registered(schema_registry.url, "item", item)
    schema_id = registered(
        schema_registry.url, "event", event, references=[("shop.Item", "item", 1)]
    )
    value = frame(schema_id) + b"\x04x9"
    assert of_real(schema_registry).decode(value) == {"item": {"sku": "x9"}}


def test_json_schema_as_confluents_serializer_writes_it(schema_registry: SchemaRegistry) -> None:
    schema = json.dumps(
        {
            "$schema": "http://json-schema.org/draft-07/schema#",
            "title": "Event",
            "type": "object",
            "properties": {"customer_id": {"type": "string"}, "n": {"type": "integer"}},
        }
    )
    client = SchemaRegistryClient({"url": schema_registry.url})
    serialize = JSONSerializer(schema, client, conf={"subject.name.strategy.type": "TOPIC"})
    tree = {"customer_id": "c1", "n": 1}
    value = serialize(tree, SerializationContext("events", MessageField.VALUE))
    assert value
    one = of_real(schema_registry)
    assert one.decode(value) == tree
    assert "invalid JSON after the schema's id" in reason(one, value[:-1])


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b'{"user": 1}', "not in Confluent's framing"),
        (b"\0\0\0", "not in Confluent's framing"),
        (b"\x01\0\0\0\x07x", "not in Confluent's framing"),
        (frame(7) + b"\x02a", "not a datum of its Avro schema"),
        (frame(7) + EVENT + b"?", "1 byte(s) left over"),
        (frame(7), "not a datum of its Avro schema"),
    ],
)
def test_records_that_do_not_fit(value: bytes, expected: str) -> None:
    registry = Registry(WriterSchema(AVRO, FIRST))
    assert expected in reason(decoder(registry, Clock()), value)


@pytest.mark.parametrize(
    "schema",
    [
        WriterSchema(AVRO, "{"),
        WriterSchema(AVRO, '"Nowhere"'),
        WriterSchema("THRIFT", ""),
        WriterSchema("PROTOBUF", "message {"),
    ],
)
def test_a_schema_that_can_not_be_used_is_not_asked_for_again_soon(schema: WriterSchema) -> None:
    registry, clock = Registry(schema), Clock()
    one = decoder(registry, clock)
    first = reason(one, frame(7) + EVENT)
    assert first.startswith("schema 7: ")
    assert reason(one, frame(7) + EVENT) == first
    assert registry.asked == [7]
    clock.sleep(decoding.REFUSED_SECONDS + 1)
    reason(one, frame(7) + EVENT)
    assert registry.asked == [7, 7]


def test_an_unknown_schema_is_asked_for_a_while_and_then_left_for_a_minute() -> None:
    registry, clock = Registry(NotFoundError("nothing there")), Clock()
    one = decoder(registry, clock)
    assert reason(one, frame(7)) == "schema 7: nothing there"
    assert clock.now <= 1000 + decoding.UNKNOWN_SECONDS
    asked = len(registry.asked)
    assert 1 < asked < 10
    for _ in range(50):
        assert reason(one, frame(7)) == "schema 7: nothing there"
    assert len(registry.asked) == asked
    registry.answers = [WriterSchema(AVRO, FIRST)]
    clock.sleep(decoding.REFUSED_SECONDS + 1)
    assert one.decode(frame(7) + EVENT) == {"customer_id": "a", "sku": "b"}


def test_noise_does_not_become_a_request_for_each_record() -> None:
    registry, clock = Registry(DeniedError("no")), Clock()
    one = decoder(registry, clock)
    for number in range(1000):
        reason(one, frame(number))
    assert len(registry.asked) == decoding.MAX_REFUSED
    assert "not asked for" in reason(one, frame(5000))
    # A minute later, the schema of a good record is found.
    registry.answers = [WriterSchema(AVRO, FIRST)]
    clock.sleep(decoding.REFUSED_SECONDS + 1)
    one.decode(frame(5000) + EVENT)


def test_a_registry_that_comes_back_in_time_costs_no_record() -> None:
    away = RegistryAwayError("away")
    registry, clock = Registry(away, away, away, WriterSchema(AVRO, FIRST)), Clock()
    assert decoder(registry, clock).decode(frame(7) + EVENT) == {"customer_id": "a", "sku": "b"}
    assert clock.now > 1000


def test_a_registry_that_stays_away_holds_the_job_up_once() -> None:
    registry, clock = Registry(WriterSchema(AVRO, FIRST), RegistryAwayError("it is away")), Clock()
    one = decoder(registry, clock)
    one.decode(frame(1) + EVENT)
    assert reason(one, frame(7)) == "schema 7: it is away"
    assert 1000 + 20 < clock.now <= 1000 + 30
    asked, gave_up = len(registry.asked), clock.now
    for number in range(100):
        reason(one, frame(number + 7))
    assert (len(registry.asked), clock.now) == (asked, gave_up)
    # What is known is decoded all along.
    one.decode(frame(1) + EVENT)
    clock.sleep(decoding.AWAY_SECONDS + 1)
    before = clock.now
    reason(one, frame(7))
    reason(one, frame(8))
    assert (len(registry.asked), clock.now) == (asked + 1, before)
    registry.answers = [WriterSchema(AVRO, FIRST)]
    clock.sleep(decoding.AWAY_SECONDS + 1)
    one.decode(frame(7) + EVENT)
    one.decode(frame(8) + EVENT)
    # Once it has answered, it is waited for again.
    registry.answers = [RegistryAwayError("it is away")]
    before = clock.now
    reason(one, frame(9))
    assert clock.now > before + 20


def test_a_registry_that_is_really_away(tmp_path: Path) -> None:
    settings = SchemaRegistrySettings("http://127.0.0.1:9", retry_seconds=0)
    one = RegistryDecoder(settings, RegistryClient(settings))
    assert "the schema registry at http://127.0.0.1:9 is away" in reason(one, frame(7))


def test_a_registry_that_does_not_know_the_id(schema_registry: SchemaRegistry) -> None:
    settings = SchemaRegistrySettings(schema_registry.url, retry_seconds=0)
    one = RegistryDecoder(settings, RegistryClient(settings))
    text = reason(one, frame(123456))
    assert "123456" in text
    assert "HTTP 404" in text


@pytest.mark.parametrize(
    ("status", "error"), [(503, RegistryAwayError), (429, RegistryAwayError), (403, DeniedError)]
)
def test_what_a_status_means(
    status: int, error: type[Exception], schema_registry: SchemaRegistry
) -> None:
    with Front(schema_registry.url).serving() as front:
        front.status = status
        client = RegistryClient(SchemaRegistrySettings(front.url))
        with pytest.raises(error, match=f"HTTP {status}"):
            client.schema(1)
        client.close()


def test_schemas_that_refer_to_each_other_in_a_circle() -> None:
    class Circle:
        def get_version(self, subject: str, *_: object, **__: object) -> Any:
            other = "b" if subject == "a" else "a"
            return Holder(schema=Holder(schema_str=subject, references=refers_to(other)))

    class Holder:
        def __init__(self, **fields: object) -> None:
            self.__dict__.update(fields)

    def refers_to(name: str) -> Sequence[Any]:
        return [Holder(name=name, subject=name, version=1)]

    client = RegistryClient(SchemaRegistrySettings("http://registry"))
    circle: Any = Circle()
    client._client = circle
    found: dict[str, str] = {}
    client._add_references(Holder(references=refers_to("a")), None, found)
    assert sorted(found.items()) == [("a", "a"), ("b", "b")]
