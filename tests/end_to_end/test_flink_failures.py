from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.broker import Broker
from cluster.flink_cluster import FlinkCluster
from tests.flink_jobs import (
    CHECKPOINTS,
    END,
    SPEC,
    arguments,
    cancel,
    checkpoints,
    learned,
    origins,
    running_job,
    send_end_and_await_export,
    stop_with_savepoint,
    summary_of,
)
from tests.support import (
    ModelShards,
    Topics,
    answer,
    movielens_like,
    patience,
    running,
    same_arrays,
    tab_lines,
    wait_until,
)
from transforms.kafka.clients.factory import KafkaSettings
from transforms.model_export import load, shards_in


@pytest.fixture
def own_broker(tmp_path: Path) -> Iterator[Broker]:
    """A broker that may be killed."""
    broker = Broker(tmp_path / "broker")
    broker.start()
    yield broker
    broker.stop()


def test_whatever_is_killed_each_positive_is_learned_once(
    flink: FlinkCluster, own_broker: Broker, tmp_path: Path
) -> None:
    topics = Topics(KafkaSettings(own_broker.address))
    ratings = movielens_like(100_000, users=300, items=400)
    rated, lists, models = topics.create(), topics.create(), tmp_path / "models"
    flags = [*arguments(flink, topics, rated, lists), f"--export_model={models}"]
    flags.append("--export_seconds=0")
    parts = [ratings[at : at + 20_000] for at in range(0, 100_000, 20_000)]
    topics.send_ratings(rated, parts[0])
    with running(tmp_path / "log", *flags):
        job = running_job(flink)
        wait_until(lambda: topics.count(lists) > 1000)
        wait_until(lambda: checkpoints(flink, job, "completed") > 0)

        def goes_on(restored_before: int) -> None:
            """Waits for the recovery, and for a checkpoint after it: then all parts run."""
            wait_until(lambda: checkpoints(flink, job, "restored") > restored_before)
            completed = checkpoints(flink, job, "completed")
            wait_until(lambda: checkpoints(flink, job, "completed") > completed)

        def kill_task_manager() -> None:
            before = checkpoints(flink, job, "restored")
            flink.kill_task_manager(flink.task_manager_of(job))
            flink.start_task_manager()
            goes_on(before)

        def kill_sdk_workers() -> None:
            before = checkpoints(flink, job, "restored")
            flink.kill_sdk_workers()
            goes_on(before)

        def kill_job_manager() -> None:
            flink.kill_job_manager()
            flink.start_job_manager()
            # The next one counts from 0.
            goes_on(0)
            assert running_job(flink) == job

        def kill_broker() -> None:
            own_broker.kill()
            own_broker.start()

        kills = (kill_broker, kill_task_manager, kill_sdk_workers, kill_job_manager)
        for kill, part in zip(kills, parts[1:], strict=True):
            topics.send_ratings(rated, part[:10_000])
            kill()
            topics.send_ratings(rated, part[10_000:])
        expected = {f"{rated}-0-{at}" for at, r in enumerate(ratings) if r.rating >= 3}
        wait_until(lambda: topics.count(lists) >= len(expected))
        wait_until(lambda: set(origins(topics, lists)) == expected)
        positives = [rating for rating in ratings if rating.rating >= 3]
        send_end_and_await_export(topics, rated, models, len(positives))
        cancel(flink, job)
    loaded, _, _ = load(str(models), (0, 0), SPEC)
    assert same_arrays(loaded.state_dict(), learned([*positives, END]))


def test_a_grid_answers_requests_and_keeps_its_lists_whole_when_a_worker_dies(
    flink: FlinkCluster, topics: Topics, tmp_path: Path
) -> None:
    ratings = [rating._replace(rating=5.0) for rating in movielens_like(4000, users=300)]
    rated, asked, lists = topics.create(), topics.create(), topics.create()
    tests = topics.create()
    flags = arguments(flink, topics, rated, lists)
    flags += ["--user_blocks=2", "--item_blocks=2", "--parallelism=2", "--top_n=5"]
    flags += ["--request_topic", asked, "--evaluation_topic", tests]
    topics.send_ratings(rated, ratings[:2000])
    with running(tmp_path / "log", *flags):
        job = running_job(flink)
        wait_until(lambda: topics.count(lists) >= 2000)
        completed = checkpoints(flink, job, "completed")
        wait_until(lambda: checkpoints(flink, job, "completed") > completed)
        topics.send_ratings(rated, ratings[2000:3000])
        flink.kill_sdk_workers()
        topics.send_ratings(rated, ratings[3000:])
        expected = {f"{rated}-0-{at}" for at in range(4000)}
        wait_until(lambda: set(origins(topics, lists)) == expected)
        topics.send(asked, [b'{"user": "7", "timestamp": 5}', b'{"user": "no", "timestamp": 6}'])
        expected |= {f"{asked}-0-0", f"{asked}-0-1"}
        wait_until(lambda: set(origins(topics, lists)) == expected)
        wait_until(lambda: len(set(origins(topics, tests))) == 4000)
        cancel(flink, job)
    shards = ModelShards(SPEC, 2, 2)
    whole = {}
    ranks = {}
    for at, rating in enumerate(ratings):
        origin = f"{rated}-0-{at}"
        everything = [item for item, _ in shards.recommend(rating.user, 10_000)]
        ranks[origin] = (
            everything.index(rating.item) + 1 if rating.item in everything else None,
            len(everything),
        )
        shards.update(rating)
        best = shards.recommend(rating.user, 5)
        whole[origin] = answer(rating.user, best, rating.timestamp, origin)
    whole[f"{asked}-0-0"] = answer("7", shards.recommend("7", 5), 5.0, f"{asked}-0-0")
    popular = answer("no", shards.recommend("no", 5), 6.0, f"{asked}-0-1")
    whole[f"{asked}-0-1"] = {**popular, "fallback": "popular"}
    # A list that comes again is the same, as it was made of the same model.
    assert all(one == whole[one["origin"]] for one in topics.read_json(lists))
    for one in topics.read_json(tests):
        assert (one["rank"], one["candidates"]) == ranks[one["origin"]]


def test_what_dies_while_workers_start_does_not_hang_a_job_and_a_drain_ends_it(
    flink: FlinkCluster, topics: Topics, tmp_path: Path
) -> None:
    rated, lists, models = topics.create(partitions=2), topics.create(), tmp_path / "models"
    topics.send_ratings(rated, [r._replace(rating=5.0) for r in movielens_like(3000)])
    log, pool_log = tmp_path / "log", flink.folder / "workers.log"
    # Those of the job before may be about to end.
    wait_until(lambda: flink.sdk_workers() == [])
    flags = [*arguments(flink, topics, rated, lists), f"--export_model={models}"]
    with running(log, *flags) as process:
        # A worker takes seconds until it has connected.
        wait_until(lambda: flink.sdk_workers() != [])
        flink.kill_worker_pool()
        flink.start_worker_pool()
        job = running_job(flink)
        wait_until(lambda: flink.sdk_workers() != [])
        flink.kill_sdk_workers()
        wait_until(lambda: topics.count(lists) >= 3000)
        wait_until(lambda: checkpoints(flink, job, "completed") > 0)
        causes = flink.rest.get(f"/jobs/{job}/exceptions")["exceptionHistory"]["entries"]
        stop_with_savepoint(flink, job, drain=True)
        assert process.wait(patience(60)) == 0
    assert "is gone; it was to start worker" in causes[0]["stacktrace"]
    assert "did not connect (SIGKILL): starting it again" in pool_log.read_text()
    assert flink.rest.get(f"/jobs/{job}")["state"] == "FINISHED"
    summary = summary_of(log)
    assert (summary["read"], summary["positives"]) == (3000, 3000)
    assert len(set(origins(topics, lists))) == 3000
    # A drain is an end of the input, so models are exported as they are then.
    assert [shard.sequence for shard in shards_in(str(models))] == [3000]


def test_history_is_learned_before_the_topic_once_each_also_after_a_kill_between_them(
    flink: FlinkCluster, topics: Topics, tmp_path: Path
) -> None:
    past, present = movielens_like(30_000, users=300), movielens_like(10_000, users=300, seed=2)
    path = tmp_path / "u.data"
    path.write_text(tab_lines(past))
    rated, asked, lists = topics.create(partitions=1), topics.create(), topics.create()
    models = tmp_path / "models"
    topics.send_ratings(rated, present)
    flags = [*arguments(flink, topics, rated, lists), "--parallelism=2", f"--input={path}"]
    # Two checkpoints lie between files and topic: time enough to see the end of the files.
    flags[flags.index(*CHECKPOINTS)] = "--checkpointing_interval=5000"
    flags += [f"--export_model={models}", "--export_seconds=0", f"--request_topic={asked}"]
    history = [f"u.data:{line}" for line, r in enumerate(past, 1) if r.rating >= 3]
    with running(tmp_path / "log", *flags):
        job = running_job(flink)
        topics.send(asked, [b'{"user": "7"}'])
        wait_until(lambda: topics.count(lists) >= len(history))
        flink.kill_task_manager(flink.task_manager_of(job))
        flink.start_task_manager()
        stream = [f"{rated}-0-{offset}" for offset, r in enumerate(present) if r.rating >= 3]
        expected = {*history, *stream, f"{asked}-0-0"}
        wait_until(lambda: topics.count(lists) >= len(expected))
        wait_until(lambda: set(origins(topics, lists)) == expected)
        first = list(dict.fromkeys(origins(topics, lists)))
        assert first.index(f"{asked}-0-0") < first.index(history[-1]) < first.index(stream[0])
        positives = [rating for rating in [*past, *present] if rating.rating >= 3]
        send_end_and_await_export(topics, rated, models, len(positives))
        cancel(flink, job)
    loaded, _, _ = load(str(models), (0, 0), SPEC)
    assert same_arrays(loaded.state_dict(), learned([*positives, END]))
