"""A topic in Confluent's wire format, a registry behind HTTPS and a password, lists in Avro."""

from __future__ import annotations

import contextlib
import json
import signal
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.schema_registry.json_schema import JSONSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

from beam_pipeline.pipeline import build
from beam_pipeline.settings import parse
from cluster.schema_registry import SchemaRegistry
from tests.canary import MARK, PASSWORD, unpacked
from tests.schema_registries import Front, frame, registered
from tests.secured import Authority
from tests.support import Topics, patience, run, running, wait_until
from transforms.schema_registry.settings import SchemaRegistrySettings

TIME = {"type": "long", "logicalType": "timestamp-millis"}
FIRST: dict[str, Any] = {
    "type": "record",
    "name": "Purchase",
    "fields": [
        {"name": "customer_id", "type": "string"},
        {"name": "sku", "type": "string"},
        {"name": "stars", "type": "int"},
        {"name": "ts", "type": TIME},
    ],
}
SECOND = {
    **FIRST,
    "fields": [
        {"name": "shop", "type": ["null", "string"], "default": None},
        *FIRST["fields"],
    ],
}
JSON_SCHEMA = json.dumps(
    {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Purchase",
        "type": "object",
        "properties": {"customer_id": {"type": "string"}, "sku": {"type": "string"}},
    }
)
PROTO = """
syntax = "proto3";
import "google/protobuf/timestamp.proto";
message Heartbeat { string host = 1; }
message Purchase {
  string customer_id = 1;
  string sku = 2;
  double stars = 3;
  google.protobuf.Timestamp ts = 4;
}
"""


def purchase(number: int) -> dict[str, Any]:
    return {
        "customer_id": f"c{number % 5}",
        "sku": f"s{number % 7}",
        "stars": 5,
        "ts": 1_764_064_800_000 + number,
    }


def proto_purchase(number: int) -> bytes:
    """Message [1] of its schema, field by field."""
    customer, sku = f"c{number % 5}".encode(), f"s{number % 7}".encode()
    stars = b"\x19\x00\x00\x00\x00\x00\x00\x14\x40"
    return b"\x02\x02\x0a\x02" + customer + b"\x12\x02" + sku + stars + b"\x22\x02\x08\x07"


def requests_for(front: Front, schema_id: int) -> int:
    return sum(f"/schemas/ids/{schema_id}" in path for path in front.paths)


@pytest.mark.parametrize("client", ["kafka-python", "librdkafka"])
def test_a_topic_of_framed_records(
    client: str,
    topics: Topics,
    schema_registry: SchemaRegistry,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url = schema_registry.url
    rated, lists, dead, tests = (topics.create() for _ in range(4))
    authority = Authority(tmp_path / "ca")
    monkeypatch.setenv("REGISTRY_PASSWORD", PASSWORD)
    config = tmp_path / "registry.properties"
    config.write_text(
        f"basic.auth.user.info=alice:${{env:REGISTRY_PASSWORD}}\nssl.ca.location={authority.path}\n"
    )
    context = SerializationContext(rated, MessageField.VALUE)
    registry = SchemaRegistryClient({"url": url})
    conf = {"subject.name.strategy.type": "TOPIC"}
    first = AvroSerializer(registry, json.dumps(FIRST), conf=conf)
    second = AvroSerializer(registry, json.dumps(SECOND), conf=conf)
    in_json = JSONSerializer(JSON_SCHEMA, registry, conf=conf)
    front = Front(url, authority.issue("front", "127.0.0.1"), f"alice:{PASSWORD}")
    log = tmp_path / "log"
    with contextlib.ExitStack() as serving:
        serving.enter_context(front.serving())
        with running(
            log,
            *("--runner=FnApiRunner", f"--kafka_client={client}"),
            *("--kafka_bootstrap_servers", topics.settings.bootstrap_servers),
            *("--input_topic", rated, "--output_topic", lists, "--dead_letter_topic", dead),
            *("--evaluation_topic", tests, "--output_format=confluent-avro"),
            *("--schema_registry_url", front.url, "--schema_registry_config", config),
            "--schema_registry_retry_seconds=1",
        ) as process:
            old = [first(purchase(at), context) for at in range(20)]
            topics.send(rated, old)
            wait_until(lambda: topics.count(lists) == 20)
            # The schema's second version comes while the job runs.
            new = [second({**purchase(at), "shop": "a"}, context) for at in range(20, 40)]
            # A subject of its own: Apicurio takes a subject's schemas for the kind of its first.
            other = SerializationContext(f"{rated}-json", MessageField.VALUE)
            with_schema = [in_json(purchase(at), other) for at in range(40, 50)]
            proto = registered(url, f"{rated}-proto", PROTO, "PROTOBUF")
            messages = [frame(proto) + proto_purchase(at) for at in range(50, 60)]
            plain = [json.dumps(purchase(60)).encode()]
            topics.send(rated, [*new, *with_schema, *messages, *plain])
            wait_until(lambda: topics.count(lists) == 61)
            ids = {int.from_bytes(value[1:5], "big") for value in (old[0], new[0], messages[0])}
            # Protobuf is asked for twice: the registry is asked for a file descriptor, too.
            assert sorted(requests_for(front, one) for one in ids) == [1, 1, 2]
            serving.close()
            unknown = registered(url, f"{rated}-late", '{"type": "string"}')
            topics.send(rated, [*old[:3], *[frame(unknown) + b"\x02a"] * 5, *new[:3]])
            wait_until(lambda: topics.count(lists) == 67 and topics.count(dead) == 5)
            process.send_signal(signal.SIGINT)
            assert process.wait(patience(60)) == 0, log.read_text()
    last = log.read_text().splitlines()[-1]
    assert last.startswith("read=72 positives=67 filtered=0 dead=5"), log.read_text()
    for letter in topics.read(dead):
        text = f"{letter.value!r} {letter.headers}"
        assert f"schema {unknown}: the schema registry at {front.url} is away" in text
    read_back(topics, registry, lists, tests)


def read_back(topics: Topics, registry: SchemaRegistryClient, lists: str, tests: str) -> None:
    """As a consumer of Confluent's reads them, by the registry's schemas alone."""
    deserialize = AvroDeserializer(registry, conf={"subject.name.strategy.type": "TOPIC"})
    records = topics.read(lists)
    found: list[Any] = [
        deserialize(one.value, SerializationContext(lists, MessageField.VALUE)) for one in records
    ]
    assert [one.key.decode() for one in records] == [one["user"] for one in found]
    assert found[0] == {
        "user": "c0",
        "items": [],
        "timestamp": 1_764_064_800.0,
        "origin": found[0]["origin"],
        "fallback": "",
    }
    assert found[50]["timestamp"] == 7.0
    (best, *_) = found[6]["items"]
    assert (best["item"][0], type(best["score"])) == ("s", float)
    tested: list[Any] = [
        deserialize(one.value, SerializationContext(tests, MessageField.VALUE))
        for one in topics.read(tests)
    ]
    assert [one["origin"] for one in tested] == [one["origin"] for one in found]
    assert tested[0]["rank"] is None
    assert any(one["rank"] for one in tested)
    assert registry.get_latest_version(f"{tests}-value").schema.schema_type in {"AVRO", None}


def test_a_subject_that_does_not_take_our_lists(
    topics: Topics, schema_registry: SchemaRegistry
) -> None:
    rated, lists = topics.create(), topics.create()
    other = {**FIRST, "name": "Recommendation", "namespace": "flurs_beam"}
    registered(schema_registry.url, f"{lists}-value", json.dumps(other))
    client = SchemaRegistryClient({"url": schema_registry.url})
    client.set_compatibility(f"{lists}-value", "FULL")
    done = run(
        *("--runner=FnApiRunner", "--kafka_bootstrap_servers", topics.settings.bootstrap_servers),
        *("--input_topic", rated, "--output_topic", lists, "--stop_at_end"),
        *("--output_format=confluent-avro", "--schema_registry_url", schema_registry.url),
    )
    assert done.code == 1
    (line,) = done.err.splitlines()
    assert line.startswith(
        f"error: cannot register the schema of Recommendation as {lists}-value: "
    )
    assert topics.count(lists) == 0


def test_a_password_does_not_go_where_the_pipeline_goes(
    topics: Topics, schema_registry: SchemaRegistry, tmp_path: Path
) -> None:
    rated, lists = topics.create(), topics.create()
    config = tmp_path / "registry.properties"
    config.write_text(f"basic.auth.user.info=alice:{PASSWORD}\n")
    with Front(schema_registry.url, login=f"alice:{PASSWORD}").serving() as front:
        settings = parse(
            [
                "--runner=DirectRunner",
                f"--kafka_bootstrap_servers={topics.settings.bootstrap_servers}",
                *(f"--input_topic={rated}", f"--output_topic={lists}"),
                *("--output_format=confluent-avro", f"--schema_registry_url={front.url}"),
                f"--schema_registry_config={config}",
            ]
        )
        assert settings.registry == SchemaRegistrySettings(front.url, str(config))
        pipeline = beam.Pipeline()
        build(pipeline, settings)
    serialized = unpacked(pipeline.to_runner_api().SerializeToString())
    assert str(config).encode() in serialized
    assert MARK.encode() not in serialized
