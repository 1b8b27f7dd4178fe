"""Lists of item shards beside those of one, through the whole program.

    python -m benchmarks.item_shards_in_pipeline --input data/ml-100k/u.data

runs the program with each number of item shards, first on the file in the order of time, then on a
topic of eight partitions that has the same ratings, keyed by user; `--only` chooses. A row has the
share of a user's positives that their last list had, beside that of one shard on the first input,
and whether all lists are to the byte those of the first number of shards on the same input.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import orjson

from benchmarks.item_shards import read_positives
from cluster.broker import Broker

_TOPIC: Final = "ratings"
_LEAST: Final = 3.0


def recall(lists: Path, chosen: dict[str, list[str]]) -> float:
    """Returns the share of positives, but users' first, that the list before them had.

    Args:
        lists: The program's output: for each positive of a user, in their order, a list.
        chosen: The items of each user's positives, in the same order.

    Raises:
        ValueError: A user has another number of lists than of positives.
    """
    hits = tests = 0
    seen: dict[str, int] = defaultdict(int)
    with lists.open("rb") as lines:
        for line in lines:
            record = orjson.loads(line)
            user = record["user"]
            seen[user] += 1
            following = chosen[user][seen[user] : seen[user] + 1]
            tests += len(following)
            hits += any(one["item"] == item for one in record["items"] for item in following)
    if seen != {user: len(items) for user, items in chosen.items()}:
        msg = f"{lists} has {sum(seen.values())} lists, expected one for each positive"
        raise ValueError(msg)
    return hits / tests


def _run(*arguments: object, module: str = "beam_pipeline") -> None:
    command = [sys.executable, "-m", module, *map(str, arguments)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        msg = f"{module} ended with exit code {done.returncode}: {done.stderr[-2000:]}"
        raise RuntimeError(msg)


def main(argv: Sequence[str]) -> int:
    """Prints a row for each input and number of shards; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--input", type=Path, required=True)
    parser.add_argument("--model", default="itemknn")
    parser.add_argument("--shards", nargs="+", type=int, default=[1, 2, 4, 8])
    parser.add_argument("--only", choices=("file", "topic"))
    parser.add_argument("--partitions", type=int, default=8)
    given = parser.parse_args(argv)
    chosen: dict[str, list[str]] = defaultdict(list)
    for rating in read_positives(given.input, _LEAST):
        chosen[rating.user].append(rating.item)
    print("| input | item shards | recall@10 | of one on the file | the same bytes as one |")
    print("|---|---:|---:|---:|---|")
    with tempfile.TemporaryDirectory() as folder:
        broker = Broker(Path(folder) / "kafka")
        broker.start()
        try:
            address = ("--kafka_bootstrap_servers", broker.address)
            source = ("--input", given.input, "--order_by_time")
            topic = ("--topic", _TOPIC, "--create_topics", "--partitions", given.partitions)
            _run(*source, *address, *topic, module="beam_pipeline.produce")
            inputs = {
                "file": source,
                f"{given.partitions} partitions": ("--input_topic", _TOPIC, *address),
            }
            if given.only:
                of_file = given.only == "file"
                inputs = {name: of for name, of in inputs.items() if (name == "file") == of_file}
            _rows(inputs, given, chosen, Path(folder) / "lists.json")
        finally:
            broker.stop()
    return 0


def _rows(
    inputs: dict[str, tuple[object, ...]],
    given: argparse.Namespace,
    chosen: dict[str, list[str]],
    output: Path,
) -> None:
    best = 0.0
    for name, flags in inputs.items():
        one = b""
        for count in given.shards:
            group = ("--stop_at_end", "--kafka_group", f"of-{count}")
            more = group if "--input_topic" in flags else ()
            _run(
                *flags,
                *more,
                f"--model={given.model}",
                f"--item_blocks={count}",
                f"--output={output}",
            )
            found = recall(output, chosen)
            digest = hashlib.sha256(output.read_bytes()).digest()
            best, one = best or found, one or digest
            same = "yes" if digest == one else "no"
            print(f"| {name} | {count} | {found:.4f} | {found / best:.4f} | {same} |", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
