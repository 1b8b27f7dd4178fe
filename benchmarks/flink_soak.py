"""What an idle job and a long one cost on Flink: checkpoint size and CPU over time.

    python -m benchmarks.flink_soak --ratings 500000 --idle_seconds 600

starts a broker and a cluster, learns the ratings (new users and items come all the time, then
stop), samples the size of checkpoints, and then watches the idle job.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from cluster.broker import Broker
from cluster.flink_cluster import FlinkCluster
from transforms.kafka.clients.factory import (
    KafkaSettings,
    consumer,
    partitions_of,
    producer,
    require_topics,
)
from transforms.kafka.clients.protocols import Message

_USERS: Final = 5000
_ITEMS: Final = 2000
_PART: Final = 50_000
_TICKS: Final = os.sysconf("SC_CLK_TCK")


def _ratings(count: int) -> Iterator[bytes]:
    random = np.random.default_rng(0)
    for user, item in zip(
        random.integers(_USERS, size=count).tolist(),
        random.integers(_ITEMS, size=count).tolist(),
        strict=True,
    ):
        yield b'{"user": %d, "item": %d, "rating": 5, "timestamp": 1}' % (user, item)


def _cpu_seconds(group: int) -> float:
    """CPU time of all processes whose session is `group`."""
    total = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(fields[3]) == group:
            total += int(fields[11]) + int(fields[12])
    return total / _TICKS


def _checkpoint(cluster: FlinkCluster, job: str) -> tuple[int, int]:
    """Number and full size in bytes of the latest checkpoint."""
    latest = cluster.rest.get(f"/jobs/{job}/checkpoints")["latest"]["completed"]
    return (latest["id"], latest["state_size"]) if latest else (0, 0)


def main(argv: Sequence[str]) -> int:
    """Prints a line for each sample."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--ratings", type=int, default=500_000)
    parser.add_argument("--idle_seconds", type=int, default=600)
    given = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        broker = Broker(Path(folder) / "kafka")
        cluster = FlinkCluster(Path(folder) / "flink", task_managers=1)
        job_client = None
        try:
            broker.start()
            cluster.start()
            job_client = _soak(broker, cluster, given)
        finally:
            if job_client:
                job_client.terminate()
                job_client.wait()
            cluster.stop()
            broker.stop()
    return 0


def _soak(
    broker: Broker, cluster: FlinkCluster, given: argparse.Namespace
) -> subprocess.Popen[bytes]:
    settings = KafkaSettings(broker.address)
    require_topics(settings, {"ratings": 1, "lists": 1}, create=True)
    where = [f"--kafka_bootstrap_servers={broker.address}"]
    topics = ["--input_topic=ratings", "--output_topic=lists", "--model=mf"]
    topics.append("--checkpointing_interval=5000")
    process = subprocess.Popen(
        [sys.executable, "-m", "beam_pipeline", *cluster.flags(), *where, *topics],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    cluster.wait_for_job()
    job = cluster.rest.get("/jobs/overview")["jobs"][0]["jid"]
    sender = producer(settings).sender("ratings")
    reader = consumer(settings, None)
    partition = partitions_of(reader, "lists", settings)[0]
    for number, value in enumerate(_ratings(given.ratings), start=1):
        sender.send([Message(b"", value)])
        if number % _PART == 0:
            sender.flush()
            while reader.end_offsets([partition])[partition] < number:
                time.sleep(0.2)
            time.sleep(6)
            print(f"{number:,} ratings: checkpoint of {_checkpoint(cluster, job)[1]:,} bytes")
    start = time.monotonic()
    while time.monotonic() - start < given.idle_seconds:
        before = {name: _cpu_seconds(pid) for name, pid in cluster.processes().items()}
        time.sleep(30)
        after = {name: _cpu_seconds(pid) for name, pid in cluster.processes().items()}
        cpu = " ".join(f"{name} {(after[name] - before[name]) / 0.3:.1f}%" for name in before)
        size = _checkpoint(cluster, job)[1]
        print(
            f"idle {time.monotonic() - start:.0f} s: checkpoint of {size:,} bytes; {cpu}",
            flush=True,
        )
    return process


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
