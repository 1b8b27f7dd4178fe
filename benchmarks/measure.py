"""How fast a program is: what counts as its rate, and what does not.

From a topic: by the times at which the broker appended two records that the program sent, one
at a fifth of the way and one at the end. So neither its start counts, nor how it is reached.
With lists, these are lists. Where it only learns, they are marks: the input has two records
that are no ratings, which every program is to send on, ours as dead letters. Ours reads a
bundle before it learns it, so both of its marks come early, by a bundle.

From a file: the time that the whole input takes beyond its first lines, from the start of the
process to its end; so what a program pays once does not count.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from kafka import KafkaConsumer, TopicPartition
from kafka.admin import KafkaAdminClient

from benchmarks.programs import LIST, ROOT, Program
from cluster.flink_cluster import FlinkCluster

_SECONDS: Final = 300
_LEAVE_SECONDS: Final = 60
_CORE: Final = {1}


MARK: Final = b"a mark, and no rating"


class Topic(NamedTuple):
    """What a program reads.

    Attributes:
        broker: Where it is.
        name: The topic's name.
        answers: How many records a program sends in answer to all of it.
        warm: Which of the answers is the one at a fifth of the way, from 0 on.
        measured: How many ratings there are from there to the end.
    """

    broker: str
    name: str
    answers: int
    warm: int
    measured: int


class File(NamedTuple):
    """A file of ratings, another of its first lines, and how many lines each has."""

    path: Path
    lines: int
    start: Path
    start_lines: int


def add_flink_flag(parser: argparse.ArgumentParser) -> None:
    """Adds `--flink`; `dict` of its values is the argument `flink` of the functions below."""
    parser.add_argument(
        "--flink",
        type=_line_of_configuration,
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a line of Flink's configuration; may be repeated",
    )


def _line_of_configuration(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        msg = f"{text!r}, expected KEY=VALUE"
        raise argparse.ArgumentTypeError(msg)
    return key, value


def rate_from_topic(
    program: Program, python: str, mode: str, given: Topic, flink: Mapping[str, str]
) -> float:
    """Returns ratings a second; `flink` are further lines of Flink's configuration.

    Raises:
        RuntimeError: The program fails, or takes too long.
    """
    started = running(program, python, mode, given.broker, given.name, flink)
    with started as (target, process, log):
        _wait_for(given, target, process, log)
    times = _append_times(given.broker, target, (given.warm, given.answers - 1))
    return given.measured / (times[1] - times[0])


@contextlib.contextmanager
def running(
    program: Program,
    python: str,
    mode: str,
    broker: str,
    source: str,
    flink: Mapping[str, str] | None = None,
) -> Iterator[tuple[str, subprocess.Popen[bytes], Any]]:
    """Runs a program on its core; gives the new topic that it writes, its process and its log."""
    target = _new_topic(broker)
    with _surroundings(program, flink) as (more, folder), (folder / "log").open("w+b") as log:
        filled = {"broker": broker, "source": source, "target": target}
        process = subprocess.Popen(
            [*_command(program, python, mode, **filled), *more],
            # Faust and QuixStreams leave folders where they run.
            cwd=folder,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=_environment(),
        )
        try:
            yield target, process, log
        finally:
            _end(process, program)


def rate_from_file(program: Program, python: str, given: File) -> float:
    """Returns ratings a second.

    Raises:
        RuntimeError: The program fails, or takes too long.
    """
    if program.kind == "memory":
        count = min(given.lines, program.at_most)
        return float(_run(program, python, path=given.path, count=count))
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "lists.jsonl"
        seconds = []
        for path in (given.start, given.path):
            start = time.monotonic()
            _run(program, python, path=path, target=target)
            seconds.append(time.monotonic() - start)
    return (given.lines - given.start_lines) / (seconds[1] - seconds[0])


@contextlib.contextmanager
def _surroundings(
    program: Program, flink: Mapping[str, str] | None
) -> Iterator[tuple[list[str], Path]]:
    """A folder, and for Flink a cluster of one slot on the program's core."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if not program.flink:
            yield [], folder
            return
        cluster = FlinkCluster(folder / "flink", task_managers=1, properties=flink)
        try:
            with pinned(_CORE):
                cluster.start()
            yield cluster.flags(), folder
        finally:
            cluster.stop()


@contextlib.contextmanager
def pinned(cores: Collection[int]) -> Iterator[None]:
    """Gives these cores to this process and to those that are started meanwhile."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _command(program: Program, python: str, mode: str, **filled: object) -> list[str]:
    arguments = [argument.format(**filled) for argument in program.arguments[mode]]
    core = ",".join(map(str, _CORE))
    command = [python] if program.crate else [python, "-m", program.module]
    return ["taskset", "-c", core, *command, *arguments]


def _environment() -> dict[str, str]:
    one_thread = {"OPENBLAS_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
    return {**os.environ, **one_thread, "PYTHONPATH": str(ROOT)}


def _run(program: Program, python: str, **filled: object) -> str:
    done = subprocess.run(
        _command(program, python, LIST, **filled),
        cwd=ROOT,
        env=_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        msg = f"{program.module} failed: {done.stderr[-2000:]}"
        raise RuntimeError(msg)
    return done.stdout


def _new_topic(broker: str) -> str:
    target = f"lists-{time.monotonic_ns()}"
    admin = KafkaAdminClient(bootstrap_servers=broker)
    configs = {"message.timestamp.type": "LogAppendTime"}
    admin.create_topics({target: {"num_partitions": 1, "configs": configs}}, wait_for_metadata=True)
    admin.close()
    return target


def _end(process: subprocess.Popen[bytes], program: Program) -> None:
    if program.flink:
        leave(process)
    else:
        process.kill()
        process.wait()


def leave(process: subprocess.Popen[bytes]) -> None:
    """Ends a program that submitted a job: killed, it would leave its job server behind."""
    process.terminate()
    try:
        process.wait(timeout=_LEAVE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _wait_for(given: Topic, target: str, process: subprocess.Popen[bytes], log: Any) -> None:
    client = KafkaConsumer(bootstrap_servers=given.broker)
    partition = TopicPartition(target, 0)
    deadline = time.monotonic() + _SECONDS
    got = 0
    while got < given.answers:
        time.sleep(0.5)
        ended = process.poll() is not None
        got = client.end_offsets([partition])[partition]
        if got < given.answers and (ended or time.monotonic() > deadline):
            log.seek(0)
            tail = log.read()[-2000:].decode(errors="replace")
            msg = f"it gave {got} of {given.answers} answers: {tail}"
            raise RuntimeError(msg)
    client.close()


def _append_times(broker: str, topic: str, offsets: Sequence[int]) -> list[float]:
    client = KafkaConsumer(bootstrap_servers=broker, auto_offset_reset="earliest")
    partition = TopicPartition(topic, 0)
    client.assign([partition])
    times = []
    for offset in offsets:
        client.seek(partition, offset)
        records: list[Any] = []
        while not records:
            records = client.poll(1000, max_records=1).get(partition, [])
        times.append(records[0].timestamp / 1000)
    client.close()
    return times
