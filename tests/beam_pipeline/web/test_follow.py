from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from kafka.admin import KafkaAdminClient

from beam_pipeline.web.follow import Follower, Topics
from beam_pipeline.web.live import Live
from cluster.broker import Broker
from tests import support
from tests.evaluations import evaluations
from tests.letters import send_letters
from tests.support import wait_until
from transforms.errors import KafkaSetupError
from transforms.formats.json_lines import (
    encode_evaluation,
    encode_recommendation,
)
from transforms.formats.records import DeadLetter, Recommendation, ScoredItem
from transforms.kafka.clients.factory import KafkaSettings, require_topics

LETTER = DeadLetter("ratings-0-1", "parse", "empty record", b"")


def send_lists(topics: support.Topics, topic: str, users: list[str]) -> None:
    topics.send(
        topic,
        [
            encode_recommendation(Recommendation(user, [ScoredItem("i", 0.5)], 1.0, "o"))
            for user in users
        ],
    )


@pytest.fixture
def followed() -> Iterator[list[Follower]]:
    followers: list[Follower] = []
    yield followers
    for follower in followers:
        follower.stop()


def test_what_is_in_the_topics_and_what_comes(
    topics: support.Topics, followed: list[Follower]
) -> None:
    output, evals, dead = topics.create(3), topics.create(), topics.create()
    send_lists(topics, output, ["a", "b"])
    topics.send(evals, map(encode_evaluation, evaluations(100)))
    send_letters(topics, dead, [LETTER] * 20)
    live = Live(window=10)
    follower = Follower(topics.settings, Topics(output, evals, dead), live, window=10)
    followed.append(follower)
    follower.start()
    wait_until(lambda: live.snapshot()["recall"]["tests"] == 30)
    wait_until(lambda: live.snapshot()["lists"] == 2)
    wait_until(lambda: len(live.snapshot()["letters"]) == 5)
    assert live.snapshot()["dead"] == 20
    send_lists(topics, output, ["c"])
    send_letters(topics, dead, [LETTER])
    topics.send(dead, [b"no dead letter"])
    wait_until(lambda: live.last_list("c") is not None)
    wait_until(lambda: live.snapshot()["dead"] == 21)
    assert sum(filter(None, live.snapshot()["rates"])) <= 3
    wait_until(lambda: live.snapshot()["unreadable"] == 1)
    assert "not a dead letter" in live.snapshot()["why_unreadable"]


def test_records_that_can_not_be_read_are_said(
    topics: support.Topics, followed: list[Follower]
) -> None:
    output, evals = topics.create(), topics.create()
    live = Live()
    follower = Follower(topics.settings, Topics(output, evals), live)
    followed.append(follower)
    follower.start()
    topics.send(evals, [b"{", None, encode_evaluation(evaluations(1)[0])])
    topics.send(output, [b"what is this", None])
    wait_until(lambda: live.snapshot()["unreadable"] == 2)
    wait_until(lambda: live.snapshot()["recall"]["tests"] == 1)
    value = encode_recommendation(Recommendation("z", [], 1.0, "o"))
    topics.send(output, [value])
    wait_until(lambda: live.last_list("z") == value)


def test_what_was_deleted_is_stepped_over(topics: support.Topics, followed: list[Follower]) -> None:
    output = topics.create()
    send_lists(topics, output, ["a"] * 50)
    live = Live()
    follower = Follower(topics.settings, Topics(output), live)
    followed.append(follower)
    partition = follower._partitions[0]
    admin = KafkaAdminClient(bootstrap_servers=topics.settings.bootstrap_servers)
    admin.delete_records({partition: 40})
    admin.close()
    follower.start()
    wait_until(lambda: live.snapshot()["lists"] == 10)


def test_a_missing_topic_is_said(topics: support.Topics) -> None:
    with pytest.raises(KafkaSetupError, match="topic 'not-there' does not exist"):
        Follower(topics.settings, Topics(topics.create(), "not-there"), Live())


def test_a_broker_that_goes_is_said_and_waited_for(
    tmp_path: Path, followed: list[Follower]
) -> None:
    broker = Broker(tmp_path)
    broker.start()
    try:
        own = support.Topics(KafkaSettings(broker.address))
        require_topics(own.settings, {"lists": 1}, create=True)
        live = Live()
        follower = Follower(own.settings, Topics("lists"), live)
        followed.append(follower)
        follower.start()
        send_lists(own, "lists", ["a"])
        wait_until(lambda: live.last_list("a") is not None)
        broker.stop()
        wait_until(lambda: "Kafka does not answer" in live.snapshot()["problem"])
        broker.start()
        wait_until(lambda: not live.snapshot()["problem"])
        send_lists(own, "lists", ["b"])
        wait_until(lambda: live.last_list("b") is not None)
    finally:
        broker.stop()
