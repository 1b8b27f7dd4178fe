"""How fast a program is: what counts as its rate, and what does not.

Lists: by the times at which the broker appended them, from the one at a fifth of the way to the
last. So neither its start counts, nor how it is reached, nor the first batch, which some
programs have read and learned before their first list goes out.

Learning only, and files: the time that a long input takes beyond a short one, from the start of
the process to its end. What a program pays once, it pays in both.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from kafka import KafkaConsumer, TopicPartition
from kafka.admin import KafkaAdminClient

from benchmarks.programs import Program
from cluster.flink_cluster import FlinkCluster

_SECONDS: Final = 300
_WARM: Final = 0.2
_ROOT: Final = Path(__file__).resolve().parent.parent
_CORE: Final = {1}


class Input(NamedTuple):
    """A long and a short topic of ratings, and the same as files.

    Attributes:
        broker: Where the topics are.
        long: Topic and file name of the long one, and how many ratings it has.
        short: The same of the short one.
        lists: How many lists the long one gives.
        folder: Where the files are.
    """

    broker: str
    long: tuple[str, int]
    short: tuple[str, int]
    lists: int
    folder: Path


def rate(name: str, program: Program, python: str, mode: str, given: Input) -> float:
    """Returns ratings a second.

    Raises:
        RuntimeError: The program fails, or takes too long.
    """
    if program.kind == "memory":
        count = min(given.long[1], program.at_most) if mode == "list" else given.long[1]
        path = given.folder / given.long[0]
        return float(_run(program, python, mode, path=path, count=count))
    if program.kind == "topic" and mode == "list":
        return _rate_of_lists(name, program, python, given)
    seconds = [_whole_run(program, python, mode, given, which) for which in given[1:3]]
    return (given.long[1] - given.short[1]) / (seconds[0] - seconds[1])


def _whole_run(
    program: Program, python: str, mode: str, given: Input, which: tuple[str, int]
) -> float:
    source, count = which
    with _surroundings(program) as (more, folder):
        target = str(folder / "lists.jsonl") if program.kind == "file" else _new_topic(given.broker)
        start = time.monotonic()
        _run(
            program,
            python,
            mode,
            *more,
            broker=given.broker,
            source=source,
            target=target,
            path=given.folder / source,
            count=count,
        )
        return time.monotonic() - start


def _rate_of_lists(name: str, program: Program, python: str, given: Input) -> float:
    target = _new_topic(given.broker)
    source, count = given.long
    with _surroundings(program) as (more, folder):
        command = _command(
            program,
            python,
            "list",
            *more,
            broker=given.broker,
            source=source,
            target=target,
            count=count,
        )
        with (folder / "log").open("w+b") as log:
            process = subprocess.Popen(
                command, cwd=_ROOT, stdout=log, stderr=subprocess.STDOUT, env=_environment()
            )
            try:
                _wait_for(given.broker, target, given.lists, name, process, log)
            finally:
                process.kill()
                process.wait()
    first = int(given.lists * _WARM)
    times = _append_times(given.broker, target, (first, given.lists - 1))
    return (given.lists - 1 - first) / given.lists * count / (times[1] - times[0])


@contextlib.contextmanager
def _surroundings(program: Program) -> Iterator[tuple[list[str], Path]]:
    """A folder, and for Flink a cluster of one slot on the program's core."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if not program.flink:
            yield [], folder
            return
        cluster = FlinkCluster(folder / "flink", task_managers=1)
        before = os.sched_getaffinity(0)
        # The cluster's processes inherit it.
        os.sched_setaffinity(0, _CORE)
        try:
            cluster.start()
            os.sched_setaffinity(0, before)
            yield cluster.flags(), folder
        finally:
            os.sched_setaffinity(0, before)
            cluster.stop()


def _command(program: Program, python: str, mode: str, *more: str, **filled: object) -> list[str]:
    arguments = [argument.format(**filled) for argument in program.arguments[mode]]
    core = ",".join(map(str, _CORE))
    return ["taskset", "-c", core, python, "-m", program.module, *arguments, *more]


def _environment() -> dict[str, str]:
    one_thread = {"OPENBLAS_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
    return {**os.environ, **one_thread, "PYTHONPATH": str(_ROOT)}


def _run(program: Program, python: str, mode: str, *more: str, **filled: object) -> str:
    try:
        done = subprocess.run(
            _command(program, python, mode, *more, **filled),
            cwd=_ROOT,
            env=_environment(),
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as e:
        msg = f"{program.module} did not end in {_SECONDS} s"
        raise RuntimeError(msg) from e
    # Faust ends by a signal that it sends itself.
    if done.returncode > 0:
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


def _wait_for(
    broker: str, topic: str, count: int, name: str, process: subprocess.Popen[bytes], log: Any
) -> None:
    client = KafkaConsumer(bootstrap_servers=broker)
    partition = TopicPartition(topic, 0)
    deadline = time.monotonic() + _SECONDS
    got = 0
    while got < count:
        got = client.end_offsets([partition])[partition]
        ended = process.poll() is not None and got < count
        if ended or time.monotonic() > deadline:
            log.seek(0)
            tail = log.read()[-2000:].decode(errors="replace")
            msg = f"{name} gave {got} of {count} lists: {tail}"
            raise RuntimeError(msg)
        time.sleep(0.5)
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
