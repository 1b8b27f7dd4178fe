from __future__ import annotations

import contextlib
import json

import apache_beam as beam
import pytest
from apache_beam.testing.test_pipeline import TestPipeline
from kafka.partitioner import murmur2

from tests.support import Topics
from transforms import (
    DeadLetter,
    Recommendation,
    RecommendationBatch,
    ScoredItem,
    WriteDeadLettersToKafka,
    WriteRecommendationsToKafka,
)
from transforms.errors import DeliveryError
from transforms.formats import avro
from transforms.kafka.client import producer
from transforms.kafka.protocols import Message, Sender
from transforms.kafka.sink import discard_producer, shared_producer

LISTS = [
    Recommendation("196", [ScoredItem("242", 0.97), ScoredItem("1", 0.5)], 881250949.0, "r-0-7"),
    Recommendation("ü", [], 1.0, "r-0-9"),
]


def test_lists_are_json_with_user_as_key_and_origin_as_header(topics: Topics) -> None:
    topic = topics.create()
    with TestPipeline() as pipeline:
        _ = (
            pipeline
            | beam.Create([RecommendationBatch(LISTS)])
            | WriteRecommendationsToKafka(topics.settings, topic)
        )
    records = topics.read(topic)
    assert json.loads(records[0].value) == {
        "user": "196",
        "items": [{"item": "242", "score": 0.97}, {"item": "1", "score": 0.5}],
        "timestamp": 881250949.0,
        "origin": "r-0-7",
    }
    assert [record.key for record in records] == [b"196", "ü".encode()]
    assert [record.headers for record in records] == [
        [("origin", b"r-0-7")],
        [("origin", b"r-0-9")],
    ]


def test_lists_may_be_avro(topics: Topics) -> None:
    topic = topics.create()
    with TestPipeline() as pipeline:
        _ = (
            pipeline
            | beam.Create([RecommendationBatch(LISTS)])
            | WriteRecommendationsToKafka(topics.settings, topic, "avro")
        )
    assert [record.value for record in topics.read(topic)] == [
        avro.encode_recommendation(one) for one in LISTS
    ]


def test_dead_letters_keep_what_a_broker_takes(topics: Topics) -> None:
    topic = topics.create()
    letters = [
        DeadLetter("r-0-1", "parse", "too long", b"x" * 3_000_000),
        DeadLetter("r-0-2", "parse", "null value (a tombstone)", b""),
    ]
    with TestPipeline() as pipeline:
        _ = (
            pipeline
            | beam.Create(letters, reshuffle=False)
            | WriteDeadLettersToKafka(topics.settings, topic)
        )
    large, small = topics.read_json(topic)
    assert large["reason"] == "too long (the first 524288 of 3000000 bytes are kept here)"
    assert len(large["value"]) == 524288 * 4 // 3 + 4 - (524288 * 4 // 3) % 4
    assert small == {
        "origin": "r-0-2",
        "stage": "parse",
        "reason": "null value (a tombstone)",
        "value": "",
    }


def test_what_the_broker_refuses_fails_the_bundle(topics: Topics) -> None:
    topic = topics.create()
    client = shared_producer(topics.settings)
    sender = client.sender(topic)
    with pytest.raises(DeliveryError, match=topic):
        send_and_flush(sender, [Message(b"key", b"x" * 30_000_000)])
    discard_producer(topics.settings, client)
    again = shared_producer(topics.settings)
    send_and_flush(again.sender(topic), [Message(b"key", b"small")])
    assert topics.count(topic) == 1


def test_what_is_too_long_for_any_broker_is_refused_at_once(topics: Topics) -> None:
    topic = topics.create()
    sender = shared_producer(topics.settings).sender(topic)
    with pytest.raises(DeliveryError, match=topic):
        sender.send([Message(b"key", b"x" * (65 << 20))])


def test_a_failure_is_the_senders_even_if_another_waited_for_it(topics: Topics) -> None:
    topic = topics.create()
    client = producer(topics.settings)
    mine, theirs = client.sender(topic), client.sender(topic)
    theirs.send([Message(b"key", b"x" * 30_000_000)])
    mine.send([Message(b"key", b"small")])
    with contextlib.suppress(DeliveryError):
        # kafka-python gives up everything after such a failure.
        mine.flush()
    with pytest.raises(DeliveryError, match=topic):
        theirs.flush()
    client.close()


def test_more_than_a_producer_holds_goes_through_in_order(topics: Topics) -> None:
    topic = topics.create()
    sender = shared_producer(topics.settings).sender(topic)
    values = [b"%d" % number for number in range(150_000)]
    send_and_flush(sender, [Message(b"key", value) for value in values])
    assert [record.value for record in topics.read(topic)] == values


def test_a_key_has_the_same_partition_whichever_client_sends_it(topics: Topics) -> None:
    topic = topics.create(partitions=7)
    keys = [f"user {number}".encode() for number in range(200)]
    send_and_flush(
        shared_producer(topics.settings).sender(topic), [Message(key, b"") for key in keys]
    )
    # The partitioner of Java's client, which others write and join with.
    assert {record.key: record.partition for record in topics.read(topic)} == {
        key: (murmur2(key) & 0x7FFFFFFF) % 7 for key in keys
    }


def send_and_flush(sender: Sender, messages: list[Message]) -> None:
    sender.send(messages)
    sender.flush()


def test_an_unknown_format_is_refused(topics: Topics) -> None:
    with pytest.raises(ValueError, match="'xml' is not an output format"):
        WriteRecommendationsToKafka(topics.settings, "topic", "xml")
