"""What a hot partition, a hot user and a hot item do to the latency of all others.

    python -m benchmarks.skew --rate 4000

sends ratings to eight partitions: evenly; with one partition that has ten times the rate of each
other one; with a fifth of all ratings from one user; and with a fifth of them of one item. The
others' rate is the same in each case, so what is hot comes on top. It prints percentiles of the
time between the broker's timestamps of each rating and of its list, of what is not hot and of what
is.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from benchmarks.against_rivals import message, movielens_like
from benchmarks.measure import running
from benchmarks.programs import LIST, OURS_BY_TOPIC, PROGRAMS, environment_of
from benchmarks.topics import records_of, send_at, wait_for
from cluster.broker import Broker
from transforms.kafka.clients.factory import (
    KafkaSettings,
    producer,
    require_topics,
)
from transforms.kafka.clients.protocols import Message

_PARTITIONS: Final = 8
_TIMES: Final = 10
_FIFTH: Final = 0.25
"""As much beside the others' ratings is a fifth of all."""

_HOT: Final = 999_999
_WARM_SECONDS: Final = 20


class _Case(NamedTuple):
    """A kind of skew.

    Attributes:
        share: Ratings that come on top of the others', for each of these.
        hot: Makes a hot rating of one of the others'.
    """

    share: float
    hot: Callable[[Message], Message]


def _of(**changed: int) -> Callable[[Message], Message]:
    def make(other: Message) -> Message:
        value = orjson.dumps({**orjson.loads(other.value), **changed})
        key = b"%d" % changed["user"] if "user" in changed else other.key
        return Message(key, value)

    return make


_CASES: Final = {
    "even": _Case(0.0, lambda other: other),
    # The key alone chooses the partition; users and items are like the others'.
    "partition": _Case((_TIMES - 1) / _PARTITIONS, lambda other: Message(b"hot", other.value)),
    "user": _Case(_FIFTH, _of(user=_HOT)),
    "item": _Case(_FIFTH, _of(item=_HOT)),
}


def main(argv: Sequence[str]) -> int:
    """Prints a row for each case."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--program", choices=OURS_BY_TOPIC, default="ours, itemknn, librdkafka")
    parser.add_argument("--rate", type=int, default=4_000, help="the others' ratings a second")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--only", nargs="+", choices=_CASES, default=list(_CASES))
    given = parser.parse_args(argv)
    print("| hot | ratings/s | others: p50, p99, ms | hot: p50, p99, ms |")
    print("|---|---:|---:|---:|")
    for name in given.only:
        case = _CASES[name]
        waited, hot = _waits(case, given)
        said = _said(waited[hot]) if hot.any() else ""
        rate = given.rate * (1 + case.share)
        print(f"| {name} | {rate:,.0f} | {_said(waited[~hot])} | {said} |", flush=True)
    return 0


def _said(waited: NDArray[np.int64]) -> str:
    middle, late = np.percentile(waited, [50, 99])
    return f"{middle:.0f}, {late:.0f}"


def _waits(case: _Case, given: argparse.Namespace) -> tuple[NDArray[np.int64], NDArray[np.bool]]:
    """Returns milliseconds from each rating to its list, and which ratings were hot."""
    program = PROGRAMS[given.program]
    python = environment_of(given.program, program)
    with tempfile.TemporaryDirectory() as folder:
        broker = Broker(Path(folder) / "kafka")
        broker.start()
        try:
            settings = KafkaSettings(broker.address, client="librdkafka")
            require_topics(settings, {"ratings": _PARTITIONS}, create=True)
            with running(program, python, LIST, broker.address, "ratings") as (target, _, _):
                sent, start = _send(settings, case, given.rate, given.seconds, target)
                wait_for(settings, target, sent)
                return _measured(settings, target, sent, start)
        finally:
            broker.stop()


def _send(
    settings: KafkaSettings, case: _Case, rate: int, seconds: int, target: str
) -> tuple[int, float]:
    """Returns how many ratings were sent, and the epoch's milliseconds from which they count."""
    rows = [(user, item, 5, at) for user, item, _, at in movielens_like(200_000)]
    client = producer(settings)
    sender = client.sender("ratings")
    sender.send([message(rows[0])])
    sender.flush()
    wait_for(settings, target, 1)
    counted = (time.time() + _WARM_SECONDS) * 1e3
    count = rate * (_WARM_SECONDS + seconds)

    def due_from(sent: int, due: int) -> list[Message]:
        others = [message(rows[at % len(rows)]) for at in range(sent, due)]
        # As many of the latest, again from the first where they are more.
        on_top = range(int(sent * case.share), int(due * case.share))
        return others + [case.hot(message(rows[at % len(rows)])) for at in on_top]

    send_at(sender, rate, count, due_from)
    client.close()
    return count + int(count * case.share) + 1, counted


def _measured(
    settings: KafkaSettings, target: str, count: int, start: float
) -> tuple[NDArray[np.int64], NDArray[np.bool]]:
    arrived: dict[tuple[int, int], tuple[int, bool]] = {}
    hot_partition = -1
    sizes = np.zeros(_PARTITIONS, dtype=np.int64)
    for partition, some in records_of(settings, "ratings", count):
        sizes[partition] += len(some.offsets)
        for offset, at, value in zip(some.offsets, some.timestamps, some.values, strict=True):
            record = orjson.loads(value or b"")
            arrived[partition, offset] = at, _HOT in (record["user"], record["item"])
    # Of even partitions none has twice the mean of the others.
    if sizes.max() > sizes.sum() / 2:
        hot_partition = int(sizes.argmax())
    waited, is_hot = [], []
    for _, some in records_of(settings, target, count):
        for at, value in zip(some.timestamps, some.values, strict=True):
            _, partition, offset = orjson.loads(value or b"")["origin"].rsplit("-", 2)
            since, hot = arrived[int(partition), int(offset)]
            if since >= start:
                waited.append(at - since)
                is_hot.append(hot or int(partition) == hot_partition)
    return np.array(waited), np.array(is_hot, dtype=np.bool)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
