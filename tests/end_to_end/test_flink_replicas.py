"""Replicas on a cluster: whatever dies, the lists of all are those of one model in a plain loop.

A list has its scores to the last digit, so equal lists of all users are of an equal model.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from cluster.flink_cluster import FlinkCluster
from tests.flink_jobs import (
    END,
    SPEC,
    arguments,
    cancel,
    checkpoints,
    learn_at_parallelisms,
    learned,
    origins,
    running_job,
    send_end_and_await_export,
)
from tests.support import (
    Topics,
    answer,
    movielens_like,
    running,
    same_arrays,
    wait_until,
)
from transforms.formats.records import Rating
from transforms.model_export import load, shards_in
from transforms.recommenders.recommender import Recommender

REPLICAS = ("--replicas=2", "--top_n=5")


def plain_loop(
    ratings: list[Rating], rated: str, recommender: Recommender, start: int = 0
) -> dict[str, dict[str, Any]]:
    lists = {}
    for at, rating in enumerate(ratings, start):
        origin = f"{rated}-0-{at}"
        recommender.update(rating)
        best = list(recommender.recommend(rating.user, 5))
        lists[origin] = answer(rating.user, best, rating.timestamp, origin)
    return lists


def test_replicas_on_the_heap_stay_one_model_when_a_task_manager_dies(
    flink: FlinkCluster, topics: Topics, tmp_path: Path
) -> None:
    ratings = [r._replace(rating=5.0) for r in movielens_like(20_000, users=300, items=400)]
    rated, asked, lists, tests = (topics.create() for _ in range(4))
    models = tmp_path / "models"
    flags = [*arguments(flink, topics, rated, lists), *REPLICAS, "--parallelism=2"]
    flags += ["--request_topic", asked, "--evaluation_topic", tests]
    flags += [f"--export_model={models}", "--export_seconds=0"]
    # The other tests have RocksDB, as the cluster does.
    checkpoint_folder = (tmp_path / "checkpoints").as_uri()
    flags += ["--state_backend=filesystem", f"--state_backend_storage_path={checkpoint_folder}"]
    topics.send_ratings(rated, ratings[:4000])
    with running(tmp_path / "log", *flags):
        job = running_job(flink)
        wait_until(lambda: topics.count(lists) > 1000)
        wait_until(lambda: checkpoints(flink, job, "completed") > 0)
        backend = flink.rest.get(f"/jobs/{job}/checkpoints/config")["state_backend"]
        assert "RocksDB" not in backend

        def is_restored(times: int) -> bool:
            return checkpoints(flink, job, "restored") >= times

        # Each has one of the replicas.
        for victim, start in enumerate((4000, 12_000)):
            topics.send_ratings(rated, ratings[start : start + 4000])
            flink.kill_task_manager(victim)
            flink.start_task_manager()
            topics.send_ratings(rated, ratings[start + 4000 : start + 8000])
            wait_until(partial(is_restored, victim + 1))
        expected = {f"{rated}-0-{at}" for at in range(len(ratings))}
        wait_until(lambda: topics.count(lists) >= len(expected))
        wait_until(lambda: set(origins(topics, lists)) == expected)
        users = sorted({rating.user for rating in ratings})
        topics.send(asked, [f'{{"user": "{user}", "timestamp": 5}}'.encode() for user in users])
        requests = {f"{asked}-0-{at}" for at in range(len(users))}
        wait_until(lambda: set(origins(topics, lists)) == expected | requests)
        wait_until(lambda: set(origins(topics, tests)) == expected)
        recommend = flink.rest.get(f"/jobs/{job}")["vertices"][-1]["id"]

        def received() -> list[int]:
            subtasks = flink.rest.get(f"/jobs/{job}/vertices/{recommend}")["subtasks"]
            return [subtask["metrics"]["read-records"] for subtask in subtasks]

        # Flink's metrics come some seconds late.
        wait_until(lambda: min(received()) > 0)
        send_end_and_await_export(topics, rated, models, len(ratings))
        cancel(flink, job)
    recommender = SPEC.build()
    whole = plain_loop(ratings, rated, recommender)
    for at, user in enumerate(users):
        origin = f"{asked}-0-{at}"
        whole[origin] = answer(user, list(recommender.recommend(user, 5)), 5.0, origin)
    whole |= plain_loop([END], rated, recommender, start=len(ratings))
    for one in topics.read_json(lists):
        assert one == whole[one["origin"]]
    assert [shard.shard for shard in shards_in(str(models))] == [(0, 0)]
    loaded, _, _ = load(str(models), (0, 0), SPEC)
    assert same_arrays(loaded.state_dict(), learned([*ratings, END]))


def test_rescaling_from_a_savepoint_keeps_every_replica(
    flink: FlinkCluster, topics: Topics, tmp_path: Path
) -> None:
    ratings = [rating._replace(rating=5.0) for rating in movielens_like(3000, users=300)]
    rated, lists = topics.create(), topics.create()
    flags = [*arguments(flink, topics, rated, lists), *REPLICAS]
    parts = [ratings[start : start + 1000] for start in (0, 1000, 2000)]
    learn_at_parallelisms(flink, topics, flags, rated, lists, parts, tmp_path)
    whole = plain_loop(ratings, rated, SPEC.build())
    found = topics.read_json(lists)
    assert len(found) == 3000
    assert {one["origin"]: one for one in found} == whole
