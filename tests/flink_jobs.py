"""What tests of jobs on a Flink cluster share."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from cluster.flink_cluster import FlinkCluster
from tests.support import Topics, running, wait_until
from transforms.formats.records import Rating
from transforms.model_export import shards_in
from transforms.recommenders.registry import RecommenderSpec

SPEC = RecommenderSpec("mf", {"k": 10}, seed=3)
CHECKPOINTS = ("--checkpointing_interval=1500",)


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


def learn_at_parallelisms(
    flink: FlinkCluster,
    topics: Topics,
    flags: list[str],
    rated: str,
    lists: str,
    parts: list[list[Rating]],
    logs: Path,
) -> None:
    """Learns three parts with 1, 2 and 1 subtasks, from a savepoint to the next."""
    savepoint: list[str] = []
    expected = 0
    for number, (parallelism, part) in enumerate(zip((1, 2, 1), parts, strict=True)):
        topics.send_ratings(rated, part)
        expected += len(part)
        scaled = (f"--parallelism={parallelism}", *savepoint)
        with running(logs / f"log-{number}", *flags, *scaled):
            job = running_job(flink)
            wait_until(partial(_are_listed, topics, lists, expected))
            savepoint = [f"--savepoint_path={stop_with_savepoint(flink, job)}"]


def _are_listed(topics: Topics, lists: str, expected: int) -> bool:
    return topics.count(lists) >= expected


def summary_of(log: Path) -> dict[str, int]:
    """The last line that a run has written."""
    last = log.read_text().splitlines()[-1]
    return {name: int(value) for name, value in (pair.split("=") for pair in last.split())}


def cancel(flink: FlinkCluster, job: str) -> None:
    flink.rest.cancel(job)
    wait_until(lambda: flink.rest.get(f"/jobs/{job}")["state"] == "CANCELED")


END: Final = Rating("the", "end", 5.0, 0.0)
"""The last rating of a test: a restored job exports nothing before it learns something.

Idle shards are exported after a second, so a test has to wait for the export that includes this.
"""


def send_end_and_await_export(
    topics: Topics, rated: str, models: Path, learned_so_far: int
) -> None:
    """Sends `END` and returns once the only shard's export includes it."""
    topics.send_ratings(rated, [END])
    wait_until(lambda: [shard.sequence for shard in shards_in(str(models))] == [learned_so_far + 1])


def learned(ratings: Sequence[Rating]) -> dict[str, Any]:
    recommender = SPEC.build()
    for rating in ratings:
        recommender.update(rating)
    return recommender.state_dict()


def origins(topics: Topics, lists: str) -> list[str]:
    return [one["origin"] for one in topics.read_json(lists)]
