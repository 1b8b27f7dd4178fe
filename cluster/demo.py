"""Kafka, Flink, the job and a producer, all at once: `python -m cluster.demo` until Ctrl-C.

Each step is printed as the command that does it, so that it can be repeated elsewhere.
"""

from __future__ import annotations

import argparse
import contextlib
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from beam_pipeline import sample
from beam_pipeline.port_flag import port_number
from cluster.broker import Broker
from cluster.flink_cluster import FlinkCluster
from transforms.formats.json_lines import decode_recommendation
from transforms.kafka.clients.factory import KafkaSettings, consumer, partitions_of, require_topics

_RATINGS: Final = "ratings"
_LISTS: Final = "recommendations"
_SECONDS_BETWEEN_LISTS: Final = 1.0


def main(argv: Sequence[str]) -> int:
    """Runs everything; `--lists N` ends it after so many lists were shown."""
    parser = argparse.ArgumentParser(prog="python -m cluster.demo", description=__doc__)
    parser.add_argument("--lists", type=int, default=0, help="end after so many (default: never)")
    parser.add_argument(
        "--port", type=port_number, default=8081, help="of Flink's web UI (default: 8081)"
    )
    parser.add_argument("--rate", type=int, default=100, help="ratings a second (default: 100)")
    given = parser.parse_args(argv)
    folder = Path(tempfile.mkdtemp(prefix="flurs-beam-demo-"))
    try:
        with contextlib.ExitStack() as stack:
            _run(stack, folder, given)
    except KeyboardInterrupt:
        _say("taking everything down")
    except RuntimeError as e:
        print(f"error: {e}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


def _run(stack: contextlib.ExitStack, folder: Path, given: argparse.Namespace) -> None:
    _say("a Kafka broker (python -m cluster.broker), and two topics")
    broker = Broker(folder / "kafka")
    stack.callback(broker.stop)
    broker.start()
    settings = KafkaSettings(broker.address)
    require_topics(settings, {_RATINGS: 2, _LISTS: 1}, create=True)
    _say("a Flink cluster of a JobManager, two TaskManagers and Beam's Python workers")
    _say("(python -m cluster.flink_cluster)")
    cluster = FlinkCluster(folder / "flink", task_managers=2, port=given.port)
    stack.callback(cluster.stop)
    cluster.start()
    _say(f"Flink's web UI: http://{cluster.address}   logs: {folder}")
    where = ["--kafka_bootstrap_servers", broker.address]
    _start(
        stack,
        folder,
        "beam_pipeline",
        [
            *cluster.flags(),
            *(*where, "--input_topic", _RATINGS, "--output_topic", _LISTS),
            *("--parallelism=2", "--replicas=2"),
        ],
    )
    cluster.wait_for_job()
    _start(
        stack,
        folder,
        "beam_pipeline.produce",
        ["--input", str(sample.PATH), *where, "--topic", _RATINGS, "--rate", str(given.rate)],
    )
    _say("lists, as they come; Ctrl-C takes everything down")
    for number, line in enumerate(lists(settings, cluster, broker), start=1):
        print(line, flush=True)
        if number == given.lists:
            return


def _start(
    stack: contextlib.ExitStack, folder: Path, module: str, arguments: Sequence[str]
) -> None:
    command = [sys.executable, "-m", module, *arguments]
    _say(f"python {shlex.join(command[1:])}")
    log = stack.enter_context((folder / f"{module}.log").open("wb"))
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    stack.callback(_end, process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Lets it end its own processes first, such as Beam's job server."""
    process.terminate()
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def lists(settings: KafkaSettings, cluster: FlinkCluster, broker: Broker) -> Iterator[str]:
    """Yields a list now and then, as a line of text; never ends by itself.

    Meanwhile a part of the cluster that has ended is started again, as an operator of one does.

    Raises:
        RuntimeError: The broker has ended, whose records are gone with it.
    """
    client = consumer(settings, None)
    partitions = partitions_of(client, _LISTS, settings)
    for partition, first in client.beginning_offsets(partitions).items():
        client.seek(partition, first)
    shown = 0.0
    try:
        while True:
            if broker.has_ended():
                msg = "Kafka has ended by itself; start the demo again"
                raise RuntimeError(msg)
            for line in cluster.replace_dead():
                _say(line)
            for records in client.poll(0.5).records.values():
                if time.monotonic() - shown < _SECONDS_BETWEEN_LISTS:
                    continue
                shown = time.monotonic()
                answer = decode_recommendation(records.values[-1] or b"")
                names = "  ".join(item for item, _ in answer.items)
                yield f"{answer.origin:14} {answer.user}: {names}"
    finally:
        client.close()


def _say(text: str) -> None:
    print(f"\033[1m{text}\033[0m", file=sys.stderr, flush=True)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main(sys.argv[1:]))
