from __future__ import annotations

import base64
import dataclasses
import json
import time
from collections.abc import Sequence
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.metrics.metric import MetricsFilter
from apache_beam.testing.test_pipeline import TestPipeline
from kafka.partitioner import murmur2

from tests.letters import kept_letters, letters_in
from tests.support import Topics, patience
from transforms import (
    DeadLetter,
    Recommendation,
    RecommendationBatch,
    ScoredItem,
    WriteDeadLetters,
    WriteDeadLettersToKafka,
    WriteRecommendationsToKafka,
    counters,
)
from transforms.errors import DeliveryError
from transforms.formats import avro, json_lines
from transforms.formats.records import Header
from transforms.kafka.clients.protocols import Message, Sender
from transforms.kafka.delivery import Delivery
from transforms.kafka.producer_pool import ProducerPool
from transforms.runtime.worker_context import WORKER

IMPATIENT = {
    "kafka-python": {
        "delivery.timeout.ms": "3000",
        "request.timeout.ms": "2000",
        "max.block.ms": "3000",
    },
    "librdkafka": {"delivery.timeout.ms": "3000"},
}

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


LETTER = DeadLetter(
    "r-0-1",
    "parse",
    "rating is missing: \u00fc",
    b"{}",
    b"k",
    (Header("traceparent", b"00-1"), Header("raw", b"\xff")),
    881250949.5,
    "transforms.errors.MalformedRecordError",
)


def test_a_dead_letter_is_the_record_as_it_came_and_says_why_in_headers(topics: Topics) -> None:
    topic = topics.create()
    unkeyed = DeadLetter("u.data:2", "parse", "empty record", b"")
    with TestPipeline() as pipeline:
        _ = (
            pipeline
            | beam.Create([LETTER, unkeyed], reshuffle=False)
            | WriteDeadLettersToKafka(topics.settings, topic)
        )
    first, second = topics.read(topic)
    assert (first.key, first.value, first.timestamp) == (b"k", b"{}", 881250949500)
    assert first.headers == [
        ("traceparent", b"00-1"),
        ("raw", b"\xff"),
        ("__flurs_beam.errors.origin", b"r-0-1"),
        ("__flurs_beam.errors.stage", b"parse"),
        ("__flurs_beam.errors.reason", "rating is missing: \u00fc".encode()),
        ("__flurs_beam.errors.exception.class.name", b"transforms.errors.MalformedRecordError"),
    ]
    assert (second.key, second.value) == (None, b"")
    assert second.timestamp > first.timestamp
    assert letters_in(topics, topic)[0] == LETTER


def test_what_a_topic_does_not_take_is_cut_and_says_so(topics: Topics) -> None:
    topic = topics.create(max_message_bytes="50000")
    value = bytes(range(256)) * 1000
    letters = [LETTER, LETTER._replace(value=value, origin="r-0-2"), LETTER]
    with TestPipeline() as pipeline:
        _ = (
            pipeline
            | beam.Create(letters, reshuffle=False)
            | WriteDeadLettersToKafka(topics.settings, topic)
        )
    kept = {one.letter.origin: one for one in kept_letters(topics, topic)}
    assert kept["r-0-1"] == (LETTER, None)
    (large, whole_bytes) = kept["r-0-2"]
    assert whole_bytes == len(value)
    assert 49_000 < len(large.value) < 50_000
    assert large == letters[1]._replace(value=value[: len(large.value)])


class Elements(beam.PTransform):
    """A sink's input, in one bundle, and its output appended to a file."""

    def __init__(self, batches: Sequence[object], sink: beam.PTransform, path: Path) -> None:
        super().__init__()
        self._batches, self._sink, self._path = batches, sink, path

    def expand(self, root: beam.Pipeline) -> beam.PCollection[None]:
        unwritten = root | beam.Create(self._batches, reshuffle=False) | self._sink
        return unwritten | WriteDeadLetters(str(self._path))


def write(
    batches: Sequence[object], sink: beam.PTransform, path: Path
) -> tuple[list[DeadLetter], int]:
    """Returns the dead letters that a sink gave, and its count of what it did not write."""
    pipeline = beam.Pipeline("FnApiRunner")
    _ = pipeline | Elements(batches, sink, path)
    result = pipeline.run()
    result.wait_until_finish()
    lines = path.read_text().splitlines() if path.exists() else []
    letters = [
        DeadLetter(one["origin"], one["stage"], one["reason"], base64.b64decode(one["value"]))
        for one in map(json.loads, lines)
    ]
    found = result.metrics().query(MetricsFilter().with_name(counters.UNWRITTEN))["counters"]
    return letters, sum(counter.committed for counter in found)


def a_list(user: str, items: int, origin: str) -> Recommendation:
    return Recommendation(user, [ScoredItem("i" * 100, 0.5)] * items, 1.0, origin)


def test_a_list_that_is_too_large_is_a_dead_letter_and_the_rest_is_written_in_order(
    topics: Topics, tmp_path: Path
) -> None:
    topic = topics.create(max_message_bytes="50000")
    lists = [a_list(f"u{number % 3}", 2, f"r-0-{number}") for number in range(400)]
    lists[7] = a_list("large", 1000, "r-0-7")
    lists[300] = a_list("larger", 2000, "r-0-300")
    batches = [RecommendationBatch(lists[at : at + 100]) for at in range(0, 400, 100)]
    sink = WriteRecommendationsToKafka(topics.settings, topic)
    letters, unwritten = write(batches, sink, tmp_path / "letters")
    assert unwritten == 2
    for letter, large in zip(letters, (lists[7], lists[300]), strict=True):
        assert letter[:2] == (large.origin, "write")
        assert letter.value == json_lines.encode_recommendation(large)
        size = len(letter.value) + len(large.user) + len(large.origin)
        assert f"{size} bytes" in letter.reason
        assert f"topic {topic!r}: max.message.bytes=50000" in letter.reason
    found = topics.read_json(topic)
    written = [one.origin for one in lists if one not in (lists[7], lists[300])]
    assert {one["origin"] for one in found} == set(written)
    # At least once, and whatever is repeated, each user's last list stands last.
    for user in ("u0", "u1", "u2"):
        last = [one["origin"] for one in found if one["user"] == user][-1]
        assert last == [one.origin for one in lists if one.user == user][-1]


def test_what_is_too_large_is_found_without_the_brokers_help(
    topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the program may not read the topic's settings."""
    topic = topics.create(max_message_bytes="50000")
    monkeypatch.setattr(Delivery, "_ask_limit", lambda self: None)
    messages = [Message(b"k%d" % at, b"%d" % at, f"o-{at}") for at in range(40)]
    messages[11] = Message(b"k11", b"x" * 60_000, "o-11")
    messages[30] = Message(b"k30", b"x" * 70_000, "o-30")
    delivery = Delivery(topics.settings, topic, ProducerPool())
    delivery.send(messages)
    refused = delivery.flush()
    assert [one.message for one in refused] == [messages[11], messages[30]]
    assert "70007 bytes" in refused[1].reason
    assert "its max.message.bytes, or the brokers' message.max.bytes" in refused[1].reason
    values = {record.value for record in topics.read(topic)}
    assert values == {message.value for message in messages} - {b"x" * 60_000, b"x" * 70_000}


def test_one_bundles_large_message_costs_another_bundle_nothing(topics: Topics) -> None:
    topic = topics.create(max_message_bytes="50000")
    pool = ProducerPool()
    mine, theirs = (Delivery(topics.settings, topic, pool) for _ in range(2))
    small = [Message(b"key", b"%d" % number) for number in range(50)]
    theirs.send([Message(b"key", b"x" * 60_000)])
    mine.send(small)
    assert len(theirs.flush()) == 1
    mine.send([Message(b"key", b"last")])
    assert mine.flush() == []
    values = [record.value for record in topics.read(topic)]
    assert set(values) == {message.value for message in small} | {b"last"}
    assert values[-1] == b"last"
    # The next one starts afresh, and knows what it need not try.
    again = Delivery(topics.settings, topic, pool)
    again.send([*small, Message(b"key", b"x" * 60_000)])
    (refused,) = again.flush()
    assert "max.message.bytes=50000" in refused.reason
    assert topics.count(topic) >= 2 * len(small)
    pool.close()


def test_what_is_too_large_for_the_client_itself_names_its_setting(topics: Topics) -> None:
    settings = dataclasses.replace(topics.settings, properties={"message.max.bytes": "2000"})
    topic = topics.create()
    delivery = Delivery(settings, topic, ProducerPool())
    delivery.send([Message(b"key", b"a"), Message(b"key", b"x" * 3000), Message(b"key", b"b")])
    (refused,) = delivery.flush()
    assert refused.reason == (
        f"3003 bytes with key and headers are too large for the topic {topic!r}:"
        " message.max.bytes=2000 of the Kafka client"
    )
    assert [record.value for record in topics.read(topic)][-1] == b"b"


def test_a_dead_letter_that_is_too_large_is_counted_and_logged_once(
    topics: Topics, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    topic = topics.create(max_message_bytes="50000")
    letters = [
        DeadLetter("r-0-1", "parse", "no JSON", b"x", b"k" * 60_000),
        DeadLetter("r-0-2", "parse", "no JSON", b"x"),
    ]
    sink = WriteDeadLettersToKafka(topics.settings, topic)
    unwritten = write(letters, sink, tmp_path / "letters")
    assert unwritten == ([], 1)
    said = [one.getMessage() for one in caplog.records if "dead letter of" in one.getMessage()]
    assert len(said) == 1
    assert said[0].startswith("The dead letter of r-0-1 was not written: 60")
    assert [one.origin for one in letters_in(topics, topic)] == ["r-0-2"]


def test_what_is_refused_for_another_reason_fails_the_bundle(topics: Topics) -> None:
    client = topics.settings.client
    settings = dataclasses.replace(topics.settings, properties=IMPATIENT[client])
    delivery = Delivery(settings, "no-such-topic", ProducerPool())
    with pytest.raises(DeliveryError, match="no-such-topic"):
        send_and_flush(delivery, [Message(b"key", b"value")])


def test_more_than_a_producer_holds_goes_through_in_order(topics: Topics) -> None:
    topic = topics.create()
    sender = WORKER.get(ProducerPool).borrow(topics.settings).sender(topic)
    values = [b"%d" % number for number in range(150_000)]
    send_and_flush(sender, [Message(b"key", value) for value in values])
    assert [record.value for record in topics.read(topic)] == values


def test_a_key_has_the_same_partition_whichever_client_sends_it(topics: Topics) -> None:
    topic = topics.create(partitions=7)
    keys = [f"user {number}".encode() for number in range(200)]
    sender = WORKER.get(ProducerPool).borrow(topics.settings).sender(topic)
    send_and_flush(sender, [Message(key, b"") for key in keys])
    # The partitioner of Java's client, which others write and join with.
    assert {record.key: record.partition for record in topics.read(topic)} == {
        key: (murmur2(key) & 0x7FFFFFFF) % 7 for key in keys
    }


def test_a_message_has_its_own_headers_and_time_beside_its_origin(topics: Topics) -> None:
    topic = topics.create()
    headers = (Header("traceparent", b"00-1"), Header("\u00fc", b"\xff\x00"), Header("empty", b""))
    messages = [
        Message(b"key", b"all", "r-0-1", headers, 1_234_567.891),
        Message(b"key", b"headers only", headers=headers),
        Message(None, b"no key", timestamp=0.001),
        Message(b"", b"plain"),
    ]
    start = time.time()
    sender = WORKER.get(ProducerPool).borrow(topics.settings).sender(topic)
    send_and_flush(sender, messages)
    found = {record.value: record for record in topics.read(topic)}
    origin = Header("origin", b"r-0-1")
    assert {value: tuple(record.headers) for value, record in found.items()} == {
        b"all": (*headers, origin),
        b"headers only": headers,
        b"no key": (),
        b"plain": (),
    }
    assert [found[m.value].key for m in messages] == [m.key for m in messages]
    assert found[b"all"].timestamp == 1_234_567_891
    assert found[b"no key"].timestamp == 1
    for sent_now in (b"headers only", b"plain"):
        assert abs(found[sent_now].timestamp / 1000 - start) < patience(60)


def test_headers_count_for_the_size_that_a_topic_takes(topics: Topics) -> None:
    topic = topics.create(max_message_bytes="50000")
    headers = (Header("large", b"x" * 60_000),)
    delivery = Delivery(topics.settings, topic, ProducerPool())
    delivery.send([Message(None, b"a", "o", headers), Message(None, b"b")])
    (refused,) = delivery.flush()
    assert refused.message.value == b"a"
    assert refused.reason.startswith("60007 bytes with key and headers are too large")


def send_and_flush(sender: Delivery | Sender, messages: list[Message]) -> None:
    sender.send(messages)
    sender.flush()


def test_an_unknown_format_is_refused(topics: Topics) -> None:
    with pytest.raises(ValueError, match="'xml' is not an output format"):
        WriteRecommendationsToKafka(topics.settings, "topic", "xml")
