"""From a rating's arrival at the broker to its list's, at a given rate.

    python -m benchmarks.latency --rate 24000

sends ratings at that rate, those of `benchmarks.against_rivals` again and again, and prints
percentiles of the time between the broker's timestamps of each rating of 3 or more and of its list,
of all and of each minute. Half a minute before that is left out: Flink's JVMs compile meanwhile.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from benchmarks.against_rivals import Row, message, movielens_like
from benchmarks.measure import add_flink_flag, running
from benchmarks.programs import LIST, OURS_BY_TOPIC, PROGRAMS, environment_of
from benchmarks.rivals.flurs_loop import MIN_RATING
from benchmarks.topics import records_of, send_at, wait_for
from cluster.broker import Broker
from transforms.kafka.clients.factory import KafkaSettings, producer, require_topics
from transforms.kafka.clients.protocols import Message

_SOURCE: Final = "ratings"
_WARM_SECONDS: Final = 30
_DIFFERENT: Final = 1_000_000


def main(argv: Sequence[str]) -> int:
    """Prints a line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--program", choices=OURS_BY_TOPIC, default="ours, Flink, librdkafka")
    parser.add_argument("--rate", type=int, default=10_000, help="ratings a second")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument(
        "--slice_ms", type=float, default=10, help="milliseconds of ratings that are sent at once"
    )
    add_flink_flag(parser)
    given = parser.parse_args(argv)
    program = PROGRAMS[given.program]
    python = environment_of(given.program, program)
    with tempfile.TemporaryDirectory() as folder:
        broker = Broker(Path(folder) / "kafka")
        broker.start()
        try:
            settings = KafkaSettings(broker.address, client="librdkafka")
            require_topics(settings, {_SOURCE: 1}, create=True)
            started = running(program, python, LIST, broker.address, _SOURCE, dict(given.flink))
            with started as (target, _, _):
                slices = given.slice_ms / 1e3
                waits = _waits(settings, target, given.rate, given.seconds, slices)
        finally:
            broker.stop()
    print(f"{given.program}, {given.rate:,} ratings/s: {_said(waits.waited)}")
    minutes = (waits.arrived - waits.arrived.min()) // 60_000
    for minute in range(int(minutes.max()) + 1):
        print(f"  minute {minute + 1}: {_said(waits.waited[minutes == minute])}")
    return 0


class _Waits(NamedTuple):
    """When ratings reached the broker, and how long after that their lists did.

    Attributes:
        arrived: Milliseconds since the epoch, shape (lists,).
        waited: Milliseconds, shape (lists,).
    """

    arrived: NDArray[np.int64]
    waited: NDArray[np.int64]


def _said(waited: NDArray[np.int64]) -> str:
    middle, late, worst = np.percentile(waited, [50, 99, 100])
    return f"p50 {middle:.0f} ms, p99 {late:.0f} ms, at most {worst:.0f} ms, {len(waited):,} lists"


def _waits(
    settings: KafkaSettings, target: str, rate: int, seconds: int, slice_seconds: float
) -> _Waits:
    client = producer(settings)
    sender = client.sender(_SOURCE)
    count = rate * (_WARM_SECONDS + seconds)
    # One that gets a list, so that the program is known to run.
    sender.send([message((1, 1, 5, 0))])
    sender.flush()
    wait_for(settings, target, 1)
    rows = movielens_like(_DIFFERENT)
    later = _repeated(rows)

    def messages(sent: int, due: int) -> Sequence[Message]:
        return list(map(message, itertools.islice(later, due - sent)))

    send_at(sender, rate, count, messages, slice_seconds)
    client.close()
    values = np.array([value for _, _, value, _ in rows])
    is_listed = np.concatenate([[True], np.resize(values, count) >= MIN_RATING])
    lists = int(is_listed.sum())
    wait_for(settings, target, lists)
    arrived = np.zeros(1 + count, dtype=np.int64)
    for _, some in records_of(settings, _SOURCE, 1 + count):
        arrived[some.offsets] = some.timestamps
    listed = np.zeros(1 + count, dtype=np.int64)
    for _, some in records_of(settings, target, lists):
        listed[list(map(_offset, some.values))] = some.timestamps
    counts = is_listed & (np.arange(1 + count) > _WARM_SECONDS * rate)
    return _Waits(arrived[counts], (listed - arrived)[counts])


def _repeated(rows: Sequence[Row]) -> Iterator[Row]:
    """Yields rows again and again, as time goes on."""
    for later in itertools.count(step=len(rows)):
        yield from ((user, item, value, time + later) for user, item, value, time in rows)


def _offset(value: bytes | None) -> int:
    """Returns the offset of the rating that a list follows."""
    return int(orjson.loads(value or b"")["origin"].rsplit("-", 1)[1])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
