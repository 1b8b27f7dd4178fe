from __future__ import annotations

import dataclasses
import logging
from collections.abc import Collection, Iterator

import pytest

from cluster.broker import free_port
from tests.support import Topics, wait_until
from transforms.errors import KafkaSetupError
from transforms.kafka.clients.factory import KafkaSettings, admin
from transforms.kafka.topic_watch import TopicWatch
from transforms.kafka.topics import TopicSelection


class FakeAdmin:
    """Brokers whose topics a test sets; they do not answer while those are None."""

    def __init__(self) -> None:
        self.topics: dict[str, str] | None = {"topic": "id"}
        self.closed = False
        self.partitions = {"topic": 2}
        self.asked = 0

    def topic_ids(self, topics: Collection[str]) -> dict[str, str]:
        if self.topics is None:
            msg = "no answer"
            raise KafkaSetupError(msg)
        return self.topics

    def partition_counts(self, topics: Collection[str] | None) -> dict[str, int]:
        self.asked += 1
        wanted = self.partitions if topics is None else topics
        return {topic: self.partitions[topic] for topic in wanted if topic in self.partitions}

    def max_message_bytes(self, topic: str) -> int | None:
        return None

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def brokers() -> FakeAdmin:
    return FakeAdmin()


@pytest.fixture
def watch(brokers: FakeAdmin) -> Iterator[TopicWatch]:
    """It checks when a test says so."""
    watch = TopicWatch("broker:9092", lambda: brokers, check_seconds=600.0, away_seconds=0.0)
    yield watch
    watch.close()


def test_a_topic_that_stays_is_fine(brokers: FakeAdmin, watch: TopicWatch) -> None:
    watch.require("topic", "id")
    for _ in range(5):
        watch.check()
        watch.raise_failure()


def test_a_topic_that_is_created_anew_is_said(brokers: FakeAdmin, watch: TopicWatch) -> None:
    watch.require("topic", "id")
    brokers.topics = {"topic": "other"}
    watch.check()
    with pytest.raises(KafkaSetupError, match="'topic' was deleted and created anew"):
        watch.raise_failure()


def test_a_job_that_resumes_on_another_topic_reads_nothing(
    brokers: FakeAdmin, watch: TopicWatch
) -> None:
    with pytest.raises(KafkaSetupError, match="'topic' was deleted and created anew"):
        watch.require("topic", "the id in the savepoint")


def test_brokers_without_ids_are_believed(brokers: FakeAdmin, watch: TopicWatch) -> None:
    brokers.topics = {"topic": ""}
    watch.require("topic", "id")
    watch.require("topic", "")


def test_a_topic_that_is_missing_again_and_again_was_deleted(
    brokers: FakeAdmin, watch: TopicWatch
) -> None:
    watch.require("topic", "id")
    brokers.topics = {}
    watch.check()
    watch.check()
    brokers.topics = {"topic": "id"}
    watch.check()
    brokers.topics = {}
    watch.check()
    watch.check()
    watch.raise_failure()
    watch.check()
    with pytest.raises(KafkaSetupError, match="'topic' was deleted while it was being read"):
        watch.raise_failure()


def test_brokers_that_are_away_are_said_once_and_waited_for(
    brokers: FakeAdmin, caplog: pytest.LogCaptureFixture
) -> None:
    watch = TopicWatch("broker:9092", lambda: brokers, check_seconds=600.0, away_seconds=600.0)
    watch.require("topic", "id")
    brokers.topics = None
    with caplog.at_level(logging.WARNING):
        for _ in range(4):
            watch.check()
        brokers.topics = {"topic": "id"}
        watch.check()
        watch.check()
    watch.raise_failure()
    said = [record.getMessage() for record in caplog.records]
    assert said == [
        "Kafka at broker:9092 does not answer; waiting for it for up to 600 s",
        "Kafka at broker:9092 answers again after 0 s",
    ]
    watch.close()


def test_brokers_that_are_away_for_too_long_end_the_reading(
    brokers: FakeAdmin, watch: TopicWatch
) -> None:
    watch.require("topic", "id")
    brokers.topics = None
    watch.check()
    watch.check()
    with pytest.raises(KafkaSetupError, match="broker:9092 has not answered for 0 s; start"):
        watch.raise_failure()


def test_the_thread_checks_and_disconnects(brokers: FakeAdmin) -> None:
    watch = TopicWatch("broker:9092", lambda: brokers, check_seconds=0.01)
    watch.require("topic", "id")
    brokers.topics = {"topic": "other"}

    def has_failed() -> bool:
        try:
            watch.raise_failure()
        except KafkaSetupError:
            return True
        return False

    wait_until(has_failed)
    watch.close()
    wait_until(lambda: brokers.closed)


def test_a_real_topic_has_another_id_when_it_is_created_anew(topics: Topics) -> None:
    topic = topics.create(max_message_bytes="54321")
    asking = admin(topics.settings)
    before = asking.topic_ids([topic, "not-there"])
    assert list(before) == [topic]
    assert len(before[topic]) == 36
    assert asking.max_message_bytes(topic) == 54321
    topics.delete(topic)
    wait_until(lambda: asking.topic_ids([topic]) == {})
    topics.create_again(topic)
    after = asking.topic_ids([topic])
    assert after[topic] != before[topic]
    asking.close()
    # Both clients write an id alike, as a job may be resumed with the other one.
    other = {"kafka-python": "librdkafka", "librdkafka": "kafka-python"}[topics.settings.client]
    asking = admin(dataclasses.replace(topics.settings, client=other))
    assert asking.topic_ids([topic]) == after
    asking.close()


def test_brokers_that_are_down_are_an_error(client: str) -> None:
    with pytest.raises(KafkaSetupError, match="cannot reach Kafka"):
        admin(KafkaSettings(f"127.0.0.1:{free_port()}", client=client))


def test_partitions_are_looked_up_at_once_and_then_now_and_then(brokers: FakeAdmin) -> None:
    watch = TopicWatch("broker:9092", lambda: brokers, check_seconds=0.02, discover_seconds=0.1)
    selection = TopicSelection.parse("^t")
    assert watch.discover(selection) == {"topic": 2}
    brokers.partitions = {"topic": 3, "other": 1, "two": 1}
    wait_until(lambda: watch.discover(selection) == {"topic": 3, "two": 1})
    watch.close()


def test_partitions_are_not_looked_up_at_each_check(brokers: FakeAdmin, watch: TopicWatch) -> None:
    assert watch.discover(TopicSelection.parse("topic")) == {"topic": 2}
    for _ in range(5):
        watch.check()
    assert brokers.asked == 1


def test_a_topic_that_is_watched_without_an_id_gets_one(
    brokers: FakeAdmin, watch: TopicWatch
) -> None:
    assert watch.topic_id("topic") == ""
    watch.require("topic", "")
    assert watch.topic_id("topic") == "id"
