"""What an endless job on a local runner does to memory, and how it stops.

    python -m benchmarks.direct_soak --minutes 30 --rate 1000

starts a broker and the program, sends ratings at that rate, samples resident memory, and after that
time sends SIGTERM amid the stream. Then it checks the exit code and the summary against what was
sent, and prints the slope of memory after the first third of the time. Users and items are so few
that the model has seen each pair by then: what grows afterwards is a leak.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from cluster.broker import Broker
from transforms.kafka.clients.factory import (
    KafkaSettings,
    consumer,
    partitions_of,
    producer,
    require_topics,
)
from transforms.kafka.clients.protocols import Message

_USERS: Final = 100
_ITEMS: Final = 200
_FILTERED_EVERY: Final = 10
_DEAD_EVERY: Final = 1000
_SLICE_SECONDS: Final = 0.02
_SAMPLE_SECONDS: Final = 5.0
_STOP_SECONDS: Final = 10.0
_LEAVE_SECONDS: Final = 120
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_MIB: Final = 1 << 20
# The broker forgets what is old, as a long run would fill the disk.
_RETENTION: Final = (
    "log.retention.bytes=200000000",
    "log.segment.bytes=20000000",
    "log.retention.check.interval.ms=10000",
)


class Sample(NamedTuple):
    """Resident memory at a moment, in bytes.

    Attributes:
        seconds: Since the start.
        program: Of the program itself.
        children: Of the processes that it started, such as Prism.
    """

    seconds: float
    program: int
    children: int


class Sending(threading.Thread):
    """Sends ratings to a topic at a rate, until told to stop."""

    def __init__(self, settings: KafkaSettings, topic: str, rate: float) -> None:
        super().__init__(daemon=True)
        self.sent = 0
        self._client = producer(settings)
        self._sender = self._client.sender(topic)
        self._rate = rate
        self._enough = threading.Event()

    def run(self) -> None:
        """Sends what is due, each fiftieth of a second."""
        start = time.monotonic()
        while not self._enough.wait(_SLICE_SECONDS):
            due = int((time.monotonic() - start) * self._rate)
            self._sender.send([Message(b"", record(at)) for at in range(self.sent, due)])
            self.sent = due

    def stop(self) -> None:
        """Returns when all that was sent is at the broker."""
        self._enough.set()
        self.join()
        self._sender.flush()
        self._client.close()


def record(number: int) -> bytes:
    """Returns a rating: each tenth is too low to be learned, each thousandth is none at all."""
    if number % _DEAD_EVERY == 0:
        return b"no rating"
    drawn = number * 7919 % (_USERS * _ITEMS)
    rating = 1 if number % _FILTERED_EVERY == 1 else 5
    return b'{"user": %d, "item": %d, "rating": %d, "timestamp": %d}' % (
        *divmod(drawn, _ITEMS),
        rating,
        number,
    )


def expected_line(read: int) -> str:
    """Returns how the summary of a run that read so many records begins."""
    dead = -(-read // _DEAD_EVERY)
    filtered = -((1 - read) // _FILTERED_EVERY) if read else 0
    return f"read={read} positives={read - filtered - dead} filtered={filtered} dead={dead} "


def slope(samples: Sequence[Sample]) -> float:
    """Returns how fast the program's memory grows, in bytes an hour (least squares)."""
    times, sizes = [one.seconds for one in samples], [one.program for one in samples]
    return float(np.polyfit(times, sizes, 1)[0] * 3600)


def main(argv: Sequence[str]) -> int:
    """Prints a line now and then, and the outcome; 1 if the program did not do as it should."""
    logging.getLogger("kafka").setLevel(logging.ERROR)
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--rate", type=float, default=1000.0, help="ratings a second")
    parser.add_argument("--runner", default="FnApiRunner", help="or PrismRunner, DirectRunner")
    parser.epilog = "What follows -- goes to the program."
    own, _, further = _halves(argv)
    given = parser.parse_args(own)
    with tempfile.TemporaryDirectory() as folder:
        broker = Broker(Path(folder) / "kafka", properties=_RETENTION)
        try:
            broker.start()
            return _soak(broker, Path(folder) / "log", given, further)
        finally:
            broker.stop()


def _halves(argv: Sequence[str]) -> tuple[Sequence[str], str, Sequence[str]]:
    at = argv.index("--") if "--" in argv else len(argv)
    return argv[:at], "--", argv[at + 1 :]


def _soak(broker: Broker, log: Path, given: argparse.Namespace, further: Sequence[str]) -> int:
    settings = KafkaSettings(broker.address)
    require_topics(settings, {"ratings": 1, "lists": 1}, create=True)
    command = [sys.executable, "-m", "beam_pipeline", "--runner", given.runner]
    command += ["--kafka_bootstrap_servers", broker.address]
    command += ["--input_topic=ratings", "--output_topic=lists", *further]
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)
    sending = Sending(settings, "ratings", given.rate)
    sending.start()
    try:
        samples = _watch(process, sending, given.minutes * 60)
        sent = sending.sent
        stop = time.monotonic()
        process.send_signal(signal.SIGTERM)
        code = process.wait(timeout=_LEAVE_SECONDS)
        seconds = time.monotonic() - stop
    finally:
        process.kill()
        process.wait()
        sending.stop()
    return _judge(log.read_text(), code, seconds, sent, samples, _count(settings, "lists"))


def _watch(process: subprocess.Popen[bytes], sending: Sending, seconds: float) -> list[Sample]:
    samples: list[Sample] = []
    start, told = time.monotonic(), 0.0
    while (now := time.monotonic() - start) < seconds and process.poll() is None:
        program, children = _resident(process.pid), sum(map(_resident, _children(process.pid)))
        samples.append(Sample(now, program, children))
        if now - told >= seconds / 30:
            told = now
            print(
                f"{now:6.0f} s: {program / _MIB:.1f} MiB, children {children / _MIB:.1f} MiB,"
                f" {sending.sent:,} sent",
                flush=True,
            )
        time.sleep(_SAMPLE_SECONDS)
    return samples


def _judge(
    log: str, code: int, seconds: float, sent: int, samples: list[Sample], lists: int
) -> int:
    last = log.splitlines()[-1] if log else ""
    found = dict(pair.split("=") for pair in last.split() if "=" in pair)
    read, positives = int(found.get("read", -1)), int(found.get("positives", -1))
    late = [one for one in samples if one.seconds > samples[-1].seconds / 3]
    print(log)
    print(
        f"exit code {code}, {seconds:.1f} s after SIGTERM; {max(0, sent - read):,} ratings behind"
    )
    print(
        f"memory after warm-up: from {late[0].program / _MIB:.1f} to"
        f" {late[-1].program / _MIB:.1f} MiB, {slope(late) / _MIB:+.1f} MiB an hour;"
        f" children from {late[0].children / _MIB:.1f} to {late[-1].children / _MIB:.1f} MiB"
    )
    right = last.startswith(expected_line(read)) and positives == lists and code == 0
    print(f"{lists:,} lists; the summary is {'right' if right else 'WRONG'}")
    return 0 if right and seconds <= _STOP_SECONDS else 1


def _count(settings: KafkaSettings, topic: str) -> int:
    client = consumer(settings, None)
    (partition,) = partitions_of(client, topic, settings)
    end: int = client.end_offsets([partition])[partition]
    client.close()
    return end


def _resident(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
    except OSError:
        return 0


def _children(pid: int) -> list[int]:
    try:
        return [
            int(child)
            for tasks in Path(f"/proc/{pid}/task").glob("*/children")
            for child in tasks.read_text().split()
        ]
    except OSError:
        return []


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
