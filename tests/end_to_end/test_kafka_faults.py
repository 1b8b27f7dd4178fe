"""What a job says and does when its topic or its broker goes away. See docs/operators.md."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.broker import Broker, free_port
from tests.letters import letters_in
from tests.support import Topics, movielens_like, run, running, wait_until
from transforms.kafka.clients.factory import CLIENTS, KafkaSettings, require_topics

RATINGS = [rating._replace(rating=5.0) for rating in movielens_like(200)]


@pytest.fixture(params=CLIENTS)
def client(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[Broker]:
    broker = Broker(tmp_path / "broker")
    broker.start()
    yield broker
    broker.kill()


def arguments(topics: Topics, rated: str, lists: str, client: str) -> list[str]:
    servers = topics.settings.bootstrap_servers
    clients = ["--kafka_bootstrap_servers", servers, "--kafka_client", client]
    return ["--runner=FnApiRunner", *clients, "--input_topic", rated, "--output_topic", lists]


def last_line_of(process: subprocess.Popen[bytes], log: Path) -> str:
    """Waits for the end, which is a failure, and returns the one line that says why."""
    assert process.wait(timeout=120) == 1, log.read_text()
    lines = log.read_text().splitlines()
    assert [line for line in lines if "Traceback" in line] == [], log.read_text()
    errors = [line for line in lines if line.startswith("error: ")]
    assert errors == lines[-1:], log.read_text()
    return lines[-1]


def test_a_topic_that_is_created_anew_ends_the_job_with_one_line(
    topics: Topics, tmp_path: Path, client: str
) -> None:
    rated, lists = topics.create(), topics.create()
    topics.send_ratings(rated, RATINGS[:20])
    log = tmp_path / "log"
    more = arguments(topics, rated, lists, client)
    with running(log, *more) as process:
        wait_until(lambda: topics.count(lists) == 20)
        topics.delete(rated)
        # It has records where the job stands, and others before that.
        topics.create_again(rated)
        topics.send_ratings(rated, RATINGS[20:80])
        line = last_line_of(process, log)
    assert f"topic {rated!r} was deleted and created anew" in line
    assert "--start_offset earliest" in line
    origins = [one["origin"] for one in topics.read_json(lists)]
    assert len(origins) == len(set(origins))


def test_a_topic_that_is_deleted_ends_the_job_with_one_line(
    topics: Topics, tmp_path: Path, client: str
) -> None:
    rated, lists = topics.create(), topics.create()
    topics.send_ratings(rated, RATINGS[:20])
    log = tmp_path / "log"
    more = arguments(topics, rated, lists, client)
    with running(log, *more) as process:
        wait_until(lambda: topics.count(lists) == 20)
        topics.delete(rated)
        line = last_line_of(process, log)
    assert f"topic {rated!r} was deleted while it was being read" in line
    assert topics.count(lists) == 20


def test_what_is_deleted_from_the_topic_is_one_dead_letter_and_nothing_is_learned_twice(
    topics: Topics, client: str
) -> None:
    rated, lists, dead = topics.create(), topics.create(), topics.create()
    more = arguments(topics, rated, lists, client)
    more += ["--stop_at_end", "--start_offset=committed", f"--kafka_group=g-{rated}"]
    topics.send_ratings(rated, RATINGS[:50])
    first = run(*more)
    assert (first.code, first.summary["positives"]) == (0, 50), first.err
    topics.send_ratings(rated, RATINGS[50:100])
    topics.delete_records(rated, before=70)
    second = run(*more, "--dead_letter_topic", dead)
    assert second.code == 0, second.err
    counts = {name: second.summary[name] for name in ("read", "positives", "filtered", "dead")}
    assert counts == {"read": 31, "positives": 30, "filtered": 0, "dead": 1}
    (letter,) = letters_in(topics, dead)
    assert (letter.origin, letter.stage) == (f"{rated}-0-50", "read")
    assert "20 offset(s) from here on were deleted" in letter.reason
    learned = [one["origin"] for one in topics.read_json(lists)]
    assert learned == [f"{rated}-0-{at}" for at in (*range(50), *range(70, 100))]


def test_a_broker_that_is_down_when_the_job_starts_is_said_in_one_line(client: str) -> None:
    topics = Topics(KafkaSettings(f"127.0.0.1:{free_port()}"))
    start = time.monotonic()
    more = arguments(topics, "ratings", "lists", client)
    done = run(*more)
    assert done.code == 1
    (line,) = done.err.splitlines()
    assert line.startswith(f"error: cannot reach Kafka at {topics.settings.bootstrap_servers}")
    assert time.monotonic() - start < 60


def test_a_broker_that_stays_away_ends_the_job_with_one_line(
    mortal: Broker, tmp_path: Path, client: str
) -> None:
    """After the seconds that the settings say, not 600; nothing is on its way to a topic."""
    topics = Topics(KafkaSettings(mortal.address))
    rated, lists = topics.create(), topics.create()
    topics.send_ratings(rated, RATINGS[:20])
    config = tmp_path / "kafka.properties"
    config.write_text("delivery.timeout.ms=4000\nrequest.timeout.ms=3000\n")
    log = tmp_path / "log"
    more = arguments(topics, rated, lists, client)
    with running(log, *more, "--kafka_config", str(config)) as process:
        wait_until(lambda: topics.count(lists) == 20)
        mortal.kill()
        line = last_line_of(process, log)
    assert f"Kafka at {topics.settings.bootstrap_servers} has not answered for" in line


def test_a_broker_that_is_away_for_a_while_is_said_and_waited_for(
    mortal: Broker, tmp_path: Path, client: str
) -> None:
    topics = Topics(KafkaSettings(mortal.address))
    rated, lists = topics.create(), topics.create()
    topics.send_ratings(rated, RATINGS[:20])
    log = tmp_path / "log"
    more = arguments(topics, rated, lists, client)
    with running(log, *more) as process:
        wait_until(lambda: topics.count(lists) == 20)
        mortal.kill()
        wait_until(lambda: "does not answer; waiting for it" in log.read_text(), 120)
        mortal.start()
        require_topics(topics.settings, {rated: 1})
        topics.send_ratings(rated, RATINGS[20:40])
        wait_until(lambda: topics.count(lists) == 40, 120)
        wait_until(lambda: "answers again after" in log.read_text(), 120)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 0, log.read_text()
    assert log.read_text().count("does not answer; waiting for it") == 1
    origins = [one["origin"] for one in topics.read_json(lists)]
    assert origins == [f"{rated}-0-{at}" for at in range(40)]
