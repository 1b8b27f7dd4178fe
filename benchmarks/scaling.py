"""What a second slot on Flink gives on two cores.

    python -m benchmarks.scaling --rounds 3

runs the same job (`mf`, top-10 lists) of eight user shards with one slot and with two, in turn,
with a cluster of its own for each run, and prints ratings a second and ratios. With `--by
replicas` there is one user shard of as many replicas as slots: one model, learned by each. Cases:

- `1 slot on 1 core`: everything, the broker too, has one core. Two slots on two cores against
  this says how it scales: twice the slots on twice the machine.
- `1 slot on 2 cores`: nothing is pinned. The Python worker keeps to one core by its lock, the
  JVMs and the broker have the other. Two slots against this say what a second one brings to who
  has two cores anyhow: at most what one slot leaves unused.
- `2 slots on 2 cores`: two TaskManagers of one slot, and so two Python workers, as
  docs/operators.md has it.
- `2 slots of one TaskManager`: one Python worker for both. `..., 2 workers` is the same with
  `--sdk_worker_parallelism=2`; Beam deals steps, not slots, to workers, in the order in which
  they start, so the two halves of `Recommend` may still come to the same one.

Ways:

- `file`: eight files of JSON lines to a file of lists. Nothing but the job needs the cores. One
  slot reads and parses all files, which are one reader; lists, the larger part, are made by both.
- `topic`: a topic of eight partitions to another, by librdkafka. Both slots read four partitions,
  and the broker takes a fifth of a core from what is there to be gained.

A rate is of the lists between half of the way, as Flink's JVMs compile before that, and the end,
counted in the output ten times a second, times ratings read for each list. The line of each run
also says how many cores each process used over that time: where workers differ, so do slots.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from benchmarks.against_rivals import Row, fill, message, movielens_like
from benchmarks.measure import leave, pinned
from benchmarks.process_cores import CpuSeconds, cores_since, cpu_seconds, shown
from benchmarks.rivals.flurs_loop import MIN_RATING
from cluster.broker import Broker
from cluster.flink_cluster import FlinkCluster
from transforms.kafka.clients.factory import KafkaSettings, consumer, partitions_of, require_topics

_USER_SHARDS: Final = 8
_PARTS: Final = 8
_SOURCE: Final = "ratings"
_WARM: Final = 0.5
_SAMPLE_SECONDS: Final = 0.1
_SECONDS: Final = 300
_ROOT: Final = Path(__file__).resolve().parent.parent
_CORES: Final = 2


class Case(NamedTuple):
    """Where a job runs.

    Attributes:
        cores: How many cores all processes have, the broker's too.
        task_managers: How many there are.
        slots: Of each.
        workers: Python processes of each.
    """

    cores: int
    task_managers: int
    slots: int
    workers: int = 1

    @property
    def parallelism(self) -> int:
        """How many slots the job has."""
        return self.task_managers * self.slots


class Job(NamedTuple):
    """What is run.

    Attributes:
        model: Name of the recommender.
        by: `user_blocks` or `replicas`: what the slots divide.
    """

    model: str = "mf"
    by: str = "user_blocks"

    def flags(self, case: Case) -> list[str]:
        """Returns the flags that are not of the cluster or the input."""
        shards = _USER_SHARDS if self.by == "user_blocks" else case.parallelism
        return [
            f"--model={self.model}",
            f"--{self.by}={shards}",
            f"--parallelism={case.parallelism}",
            f"--sdk_worker_parallelism={case.workers}",
        ]


CASES: Final = {
    "1 slot on 1 core": Case(1, 1, 1),
    "1 slot on 2 cores": Case(_CORES, 1, 1),
    "2 slots on 2 cores": Case(_CORES, 2, 1),
    "2 slots of one TaskManager": Case(_CORES, 1, 2),
    "2 slots of one TaskManager, 2 workers": Case(_CORES, 1, 2, workers=2),
}
_USUAL: Final = tuple(CASES)[:3]

Count = Callable[[], int]


class _Topic:
    """A topic of ratings, and one more for the lists of each run."""

    def __init__(self, folder: Path, rows: Sequence[Row]) -> None:
        self._broker = Broker(folder / "kafka")
        self._settings = KafkaSettings(self._broker.address, client="librdkafka")
        self._broker.start()
        try:
            fill(self._settings, _SOURCE, rows, _PARTS)
        finally:
            self._broker.stop()

    @contextlib.contextmanager
    def open(self) -> Iterator[tuple[list[str], Count]]:
        """Gives the job's flags, and what counts its lists."""
        target = f"lists-{time.monotonic_ns()}"
        self._broker.start()
        try:
            require_topics(self._settings, {target: 1}, create=True)
            flags = [
                f"--kafka_bootstrap_servers={self._broker.address}",
                "--kafka_client=librdkafka",
                f"--kafka_group=bench-{target}",
                f"--input_topic={_SOURCE}",
                f"--output_topic={target}",
            ]
            with contextlib.closing(consumer(self._settings, None)) as client:
                (partition,) = partitions_of(client, target, self._settings)
                yield flags, lambda: client.end_offsets([partition])[partition]
        finally:
            self._broker.stop()


class _Files:
    """Files of ratings, and one for the lists of a run."""

    def __init__(self, folder: Path, rows: Sequence[Row]) -> None:
        self._folder = folder
        for part in range(_PARTS):
            lines = b"".join(message(row).value + b"\n" for row in rows[part::_PARTS])
            (folder / f"ratings-{part}.jsonl").write_bytes(lines)

    @contextlib.contextmanager
    def open(self) -> Iterator[tuple[list[str], Count]]:
        """Gives the job's flags, and what counts its lists."""
        target = self._folder / "lists.jsonl"
        target.write_bytes(b"")
        seen = 0
        with target.open("rb") as lists:

            def count() -> int:
                nonlocal seen
                seen += lists.read().count(b"\n")
                return seen

            yield [f"--input={self._folder}/ratings-*.jsonl", f"--output={target}"], count


_WAYS: Final[Mapping[str, type[_Files | _Topic]]] = {"file": _Files, "topic": _Topic}


class Measured(NamedTuple):
    """What a run gave.

    Attributes:
        rate: Lists a second.
        cores: How many cores each process used, by what it is.
    """

    rate: float
    cores: Mapping[str, list[float]]


def measure(case: Case, way: _Topic | _Files, lists: int, job: Job) -> Measured:
    """Runs a job until it has given so many lists.

    Raises:
        RuntimeError: The job fails, takes too long, or is over too soon to be timed.
    """
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as ends:
        folder = Path(name)
        with pinned(sorted(os.sched_getaffinity(0))[: case.cores]):
            flags, count = ends.enter_context(way.open())
            cluster = FlinkCluster(folder / "flink", case.task_managers, case.slots)
            ends.callback(cluster.stop)
            cluster.start()
            process = _submit([*cluster.flags(), *flags, *job.flags(case)], folder / "log")
        ends.callback(leave, process)
        return _follow(count, lists, process, folder / "log")


def _submit(flags: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "beam_pipeline", *flags]
    with log.open("wb") as file:
        return subprocess.Popen(command, cwd=_ROOT, stdout=file, stderr=subprocess.STDOUT)


def _follow(count: Count, lists: int, process: subprocess.Popen[bytes], log: Path) -> Measured:
    deadline = time.monotonic() + _SECONDS
    first: tuple[float, int] | None = None
    before: CpuSeconds = {}
    got = 0
    while got < lists:
        time.sleep(_SAMPLE_SECONDS)
        # A process that has ended by now has written everything.
        ended = process.poll() is not None
        now, got = time.monotonic(), count()
        if first is None and got >= lists * _WARM:
            first, before = (now, got), cpu_seconds()
        if got < lists and (ended or now > deadline):
            msg = f"it gave {got} of {lists} lists: {log.read_text(errors='replace')[-2000:]}"
            raise RuntimeError(msg)
    if first is None or first[1] >= lists:
        msg = f"all {lists} lists came at once: more ratings are needed"
        raise RuntimeError(msg)
    seconds = now - first[0]
    return Measured((got - first[1]) / seconds, cores_since(before, seconds))


def _line(case: str, rates: Mapping[str, Sequence[float]]) -> str:
    """A case's median rate, and how often those of cases with fewer slots are in it."""
    median = statistics.median(rates[case])
    text = f"{case}: {median:,.0f} ratings/s ({min(rates[case]):,.0f} to {max(rates[case]):,.0f})"
    ratios = [
        f", {median / statistics.median(each):.2f}x {other}"
        for other, each in rates.items()
        if CASES[other].parallelism < CASES[case].parallelism
    ]
    return text + "".join(ratios)


def main(argv: Sequence[str]) -> int:
    """Prints a line for each way and case; returns 1 if a run failed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--ways", nargs="+", choices=tuple(_WAYS), default=tuple(_WAYS))
    parser.add_argument("--cases", nargs="+", choices=tuple(CASES), default=_USUAL)
    parser.add_argument("--by", choices=("user_blocks", "replicas"), default=Job().by)
    parser.add_argument("--model", default=Job().model)
    parser.add_argument("--ratings", type=int, default=1_200_000)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args(argv)
    if len(os.sched_getaffinity(0)) < _CORES:
        parser.error(f"{_CORES} cores are needed")
    rows = movielens_like(given.ratings)
    lists = sum(row[2] >= MIN_RATING for row in rows)
    job = Job(given.model, given.by)
    failed = 0
    for kind in given.ways:
        rates: dict[str, list[float]] = {}
        with tempfile.TemporaryDirectory() as folder:
            way = _WAYS[kind](Path(folder), rows)
            for number, case in itertools.product(range(1, given.rounds + 1), given.cases):
                run = f"round {number}, {kind}, {case}"
                try:
                    got = measure(CASES[case], way, lists, job)
                except RuntimeError as e:
                    failed += 1
                    print(f"{run} failed: {e}", file=sys.stderr)
                    continue
                rate = got.rate * len(rows) / lists
                rates.setdefault(case, []).append(rate)
                print(f"{run}: {rate:,.0f} ratings/s; cores: {shown(got.cores)}", file=sys.stderr)
        for case in rates:
            print(f"{kind}, {_line(case, rates)}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
