from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path

import pytest

from cluster.broker import Broker
from tests.letters import kept_letters, letters_in
from tests.support import (
    ModelShards,
    Topics,
    answer,
    movielens_like,
    patience,
    prism_arguments,
    run,
    running,
    same_arrays,
    tab_lines,
    wait_until,
)
from transforms.formats import avro
from transforms.formats.records import Header, Rating
from transforms.kafka.clients.factory import KafkaSettings
from transforms.kafka.clients.protocols import Message
from transforms.kafka.producer_pool import ProducerPool
from transforms.model_export import load, shards_in
from transforms.recommenders.hashing import block_of
from transforms.recommenders.registry import RecommenderSpec
from transforms.runtime.worker_context import WORKER

RUNNERS = {
    "FnApiRunner": ["--runner=FnApiRunner"],
    "Prism": ["--runner=PrismRunner", *prism_arguments()],
}


def stop_in_order(process: subprocess.Popen[bytes], log: Path) -> dict[str, int]:
    """Ends it as Ctrl-C does, and returns its summary."""
    process.send_signal(signal.SIGINT)
    assert process.wait(patience(60)) == 0, log.read_text()
    last = log.read_text().splitlines()[-1]
    return {name: int(value) for name, value in (pair.split("=") for pair in last.split())}


def reconciles(summary: dict[str, int]) -> bool:
    return summary["read"] == summary["positives"] + summary["filtered"] + summary["dead"]


@pytest.mark.parametrize("runner", RUNNERS)
@pytest.mark.parametrize("grid", [(1, 1), (2, 2)])
def test_a_request_is_answered_without_a_rating(
    topics: Topics, tmp_path: Path, runner: str, grid: tuple[int, int]
) -> None:
    ratings = [rating._replace(rating=5.0) for rating in movielens_like(300)]
    rated, asked, lists = topics.create(2), topics.create(), topics.create()
    broker = topics.settings.bootstrap_servers
    with running(
        tmp_path / "log",
        *RUNNERS[runner],
        *("--kafka_bootstrap_servers", broker, "--input_topic", rated, "--output_topic", lists),
        *("--request_topic", asked, "--top_n=5"),
        *(f"--user_blocks={grid[0]}", f"--item_blocks={grid[1]}"),
    ) as process:
        topics.send_ratings(rated, ratings, partition=1)
        wait_until(lambda: topics.count(lists) == 300)
        topics.send(
            asked, [b'{"user": "7", "timestamp": 5}', b'{"user": "nobody", "timestamp": 6}']
        )
        wait_until(lambda: topics.count(lists) == 302)
        stop_in_order(process, tmp_path / "log")
    shards = ModelShards(RecommenderSpec(), *grid)
    for rating in ratings:
        shards.update(rating)
    found = {one["origin"]: one for one in topics.read_json(lists)}
    assert len(found) == 302
    known = answer("7", shards.recommend("7", 5), 5.0, f"{asked}-0-0")
    popular = answer("nobody", shards.recommend("nobody", 5), 6.0, f"{asked}-0-1")
    assert found[f"{asked}-0-0"] == known
    assert found[f"{asked}-0-1"] == {**popular, "fallback": "popular"}


@pytest.mark.parametrize("client", ["kafka-python", "librdkafka"])
def test_a_shops_topic_is_read_as_it_is(broker: Broker, client: str) -> None:
    topics = Topics(KafkaSettings(broker.address, client=client))
    shop, lists, letters = topics.create(), topics.create(), topics.create()
    event = b'{"customer_id": "c%d", "sku": "x9", "event": "view", "ts": "2026-11-25T10:00:00Z"}'
    before = time.time()
    sender = WORKER.get(ProducerPool).borrow(topics.settings).sender(shop)
    sender.send(
        [
            *(Message(None, event % n) for n in range(20)),
            Message(None, b"[%s, %s, 7]" % (event % 20, event % 21)),
        ]
    )
    sender.send([Message(b"k1", b'{"sku": "x8", "event": "view"}', headers=(Header("h", b"c0"),))])
    sender.flush()
    arguments = (
        *("--runner=DirectRunner", f"--kafka_client={client}", "--stop_at_end"),
        *("--kafka_bootstrap_servers", broker.address, "--input_topic", shop),
        *("--output_topic", lists, "--dead_letter_topic", letters),
    )
    done = run(*arguments)
    assert done.code == 0, done.err
    assert "user from 'customer_id', item from 'sku', timestamp from 'ts'" in done.err
    assert (done.summary["read"], done.summary["positives"], done.summary["dead"]) == (24, 22, 2)
    found = topics.read_json(lists)
    assert [one["timestamp"] for one in found] == [1795600800.0] * 22
    assert [one["origin"] for one in found[-2:]] == [f"{shop}-0-20#1", f"{shop}-0-20#2"]
    values = [record.value for record in topics.read(letters)]
    assert values == [b"7", b'{"sku": "x8", "event": "view"}']
    for source, user in (("key", "k1"), ("header:h", "c0")):
        done = run(*arguments, "--fields", f"user={source},timestamp=broker_time")
        assert (done.summary["positives"], done.summary["dead"]) == (1, 23), done.err
        last = topics.read_json(lists)[-1]
        assert last["user"] == user
        assert before - 60 < last["timestamp"] < time.time() + 60


@pytest.mark.parametrize(("client", "item_blocks"), [("kafka-python", 1), ("librdkafka", 2)])
def test_trace_context_and_named_headers_come_back(
    broker: Broker, client: str, item_blocks: int
) -> None:
    topics = Topics(KafkaSettings(broker.address, client=client))
    rated, asked, lists = topics.create(), topics.create(), topics.create()
    trace = Header("traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
    rating = b'{"user": "1", "item": "2", "rating": 5, "timestamp": 7}'
    sent = {
        rated: [
            Message(b"1", rating, headers=(trace, Header("secret", b"no"))),
            Message(b"1", rating),
            Message(b"1", rating, headers=(Header("Tenant", b"\xff"),)),
        ],
        asked: [Message(None, b'{"user": "1"}', headers=(Header("x-request-id", b"77"),))],
    }
    for topic, messages in sent.items():
        sender = WORKER.get(ProducerPool).borrow(topics.settings).sender(topic)
        sender.send(messages)
        sender.flush()
    done = run(
        *("--runner=DirectRunner", f"--kafka_client={client}", f"--item_blocks={item_blocks}"),
        *("--kafka_bootstrap_servers", broker.address, "--stop_at_end", "--input_topic", rated),
        *("--request_topic", asked, "--output_topic", lists, "--pass_headers=tenant"),
    )
    assert done.code == 0, done.err
    found = {json.loads(record.value)["origin"]: record.headers for record in topics.read(lists)}
    assert {origin: sorted(headers) for origin, headers in found.items()} == {
        f"{rated}-0-0": [("origin", f"{rated}-0-0".encode()), trace],
        f"{rated}-0-1": [("origin", f"{rated}-0-1".encode())],
        f"{rated}-0-2": [("Tenant", b"\xff"), ("origin", f"{rated}-0-2".encode())],
        f"{asked}-0-0": [("origin", f"{asked}-0-0".encode()), ("x-request-id", b"77")],
    }


@pytest.mark.parametrize("runner", RUNNERS)
def test_file_to_topic_to_lists(topics: Topics, tmp_path: Path, runner: str) -> None:
    ratings = movielens_like(4000)
    path = tmp_path / "u.data"
    path.write_text(tab_lines(ratings))
    broker = topics.settings.bootstrap_servers
    rated, lists = topics.create(), f"{topics.create()}-new"
    sent = run(
        *("--input", path, "--topic", rated, "--kafka_bootstrap_servers", broker),
        module="beam_pipeline.produce",
    )
    assert (sent.code, sent.err.splitlines()[-1]) == (0, "sent=4000 skipped=0")
    done = run(
        *RUNNERS[runner],
        *("--kafka_bootstrap_servers", broker, "--input_topic", rated, "--stop_at_end"),
        *("--output_topic", lists, "--create_topics"),
    )
    assert done.code == 0, done.err
    positives = [(at, rating) for at, rating in enumerate(ratings) if rating.rating >= 3]
    assert done.summary == {
        "read": 4000,
        "positives": len(positives),
        "filtered": 4000 - len(positives),
        "dead": 0,
        "users": len({rating.user for _, rating in positives}),
        "items": len({rating.item for _, rating in positives}),
    }
    recommender = RecommenderSpec().build()
    for record, (offset, rating) in zip(topics.read(lists), positives, strict=True):
        recommender.update(rating)
        best = recommender.recommend(rating.user, 10)
        assert json.loads(record.value) == {
            "user": rating.user,
            "items": [{"item": item, "score": score} for item, score in best],
            "timestamp": rating.timestamp,
            "origin": f"{rated}-0-{offset}",
        }
        assert record.key == rating.user.encode()


@pytest.mark.parametrize("runner", RUNNERS)
def test_lists_that_their_topic_does_not_take_are_dead_letters_and_the_job_goes_on(
    topics: Topics, runner: str
) -> None:
    rated, lists, dead = topics.create(), topics.create(max_message_bytes="5000"), topics.create()
    # The longer a user's list, the larger: at some point it is too large.
    ratings = [Rating(f"u{at % 3}", f"{at % 40}-" + "i" * 900, 5.0, float(at)) for at in range(300)]
    topics.send_ratings(rated, ratings)
    done = run(
        *RUNNERS[runner],
        *("--kafka_bootstrap_servers", topics.settings.bootstrap_servers),
        *("--input_topic", rated, "--output_topic", lists, "--stop_at_end"),
        *("--dead_letter_topic", dead),
    )
    assert done.code == 0, done.err
    assert (done.summary["read"], done.summary["positives"], done.summary["dead"]) == (300, 300, 0)
    letters = letters_in(topics, dead)
    assert {letter.stage for letter in letters} == {"write"}
    assert "max.message.bytes=5000" in letters[0].reason
    assert {letter.key for letter in letters} <= {b"u0", b"u1", b"u2"}
    unwritten = {letter.origin for letter in letters}
    written = {one["origin"] for one in topics.read_json(lists)}
    assert not written & unwritten
    assert written | unwritten == {f"{rated}-0-{at}" for at in range(300)}
    assert 3 < len(unwritten) < 300
    assert f"{len(unwritten)} records too large for their topic, not written" in done.err


def test_the_blog_posts_message_is_read_as_it_is(topics: Topics) -> None:
    rated, lists = topics.create(), topics.create()
    message = b'{"user": 196, "item": 242, "rating": 3.0, "timestamp": 881250949}'
    topics.send(rated, [message, message.replace(b"242", b"17").replace(b"196", b"5")])
    done = run(
        "--runner=DirectRunner",
        *("--kafka_bootstrap_servers", topics.settings.bootstrap_servers),
        *("--input_topic", rated, "--output_topic", lists, "--stop_at_end"),
    )
    assert done.code == 0, done.err
    first, second = topics.read_json(lists)
    assert first == {
        "user": "196",
        "items": [],
        "timestamp": 881250949.0,
        "origin": f"{rated}-0-0",
    }
    assert [entry["item"] for entry in second["items"]] == ["242"]


@pytest.mark.parametrize("runner", RUNNERS)
def test_a_restart_in_the_middle_goes_on_at_the_committed_offsets(
    topics: Topics, runner: str
) -> None:
    ratings = movielens_like(3000)
    rated, lists = topics.create(), topics.create()
    total = 0
    for part in (ratings[:1300], ratings[1300:]):
        topics.send_ratings(rated, part)
        done = run(
            *RUNNERS[runner],
            *("--kafka_bootstrap_servers", topics.settings.bootstrap_servers),
            *("--input_topic", rated, "--output_topic", lists, "--stop_at_end"),
            *("--start_offset=committed", "--kafka_group", f"g-{rated}"),
        )
        assert done.code == 0, done.err
        assert done.summary["read"] == len(part)
        assert reconciles(done.summary)
        total += done.summary["positives"]
    origins = [one["origin"] for one in topics.read_json(lists)]
    assert origins == [f"{rated}-0-{at}" for at, rating in enumerate(ratings) if rating.rating >= 3]
    assert len(origins) == total


def test_after_a_kill_a_restart_leaves_nothing_out(topics: Topics, tmp_path: Path) -> None:
    ratings = movielens_like(30_000)
    rated, lists = topics.create(), topics.create()
    topics.send_ratings(rated, ratings)
    arguments = (
        "--runner=DirectRunner",
        *("--kafka_bootstrap_servers", topics.settings.bootstrap_servers),
        *("--input_topic", rated, "--output_topic", lists, "--stop_at_end"),
        *("--start_offset=committed", "--kafka_group", f"g-{rated}"),
    )
    with running(tmp_path / "log", *arguments) as process:
        wait_until(lambda: topics.count(lists) > 3000)
        process.kill()
    assert 0 < topics.count(lists) < sum(rating.rating >= 3 for rating in ratings)
    done = run(*arguments)
    assert done.code == 0, done.err
    assert {one["origin"] for one in topics.read_json(lists)} == {
        f"{rated}-0-{at}" for at, rating in enumerate(ratings) if rating.rating >= 3
    }


@pytest.mark.parametrize("shards", [1, 2])
def test_with_exports_a_job_that_is_killed_learns_each_rating_once(
    topics: Topics, tmp_path: Path, shards: int
) -> None:
    ratings = movielens_like(120_000)
    rated, lists = topics.create(), topics.create()
    topics.send_ratings(rated, ratings)
    models = tmp_path / "models"
    arguments = (
        *("--runner=DirectRunner", "--kafka_group", f"g-{rated}"),
        *("--kafka_bootstrap_servers", topics.settings.bootstrap_servers),
        *("--input_topic", rated, "--output_topic", lists, "--stop_at_end"),
        *("--export_model", str(models), "--import_model", str(models), "--export_seconds=0.2"),
        *("--model=mf", f"--user_blocks={shards}"),
    )

    def learned() -> int:
        return sum(one.sequence for one in shards_in(str(models))) if models.exists() else 0

    def kill_after(count: int) -> int:
        goal = learned() + count
        with running(tmp_path / "log", *arguments) as process:
            wait_until(lambda: learned() > goal)
            process.kill()
        return learned()

    killed_at = [kill_after(3000) for _ in range(3)]
    positives = sum(rating.rating >= 3 for rating in ratings)
    assert killed_at == sorted(set(killed_at))
    assert killed_at[-1] < positives
    done = run(*arguments)
    assert done.code == 0, done.err
    assert learned() == positives
    spec = RecommenderSpec("mf")
    expected = [spec.build() for _ in range(shards)]
    for rating in ratings:
        if rating.rating >= 3:
            expected[block_of(rating.user, shards)].update(rating)
    for shard, whole in enumerate(expected):
        loaded = load(str(models), (shard, 0), spec, (shards, 1)).recommender
        assert same_arrays(loaded.state_dict(), whole.state_dict())


def test_what_came_before_a_pause_is_exported_amid_it(topics: Topics, tmp_path: Path) -> None:
    ratings = [rating._replace(rating=5.0) for rating in movielens_like(700)]
    rated, lists = topics.create(), topics.create()
    models = tmp_path / "models"
    arguments = (
        *("--runner=DirectRunner", "--kafka_group", f"g-{rated}", "--model=popular"),
        *("--kafka_bootstrap_servers", topics.settings.bootstrap_servers),
        *("--input_topic", rated, "--output_topic", lists),
        *("--export_model", str(models), "--import_model", str(models), "--export_seconds=1"),
    )

    def learned() -> int:
        return sum(one.sequence for one in shards_in(str(models))) if models.exists() else 0

    topics.send_ratings(rated, ratings[:500])
    with running(tmp_path / "log", *arguments) as process:
        wait_until(lambda: learned() == 500)
        process.kill()
    topics.send_ratings(rated, ratings[500:])
    done = run(*arguments, "--stop_at_end")
    assert done.code == 0, done.err
    assert f"going on with the model in {models}, which has learned 500 ratings" in done.err
    assert (done.summary["read"], learned()) == (200, 700)


@pytest.mark.parametrize("runner", RUNNERS)
def test_lists_come_while_half_of_the_partitions_are_idle(
    topics: Topics, tmp_path: Path, runner: str
) -> None:
    rated, lists = topics.create(partitions=4), topics.create()
    ratings = [rating._replace(rating=4.0) for rating in movielens_like(200)]
    log = tmp_path / "log"
    arguments = (
        *RUNNERS[runner],
        *("--kafka_bootstrap_servers", topics.settings.bootstrap_servers),
        *("--input_topic", rated, "--output_topic", lists),
    )
    with running(log, *arguments) as process:
        for at in range(0, 200, 40):
            topics.send_ratings(rated, ratings[at : at + 20], partition=0)
            topics.send_ratings(rated, ratings[at + 20 : at + 40], partition=2)

            def listed(expected: int = at + 40) -> bool:
                return topics.count(lists) == expected

            wait_until(listed)
        summary = stop_in_order(process, log)
    assert summary["read"] == summary["positives"] == 200


def test_the_watermark_advances_although_partitions_are_idle(
    topics: Topics, tmp_path: Path
) -> None:
    rated = topics.create(partitions=4)
    topics.send_ratings(rated, movielens_like(50), partition=1)
    topics.send_ratings(rated, movielens_like(30), partition=3)
    output = tmp_path / "windows"
    with running(
        tmp_path / "log",
        *(topics.settings.bootstrap_servers, rated, output, *prism_arguments()),
        module="tests.end_to_end.windowed_counts",
    ):
        wait_until(lambda: output.exists() and sum(map(int, output.read_text().split())) == 80)


def test_a_broker_that_goes_away_and_comes_back(tmp_path: Path) -> None:
    broker = Broker(tmp_path / "broker")
    broker.start()
    try:
        topics = Topics(KafkaSettings(broker.address))
        rated, lists = topics.create(), topics.create()
        ratings = [rating._replace(rating=5.0) for rating in movielens_like(600)]
        log = tmp_path / "log"
        arguments = (
            "--runner=DirectRunner",
            *("--kafka_bootstrap_servers", broker.address, "--input_topic", rated),
            *("--output_topic", lists),
        )
        with running(log, *arguments) as process:
            topics.send_ratings(rated, ratings[:300])
            wait_until(lambda: topics.count(lists) == 300)
            broker.kill()
            time.sleep(5)
            assert process.poll() is None
            broker.start()
            topics.send_ratings(rated, ratings[300:])
            wait_until(lambda: topics.count(lists) == 600, seconds=90)
            summary = stop_in_order(process, log)
        assert summary["read"] == summary["positives"] == 600
        origins = [one["origin"] for one in topics.read_json(lists)]
        assert origins == [f"{rated}-0-{at}" for at in range(600)]
    finally:
        broker.stop()


def test_what_can_not_be_read_goes_to_the_dead_letter_topic(topics: Topics) -> None:
    rated, lists, dead = topics.create(), topics.create(), topics.create()
    good = b'{"user": "a", "item": "b", "rating": 5, "timestamp": 1}'
    unknown = avro.SINGLE_OBJECT_MARKER + bytes(8) + b"datum"
    topics.send(rated, [good, None, b"{", b"", unknown, b"\xff", b"y" * (10 << 20), good])
    done = run(
        "--runner=DirectRunner",
        *("--kafka_bootstrap_servers", topics.settings.bootstrap_servers),
        *("--input_topic", rated, "--output_topic", lists, "--stop_at_end"),
        *("--dead_letter_topic", dead),
    )
    assert done.code == 0, done.err
    assert (done.summary["read"], done.summary["positives"], done.summary["dead"]) == (8, 2, 5)
    assert done.summary["filtered"] == 1
    assert "1 of the filtered records are tombstones" in done.err
    kept = kept_letters(topics, dead)
    letters = {one.letter.origin: one.letter for one in kept}
    assert list(letters) == [f"{rated}-0-{at}" for at in range(2, 7)]
    hints = ["JSON", "empty", "fingerprint 0000000000000000", "JSON", "10485760 bytes"]
    for letter, hint in zip(letters.values(), hints, strict=True):
        assert hint in letter.reason
        assert letter.key == b"key"


def test_avro_in_and_out(topics: Topics, tmp_path: Path) -> None:
    ratings = movielens_like(300)
    path = tmp_path / "u.data"
    path.write_text(tab_lines(ratings))
    broker = topics.settings.bootstrap_servers
    rated, lists = topics.create(), topics.create()
    sent = run(
        *("--input", path, "--topic", rated, "--kafka_bootstrap_servers", broker),
        *("--format", "avro"),
        module="beam_pipeline.produce",
    )
    assert sent.code == 0, sent.err
    done = run(
        "--runner=DirectRunner",
        *("--kafka_bootstrap_servers", broker, "--input_topic", rated, "--stop_at_end"),
        *("--output_topic", lists, "--output_format=avro"),
    )
    assert done.code == 0, done.err
    header = avro.single_object_header(avro.RECOMMENDATION_SCHEMA)
    records = topics.read(lists)
    assert len(records) == done.summary["positives"] > 0
    assert all(record.value.startswith(header) for record in records)
