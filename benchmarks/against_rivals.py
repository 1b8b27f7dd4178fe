"""Events a second from topic to topic, ours and the rivals', in one run and in turn.

    python -m benchmarks.against_rivals --rounds 3

starts a broker, fills a topic with 100,000 ratings of MovieLens' shape as the blog post's JSON,
and gives it to each program in turn: learn each rating of 3 or more, send the user's top-10.
A program has one core, the broker the other. Its rate is 100,000 over the time between its first
and its last list, by the broker's clock, so nobody's start counts.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from kafka import KafkaConsumer, TopicPartition
from kafka.admin import KafkaAdminClient

from cluster.broker import Broker
from cluster.maven import CACHE
from transforms.kafka.client import KafkaSettings, producer, require_topics
from transforms.kafka.protocols import Message

RATINGS: Final = 100_000
_USERS: Final = 943
_ITEMS: Final = 1682
_SHARES: Final = (0.061, 0.114, 0.271, 0.342, 0.212)
_SECONDS: Final = 180
_ROOT: Final = Path(__file__).resolve().parent.parent


class Program(NamedTuple):
    """A program under test.

    Attributes:
        module: Run as `python -m MODULE`.
        requirements: Of its own environment; empty for this one.
        arguments: A template with `{broker}`, `{source}` and `{target}`.
    """

    module: str
    requirements: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ("{broker}", "{source}", "{target}")


_FLURS: Final = ("flurs==0.0.5", "numpy==2.4.6")
PROGRAMS: Final = {
    "flurs-beam": Program(
        "beam_pipeline",
        (),
        (
            "--runner=FnApiRunner",
            "--kafka_bootstrap_servers={broker}",
            "--input_topic={source}",
            "--output_topic={target}",
        ),
    ),
    "faust": Program(
        "benchmarks.rivals.faust_app", (*_FLURS, "faust-streaming==0.15.3", "setuptools<81")
    ),
    "plain loop": Program(
        "benchmarks.rivals.plain_loop", (*_FLURS, "kafka-python[crc32c]==3.0.12")
    ),
}


def ratings() -> list[bytes]:
    """Ratings with MovieLens 100K's counts of users, items and values, as JSON."""
    random = np.random.default_rng(0)
    weights = 1 / np.arange(10, _ITEMS + 10)
    items = random.choice(_ITEMS, RATINGS, p=weights / weights.sum()) + 1
    users = random.integers(1, _USERS + 1, RATINGS)
    values = random.choice(5, RATINGS, p=_SHARES) + 1
    return [
        b'{"user": %d, "item": %d, "rating": %d.0, "timestamp": %d}' % (user, item, value, time)
        for time, (user, item, value) in enumerate(
            zip(users.tolist(), items.tolist(), values.tolist(), strict=True), start=881_250_949
        )
    ]


def python_of(name: str, program: Program) -> str:
    """Returns the interpreter of the program's environment, made if it is not there."""
    if not program.requirements:
        return sys.executable
    folder = CACHE / "benchmarks" / name.replace(" ", "-")
    python = folder / "bin" / "python"
    done = folder / "installed"
    if not done.exists():
        venv.create(folder, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-q", *program.requirements], check=True)
        done.touch()
    return str(python)


def measure(name: str, program: Program, broker: str, source: str, lists: int) -> float:
    """Runs the program once; returns its ratings a second."""
    target = f"lists-{name.replace(' ', '-')}-{time.monotonic_ns()}"
    admin = KafkaAdminClient(bootstrap_servers=broker)
    configs = {"message.timestamp.type": "LogAppendTime"}
    admin.create_topics({target: {"num_partitions": 1, "configs": configs}}, wait_for_metadata=True)
    admin.close()
    filled = {"broker": broker, "source": source, "target": target}
    command = [
        *("taskset", "-c", "1", python_of(name, program), "-m", program.module),
        *(argument.format(**filled) for argument in program.arguments),
    ]
    process = subprocess.Popen(
        command,
        cwd=_ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(_ROOT), "OPENBLAS_NUM_THREADS": "1"},
    )
    try:
        _wait_for(broker, target, lists, name)
    finally:
        process.kill()
        process.wait()
    first, last = _append_times(broker, target, lists)
    return RATINGS / (last - first)


def _wait_for(broker: str, topic: str, count: int, name: str) -> None:
    client = KafkaConsumer(bootstrap_servers=broker)
    partition = TopicPartition(topic, 0)
    deadline = time.monotonic() + _SECONDS
    while client.end_offsets([partition])[partition] < count:
        if time.monotonic() > deadline:
            got = client.end_offsets([partition])[partition]
            msg = f"{name} gave {got} of {count} lists in {_SECONDS} s"
            raise TimeoutError(msg)
        time.sleep(0.5)
    client.close()


def _append_times(broker: str, topic: str, count: int) -> tuple[float, float]:
    client = KafkaConsumer(bootstrap_servers=broker, auto_offset_reset="earliest")
    partition = TopicPartition(topic, 0)
    client.assign([partition])
    times = []
    for offset in (0, count - 1):
        client.seek(partition, offset)
        records: list[Any] = []
        while not records:
            records = client.poll(1000, max_records=1).get(partition, [])
        times.append(records[0].timestamp / 1000)
    client.close()
    return times[0], times[1]


def main(argv: Sequence[str]) -> int:
    """Prints a table of medians and of ratios to ours."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=tuple(PROGRAMS), default=tuple(PROGRAMS))
    arguments = parser.parse_args(argv)
    chosen = {name: PROGRAMS[name] for name in arguments.only}
    for name, program in chosen.items():
        python_of(name, program)
    rates: dict[str, list[float]] = {name: [] for name in chosen}
    with tempfile.TemporaryDirectory() as folder:
        broker = Broker(Path(folder))
        broker.start()
        try:
            _run(broker, chosen, arguments.rounds, rates)
        finally:
            broker.stop()
    print(f"{platform.machine()}, {os.cpu_count()} cores, CPython {platform.python_version()}")
    ours = statistics.median(rates["flurs-beam"]) if "flurs-beam" in rates else None
    for name, measured in rates.items():
        median = statistics.median(measured)
        spread = f"{min(measured):,.0f} to {max(measured):,.0f}"
        ratio = f"  ours is {ours / median:.2f}x" if ours else ""
        print(f"{name:12} {median:>9,.0f} events/s  ({spread}){ratio}")
    return 0


def _run(
    broker: Broker, chosen: dict[str, Program], rounds: int, rates: dict[str, list[float]]
) -> None:
    settings = KafkaSettings(broker.address)
    require_topics(settings, {"ratings": 1}, create=True)
    client = producer(settings)
    values = ratings()
    sender = client.sender("ratings")
    sender.send(Message(b"", value) for value in values)
    sender.flush()
    client.close()
    lists = sum(json.loads(value)["rating"] >= 3 for value in values)
    for number in range(rounds):
        for name, program in chosen.items():
            rate = measure(name, program, broker.address, "ratings", lists)
            rates[name].append(rate)
            print(f"round {number + 1}: {name} {rate:,.0f} events/s", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
