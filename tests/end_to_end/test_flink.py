from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from apache_beam.portability.api import beam_job_api_pb2, beam_job_api_pb2_grpc

from beam_pipeline.job_server_options import _JOB_SERVER
from beam_pipeline.settings import _parser
from cluster.broker import Broker, free_port
from cluster.flink_cluster import FlinkCluster
from tests import processes
from tests.support import (
    Grid,
    Topics,
    answer,
    cells_of,
    movielens_like,
    patience,
    run,
    running,
    same_arrays,
    tab_lines,
    wait_until,
)
from transforms.formats.records import Rating
from transforms.kafka.clients.factory import KafkaSettings
from transforms.model_export import load, shards_in
from transforms.recommenders.registry import RecommenderSpec

SPEC = RecommenderSpec("mf", {"k": 10}, seed=3)
CHECKPOINTS = ("--checkpointing_interval=1500",)


@pytest.fixture(scope="module")
def flink(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlinkCluster]:
    cluster = FlinkCluster(tmp_path_factory.mktemp("flink"), task_managers=2)
    cluster.start()
    yield cluster
    cluster.stop()


def arguments(flink: FlinkCluster, topics: Topics, rated: str, lists: str) -> list[str]:
    return [
        *flink.flags(),
        *("--kafka_bootstrap_servers", topics.settings.bootstrap_servers),
        *("--input_topic", rated, "--output_topic", lists, "--model=mf", "--k=10"),
        "--seed=3",
        *CHECKPOINTS,
    ]


def running_job(flink: FlinkCluster) -> str:
    """The id of the one job that runs, once it does."""
    found: list[str] = []

    def is_there() -> bool:
        with contextlib.suppress(OSError):
            jobs = flink.rest.get("/jobs/overview")["jobs"]
            found[:] = [job["jid"] for job in jobs if job["state"] == "RUNNING"]
        return bool(found)

    wait_until(is_there)
    return found[0]


def checkpoints(flink: FlinkCluster, job: str, kind: str) -> int:
    """How many checkpoints were `completed`, `restored` or `failed`."""
    with contextlib.suppress(OSError):
        return int(flink.rest.get(f"/jobs/{job}/checkpoints")["counts"][kind])
    return 0


def stop_with_savepoint(flink: FlinkCluster, job: str, drain: bool = False) -> str:
    """Stops a job; returns where its savepoint is."""
    trigger = flink.rest.post(f"/jobs/{job}/stop", {"drain": drain})["request-id"]
    found: dict[str, Any] = {}

    def is_written() -> bool:
        found.update(flink.rest.get(f"/jobs/{job}/savepoints/{trigger}"))
        return bool(found["status"]["id"] == "COMPLETED")

    wait_until(is_written)
    return str(found["operation"]["location"])


def summary_of(log: Path) -> dict[str, int]:
    """The last line that a run has written."""
    last = log.read_text().splitlines()[-1]
    return {name: int(value) for name, value in (pair.split("=") for pair in last.split())}


def cancel(flink: FlinkCluster, job: str) -> None:
    flink.rest.cancel(job)
    wait_until(lambda: flink.rest.get(f"/jobs/{job}")["state"] == "CANCELED")


def export_by_one_more(topics: Topics, rated: str, models: Path, learned_so_far: int) -> None:
    """Makes the job export what it has learned, which it does before it learns the next."""
    topics.send_ratings(rated, [Rating("the", "end", 5.0, 0.0)])
    wait_until(
        lambda: [shard.sequence for shard in shards_in(str(models))] == [learned_so_far], seconds=60
    )


def learned(ratings: list[Rating]) -> dict[str, Any]:
    recommender = SPEC.build()
    for rating in ratings:
        recommender.update(rating)
    return recommender.state_dict()


def origins(topics: Topics, lists: str) -> list[str]:
    return [one["origin"] for one in topics.read_json(lists)]


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
        export_by_one_more(topics, rated, models, len(positives))
        cancel(flink, job)
    loaded, _ = load(str(models), (0, 0), SPEC)
    assert same_arrays(loaded.state_dict(), learned(positives))


def test_partitions_and_cells_on_two_slots_to_the_end(
    flink: FlinkCluster, topics: Topics, tmp_path: Path
) -> None:
    ratings = movielens_like(8000, users=300, items=400)
    rated, lists = topics.create(partitions=2), topics.create()
    models = tmp_path / "models"
    topics.send_ratings(rated, ratings[:5000], partition=0)
    topics.send_ratings(rated, ratings[5000:], partition=1)
    done = run(
        *arguments(flink, topics, rated, lists),
        *("--stop_at_end", "--parallelism=2", "--user_blocks=4", f"--export_model={models}"),
        timeout=180,
    )
    assert done.code == 0, done.err
    positives = [rating for rating in ratings if rating.rating >= 3]
    summary = done.summary
    assert summary["read"] == 8000
    assert summary["positives"] == len(positives)
    assert summary["users"] == len({rating.user for rating in positives})
    assert len(set(origins(topics, lists))) == len(positives)
    groups = cells_of(positives, 4)
    assert {shard.shard: shard.sequence for shard in shards_in(str(models))} == {
        cell: len(group) for cell, group in groups.items()
    }


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
        export_by_one_more(topics, rated, models, 3000)
        wait_until(lambda: topics.count(lists) >= 3001)
        cancel(flink, job)
    answers = topics.read_json(lists)
    assert [one["origin"] for one in answers] == [f"{rated}-0-{at}" for at in range(3001)]
    assert {len(one["items"]) for one in answers[2000:]} == {3}
    loaded, _ = load(str(models), (0, 0), SPEC)
    assert same_arrays(loaded.state_dict(), learned(ratings))


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


def test_rescaling_from_a_savepoint_keeps_every_cells_model(
    flink: FlinkCluster, topics: Topics, tmp_path: Path
) -> None:
    ratings = [rating._replace(rating=5.0) for rating in movielens_like(3000, users=300)]
    rated, lists, models = topics.create(), topics.create(), tmp_path / "models"
    flags = [*arguments(flink, topics, rated, lists), "--user_blocks=4"]
    flags += [f"--export_model={models}", "--export_seconds=0"]
    savepoint: list[str] = []
    for number, parallelism in enumerate((1, 2, 1)):
        topics.send_ratings(rated, ratings[number * 1000 : (number + 1) * 1000])
        scaled = (f"--parallelism={parallelism}", *savepoint)
        with running(tmp_path / f"log-{number}", *flags, *scaled):
            job = running_job(flink)

            def listed(expected: int = (number + 1) * 1000) -> bool:
                return topics.count(lists) >= expected

            wait_until(listed)
            savepoint = [f"--savepoint_path={stop_with_savepoint(flink, job)}"]
    assert sorted(origins(topics, lists)) == sorted(f"{rated}-0-{at}" for at in range(3000))
    # The last export of a cell is of when its last bundle began.
    exported = shards_in(str(models))
    groups = cells_of(ratings, 4)
    assert {shard.shard for shard in exported} == set(groups)
    for shard in exported:
        loaded, sequence = load(str(models), shard.shard, SPEC)
        group = groups[shard.shard]
        assert len(group) * 2 // 3 - 100 < sequence <= len(group)
        assert same_arrays(loaded.state_dict(), learned(group[:sequence]))


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
    cells = Grid(SPEC, 2, 2)
    whole = {}
    ranks = {}
    for at, rating in enumerate(ratings):
        origin = f"{rated}-0-{at}"
        everything = [item for item, _ in cells.recommend(rating.user, 10_000)]
        ranks[origin] = (
            everything.index(rating.item) + 1 if rating.item in everything else None,
            len(everything),
        )
        cells.update(rating)
        best = cells.recommend(rating.user, 5)
        whole[origin] = answer(rating.user, best, rating.timestamp, origin)
    whole[f"{asked}-0-0"] = answer("7", cells.recommend("7", 5), 5.0, f"{asked}-0-0")
    popular = answer("no", cells.recommend("no", 5), 6.0, f"{asked}-0-1")
    whole[f"{asked}-0-1"] = {**popular, "fallback": "popular"}
    # A list that comes again is the same, as it was made of the same model.
    assert all(one == whole[one["origin"]] for one in topics.read_json(lists))
    for one in topics.read_json(tests):
        assert (one["rank"], one["candidates"]) == ranks[one["origin"]]


def test_partitions_and_cells_are_spread_over_the_subtasks(
    flink: FlinkCluster, topics: Topics, tmp_path: Path
) -> None:
    rated, lists = topics.create(partitions=4), topics.create()
    topics.send_ratings(rated, [r._replace(rating=5.0) for r in movielens_like(12000, users=300)])
    flags = [*arguments(flink, topics, rated, lists), "--user_blocks=8", "--parallelism=2"]
    with running(tmp_path / "log", *flags):
        job = running_job(flink)
        wait_until(lambda: topics.count(lists) >= 12000)
        *_, source, recommend = flink.rest.get(f"/jobs/{job}")["vertices"]
        assert "ParseRatings" in source["name"]

        def received(step: str) -> list[int]:
            subtasks = flink.rest.get(f"/jobs/{job}/vertices/{step}")["subtasks"]
            return [subtask["metrics"]["read-records"] for subtask in subtasks]

        # Two partitions each, and to one of them the element of partitions that are added later.
        wait_until(lambda: sorted(received(source["id"])) == [2, 3])
        # All but small batches go to all cells: five and three would be 1.7 to one.
        wait_until(lambda: 0 < max(cells := received(recommend["id"])) < 1.2 * min(cells))
        # Before all subtasks run no checkpoint can begin, which Flink counts as failed ones.
        wait_until(lambda: checkpoints(flink, job, "completed") > 0)
        failed = checkpoints(flink, job, "failed")
        wait_until(lambda: checkpoints(flink, job, "completed") > 4)
        assert checkpoints(flink, job, "failed") == failed
        cancel(flink, job)


def test_the_jar_can_be_submitted_without_a_job_server(
    flink: FlinkCluster, topics: Topics, tmp_path: Path
) -> None:
    ratings = movielens_like(2000)
    rated, lists = topics.create(), topics.create()
    topics.send_ratings(rated, ratings)
    flags = [*arguments(flink, topics, rated, lists), "--stop_at_end", "--flink_submit_uber_jar"]
    done = run(*flags, timeout=180)
    assert done.code == 0, done.err
    positives = [at for at, rating in enumerate(ratings) if rating.rating >= 3]
    assert origins(topics, lists) == [f"{rated}-0-{at}" for at in positives]


def test_a_job_that_fails_is_one_line_and_no_flag_is_said_to_be_discarded(
    flink: FlinkCluster, topics: Topics, tmp_path: Path
) -> None:
    rated, lists = topics.create(), topics.create()
    log = tmp_path / "log"
    with running(log, *arguments(flink, topics, rated, lists)) as process:
        job = running_job(flink)
        given = flink.rest.get(f"/jobs/{job}/config")["execution-config"]["user-config"]
        cancel(flink, job)
        assert process.wait(patience(60)) == 1
    last = log.read_text().splitlines()[-1]
    assert last.startswith("error: ")
    for alarm in ("Traceback", "Discarding", "Unparseable"):
        assert alarm not in log.read_text()
    assert given["finishBundleBeforeCheckpointing"] == "true"
    assert given["operatorChaining"] == "false"
    assert given["checkpointingInterval"] == "1500"


def test_every_option_of_the_job_server_is_known_with_its_type(flink: FlinkCluster) -> None:
    known = {name: kind for kind, names in _JOB_SERVER.items() for name in names}
    beams = {option for action in _parser()._actions for option in action.option_strings}
    types = beam_job_api_pb2.PipelineOptionType
    kinds = {types.BOOLEAN: bool, types.INTEGER: int, types.STRING: str}
    options = described_options(flink)
    assert "finish_bundle_before_checkpointing" in options
    for name, option in options.items():
        assert f"--{name}" in beams
        assert name not in known or known[name] is kinds[option.type]


def described_options(flink: FlinkCluster) -> dict[str, Any]:
    """What the job server says of its Flink options and portable ones, by name."""
    port = free_port()
    ports = ("--job-port", port, "--artifact-port=0", "--expansion-port=0")
    server = processes.start(
        ["java", "-jar", flink.job_server_jar, *ports], stderr=subprocess.DEVNULL
    )
    try:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            grpc.channel_ready_future(channel).result(patience(60))
            jobs = beam_job_api_pb2_grpc.JobServiceStub(channel)
            answer = jobs.DescribePipelineOptions(beam_job_api_pb2.DescribePipelineOptionsRequest())
    finally:
        processes.kill(server)
    groups = ("FlinkPipelineOptions", "PortablePipelineOptions")
    return {option.name: option for option in answer.options if option.group.endswith(groups)}


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
        export_by_one_more(topics, rated, models, len(positives))
        cancel(flink, job)
    loaded, _ = load(str(models), (0, 0), SPEC)
    assert same_arrays(loaded.state_dict(), learned(positives))
