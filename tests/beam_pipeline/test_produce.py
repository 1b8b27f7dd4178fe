from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from beam_pipeline import produce
from cluster.broker import free_port
from tests.support import Topics, movielens_like, read_rating, tab_lines


@pytest.fixture
def ratings_file(tmp_path: Path) -> Path:
    path = tmp_path / "u.data"
    path.write_text(tab_lines(movielens_like(200)))
    return path


def arguments(topics: Topics, path: Path, topic: str, *more: str) -> list[str]:
    broker = topics.settings.bootstrap_servers
    return ["--input", str(path), "--topic", topic, "--kafka_bootstrap_servers", broker, *more]


def test_messages_are_the_blog_posts_with_the_user_as_key(
    topics: Topics, ratings_file: Path
) -> None:
    topic = topics.create()
    assert produce.main(arguments(topics, ratings_file, topic)) == 0
    records = topics.read(topic)
    first = movielens_like(200)[0]
    assert json.loads(records[0].value) == {
        "user": first.user,
        "item": first.item,
        "rating": first.rating,
        "timestamp": first.timestamp,
    }
    assert records[0].key == first.user.encode()
    assert [read_rating(record.value)[:4] for record in records] == [
        rating[:4] for rating in movielens_like(200)
    ]


def test_a_user_stays_in_a_partition(topics: Topics, ratings_file: Path) -> None:
    topic = f"{topics.create()}-new"
    made = arguments(topics, ratings_file, topic, "--create_topics", "--partitions", "3")
    assert produce.main(made) == 0
    where: dict[bytes, set[int]] = {}
    for record in topics.read(topic):
        where.setdefault(record.key, set()).add(record.partition)
    assert all(len(partitions) == 1 for partitions in where.values())
    assert set.union(*where.values()) == {0, 1, 2}


def test_the_rate_is_kept(topics: Topics, ratings_file: Path) -> None:
    topic = topics.create()
    start = time.monotonic()
    assert produce.main(arguments(topics, ratings_file, topic, "--rate", "100")) == 0
    assert time.monotonic() - start >= 199 / 100


def test_the_order_of_time(topics: Topics, ratings_file: Path) -> None:
    topic = topics.create()
    assert produce.main(arguments(topics, ratings_file, topic, "--order_by_time")) == 0
    times = [one["timestamp"] for one in topics.read_json(topic)]
    assert times == sorted(rating.timestamp for rating in movielens_like(200))


def test_what_is_no_rating_is_skipped_said_and_an_exit_code(
    topics: Topics, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "u.data"
    path.write_text("1\t2\t3\t4\n1\t2\tlots\t4\n5\t6\t3\t4\n")
    topic = topics.create()
    assert produce.main(arguments(topics, path, topic)) == 1
    error = capsys.readouterr().err
    assert "skipped u.data:2: rating is 'lots', expected a number" in error
    assert error.splitlines()[-1] == "sent=2 skipped=1"
    assert topics.count(topic) == 2


@pytest.mark.parametrize(
    ("change", "code", "reason"),
    [
        (["--rate", "-1"], 2, "--rate must be 0 or more"),
        (["--rate", "fast"], 2, "--rate: invalid float value"),
        (["--topic", "not-there"], 1, "does not exist"),
        (["--input", "/not/there"], 1, "no file matches"),
        (["--kafka_bootstrap_servers", f"127.0.0.1:{free_port()}"], 1, "cannot reach Kafka"),
        (
            ["--kafka_config", "/not/there"],
            2,
            "cannot read --kafka_config /not/there: No such file",
        ),
    ],
)
def test_mistakes_are_one_line(
    topics: Topics,
    ratings_file: Path,
    capsys: pytest.CaptureFixture[str],
    change: list[str],
    code: int,
    reason: str,
) -> None:
    made = [*arguments(topics, ratings_file, topics.create()), *change]
    assert produce.main(made) == code
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1
    assert reason in error
