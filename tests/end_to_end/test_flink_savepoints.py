from __future__ import annotations

from pathlib import Path

from cluster.flink_cluster import FlinkCluster
from tests.flink_jobs import (
    END,
    SPEC,
    arguments,
    cancel,
    learn_at_parallelisms,
    learned,
    origins,
    running_job,
    send_end_and_await_export,
    stop_with_savepoint,
)
from tests.support import (
    Topics,
    movielens_like,
    running,
    same_arrays,
    shards_of,
    wait_until,
)
from transforms.model_export import load, shards_in


def test_stop_with_savepoint_change_top_n_and_resume(
    flink: FlinkCluster, topics: Topics, tmp_path: Path
) -> None:
    ratings = [rating._replace(rating=5.0) for rating in movielens_like(3000)]
    rated, lists, models = topics.create(), topics.create(), tmp_path / "models"
    topics.send_ratings(rated, ratings[:2000])
    flags = arguments(flink, topics, rated, lists)
    with running(tmp_path / "first", *flags):
        job = running_job(flink)
        wait_until(lambda: topics.count(lists) >= 2000)
        savepoint = stop_with_savepoint(flink, job)
    topics.send_ratings(rated, ratings[2000:])
    with running(
        tmp_path / "second",
        *flags,
        *("--top_n=3", f"--savepoint_path={savepoint}", f"--export_model={models}"),
        "--export_seconds=0",
    ):
        job = running_job(flink)
        wait_until(lambda: topics.count(lists) >= 3000)
        send_end_and_await_export(topics, rated, models, 3000)
        wait_until(lambda: topics.count(lists) >= 3001)
        cancel(flink, job)
    answers = topics.read_json(lists)
    assert [one["origin"] for one in answers] == [f"{rated}-0-{at}" for at in range(3001)]
    assert {len(one["items"]) for one in answers[2000:]} == {3}
    loaded, _, _ = load(str(models), (0, 0), SPEC)
    assert same_arrays(loaded.state_dict(), learned([*ratings, END]))


def test_a_savepoint_does_not_continue_with_another_sharding(
    flink: FlinkCluster, topics: Topics, tmp_path: Path
) -> None:
    ratings = [rating._replace(rating=5.0) for rating in movielens_like(2000)]
    rated, lists = topics.create(), topics.create()
    topics.send_ratings(rated, ratings[:1000])
    flags = arguments(flink, topics, rated, lists)
    with running(tmp_path / "first", *flags):
        job = running_job(flink)
        wait_until(lambda: topics.count(lists) >= 1000)
        savepoint = f"--savepoint_path={stop_with_savepoint(flink, job)}"
    topics.send_ratings(rated, ratings[1000:])
    with running(tmp_path / "second", *flags, savepoint, "--replicas=2"):
        job = running_job(flink)
        reason = "of another sharding, expected replicas 1, got 2"
        wait_until(lambda: reason in str(flink.rest.get(f"/jobs/{job}/exceptions")))
        cancel(flink, job)
    with running(tmp_path / "third", *flags, savepoint):
        job = running_job(flink)
        wait_until(lambda: topics.count(lists) >= 2000)
        cancel(flink, job)
    expected = {f"{rated}-0-{at}" for at in range(2000)}
    assert set(origins(topics, lists)) == expected


def test_partitions_that_are_added_are_read_and_survive_a_savepoint(
    flink: FlinkCluster, topics: Topics, tmp_path: Path
) -> None:
    ratings = [rating._replace(rating=5.0) for rating in movielens_like(2000)]
    rated, lists = topics.create(), topics.create()
    topics.send_ratings(rated, ratings[:500])
    flags = [*arguments(flink, topics, rated, lists), "--parallelism=2"]
    with running(tmp_path / "first", *flags):
        job = running_job(flink)
        wait_until(lambda: topics.count(lists) >= 500)
        topics.add_partitions(rated, 3)
        topics.send_ratings(rated, ratings[500:1000], partition=1)
        topics.send_ratings(rated, ratings[1000:1200], partition=2)
        wait_until(lambda: topics.count(lists) >= 1200)
        savepoint = stop_with_savepoint(flink, job)
    topics.send_ratings(rated, ratings[1200:1600], partition=2)
    topics.send_ratings(rated, ratings[1600:], partition=0)
    with running(tmp_path / "second", *flags, f"--savepoint_path={savepoint}"):
        job = running_job(flink)
        wait_until(lambda: topics.count(lists) >= 2000)
        cancel(flink, job)
    counts = {0: 900, 1: 500, 2: 600}
    expected = [f"{rated}-{number}-{at}" for number, count in counts.items() for at in range(count)]
    assert sorted(origins(topics, lists)) == sorted(expected)


def test_rescaling_from_a_savepoint_keeps_every_shards_model(
    flink: FlinkCluster, topics: Topics, tmp_path: Path
) -> None:
    ratings = [rating._replace(rating=5.0) for rating in movielens_like(3000, users=300)]
    rated, lists, models = topics.create(), topics.create(), tmp_path / "models"
    flags = [*arguments(flink, topics, rated, lists), "--user_blocks=4"]
    flags += [f"--export_model={models}", "--export_seconds=0"]
    parts = [ratings[start : start + 1000] for start in (0, 1000, 2000)]
    learn_at_parallelisms(flink, topics, flags, rated, lists, parts, tmp_path)
    assert sorted(origins(topics, lists)) == sorted(f"{rated}-0-{at}" for at in range(3000))
    # The last export of a shard is of when its last bundle began.
    exported = shards_in(str(models))
    groups = shards_of(ratings, 4)
    assert {shard.shard for shard in exported} == set(groups)
    for shard in exported:
        loaded, sequence, _ = load(str(models), shard.shard, SPEC)
        group = groups[shard.shard]
        assert len(group) * 2 // 3 - 100 < sequence <= len(group)
        assert same_arrays(loaded.state_dict(), learned(group[:sequence]))
