from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import grpc
from apache_beam.portability.api import beam_job_api_pb2, beam_job_api_pb2_grpc

from beam_pipeline.job_server_options import _JOB_SERVER
from beam_pipeline.settings import _parser
from cluster.broker import free_port
from cluster.flink_cluster import FlinkCluster
from tests import processes
from tests.flink_jobs import (
    arguments,
    cancel,
    checkpoints,
    origins,
    running_job,
)
from tests.support import (
    Topics,
    movielens_like,
    patience,
    run,
    running,
    shards_of,
    wait_until,
)
from transforms.model_export import shards_in


def test_partitions_and_model_shards_on_two_slots_to_the_end(
    flink: FlinkCluster, topics: Topics, tmp_path: Path
) -> None:
    ratings = movielens_like(8000, users=300, items=400)
    rated, lists = topics.create(partitions=2), topics.create()
    models = tmp_path / "models"
    topics.send_ratings(rated, ratings[:5000], partition=0)
    topics.send_ratings(rated, ratings[5000:], partition=1)
    flags = (
        *arguments(flink, topics, rated, lists),
        *("--stop_at_end", "--parallelism=2", "--user_blocks=4", f"--export_model={models}"),
    )
    done = run(*flags, timeout=180)
    assert done.code == 0, done.err
    positives = [rating for rating in ratings if rating.rating >= 3]
    summary = done.summary
    assert summary["read"] == 8000
    assert summary["positives"] == len(positives)
    assert summary["users"] == len({rating.user for rating in positives})
    assert len(set(origins(topics, lists))) == len(positives)
    groups = shards_of(positives, 4)
    assert {shard.shard: shard.sequence for shard in shards_in(str(models))} == {
        shard: len(group) for shard, group in groups.items()
    }

    # A new job without any state goes on where the export stands.
    more = [rating._replace(rating=5.0) for rating in ratings[:500]]
    topics.send_ratings(rated, more, partition=1)
    done = run(*flags, f"--import_model={models}", timeout=180)
    assert done.code == 0, done.err
    assert len(more) <= done.summary["read"] < 1000
    assert len(set(origins(topics, lists))) == len(positives) + len(more)
    groups = shards_of([*positives, *more], 4)
    assert {shard.shard: shard.sequence for shard in shards_in(str(models))} == {
        shard: len(group) for shard, group in groups.items()
    }


def test_partitions_and_model_shards_are_spread_over_the_subtasks(
    flink: FlinkCluster, topics: Topics, tmp_path: Path
) -> None:
    rated, lists = topics.create(partitions=4), topics.create()
    ratings = [r._replace(rating=5.0) for r in movielens_like(12000, users=300)]
    topics.send_ratings(rated, ratings)
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

        def is_even() -> bool:
            # Small bundles have ratings for some shards only, so a few bundles say little.
            topics.send_ratings(rated, ratings[:400])
            shards = received(recommend["id"])
            return min(shards) > 50 and max(shards) < 1.2 * min(shards)

        # Other bundles have ratings for all shards: five and three would be 1.7 to one.
        wait_until(is_even)
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
