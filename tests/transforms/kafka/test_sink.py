from __future__ import annotations

import json

import apache_beam as beam
import pytest
from apache_beam.testing.test_pipeline import TestPipeline

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
from transforms.kafka.sink import discard_producer, require_acknowledged, shared_producer

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
    sent = [client.send(topic, b"x" * 30_000_000)]
    with pytest.raises(DeliveryError, match=topic):
        require_acknowledged(client, sent, topic)
    discard_producer(topics.settings, client)
    again = shared_producer(topics.settings)
    require_acknowledged(again, [again.send(topic, b"small")], topic)
    assert topics.count(topic) == 1


def test_an_unknown_format_is_refused(topics: Topics) -> None:
    with pytest.raises(ValueError, match="'xml' is not an output format"):
        WriteRecommendationsToKafka(topics.settings, "topic", "xml")
