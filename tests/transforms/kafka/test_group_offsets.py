from __future__ import annotations

import logging
from collections.abc import Collection

import pytest
from kafka import TopicPartition
from kafka.errors import KafkaTimeoutError

from tests.support import Topics
from tests.transforms.kafka.fakes import FakeConsumer
from transforms.kafka.clients.factory import consumer
from transforms.kafka.group_offsets import GroupOffsets

PARTITION = TopicPartition("topic", 0)


class Group(FakeConsumer):
    """A group whose offset others may set, too."""

    def __init__(self) -> None:
        super().__init__({PARTITION: []})
        self.offset: int | None = None
        self.answers = True

    def committed(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int | None]:
        if not self.answers:
            raise KafkaTimeoutError
        return dict.fromkeys(partitions, self.offset)

    def commit(self, partition: TopicPartition, offset: int, *, wait: bool) -> bool:
        self.offset = offset
        return super().commit(partition, offset, wait=wait)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [one.getMessage() for one in caplog.records if one.levelno == logging.WARNING]


def test_another_job_of_the_group_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    client = Group()
    offsets = GroupOffsets(client, "my-group", look_seconds=0.0)
    for number in range(5):
        offsets.commit(PARTITION, 10 * number, final=False)
        client.offset = 10 * number + 7
    (said,) = warnings(caplog)
    assert said.startswith("The group 'my-group' has offsets of topic-0 that this job did not")
    assert "--kafka_group" in said


def test_what_one_job_meets_is_no_other_job(caplog: pytest.LogCaptureFixture) -> None:
    client = Group()
    # An earlier run left it.
    client.offset = 1_000
    offsets = GroupOffsets(client, "my-group", look_seconds=0.0)
    for number in range(40):
        offsets.commit(PARTITION, number, final=False)
        if number % 3:
            # A commit that nobody waits for is seen late.
            client.offset = max(0, number - 20)
    # An operator resets it, and a look fails.
    client.offset = 5_000
    offsets.commit(PARTITION, 41, final=False)
    client.answers = False
    offsets.commit(PARTITION, 42, final=False)
    client.answers = True
    client.offset = 5_000
    offsets.commit(PARTITION, 43, final=True)
    assert warnings(caplog) == []


def test_looks_are_seldom() -> None:
    client = Group()
    looks: list[int] = []
    client.committed = lambda partitions: looks.append(1) or dict.fromkeys(partitions)  # type: ignore[method-assign, func-returns-value]
    offsets = GroupOffsets(client, "my-group", look_seconds=600.0)
    for number in range(10):
        offsets.commit(PARTITION, number, final=False)
    assert len(looks) == 1


def test_two_jobs_on_a_broker(topics: Topics, caplog: pytest.LogCaptureFixture) -> None:
    topic = topics.create()
    topics.send(topic, [b"x"] * 50)
    partition = TopicPartition(topic, 0)
    clients = [consumer(topics.settings, f"g-{topic}") for _ in range(2)]
    jobs = [GroupOffsets(client, f"g-{topic}", look_seconds=0.0) for client in clients]
    jobs[0].commit(partition, 1, final=True)
    for at in range(2, 12, 2):
        jobs[0].commit(partition, at, final=True)
    assert warnings(caplog) == []
    for at in range(13, 21, 2):
        jobs[1].commit(partition, at, final=True)
        jobs[0].commit(partition, at + 7, final=True)
    assert len(warnings(caplog)) == 2
    for client in clients:
        client.close()
