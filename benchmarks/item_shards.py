"""What item shards do to a model's lists, and what one of them costs beside one alone.

    python -m benchmarks.item_shards --input data/ml-100k/u.data --models itemknn mf

learns the positives of a file of MovieLens in the order of their times, in a plain loop over the
shards. A row has recall@10 of prequential evaluation over the merged items; the share of merged
lists that are those of one shard to the bit; and of one shard, as a ratio to a single one of the
same run, CPU time of learning, of listing, of an evaluated rating, and bytes of its snapshot.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

from transforms.evaluation.observer import PreUpdateObserver
from transforms.formats.records import Rating, Recommendation
from transforms.learning.shard import Learned, learn
from transforms.learning.snapshot_codec import encode
from transforms.learning.warm_up import warm_up
from transforms.recommenders.hashing import Block
from transforms.recommenders.recommender import Recommender
from transforms.recommenders.registry import RecommenderSpec
from transforms.sharding.parts import Part, merge, merge_tests

_TOP_N: Final = 10
_BATCH: Final = 500
_TESTED_AT_ONCE: Final = 50

T = TypeVar("T")


class _Run(NamedTuple):
    recall: float
    lists: list[Recommendation]
    learning: float
    listing: float
    testing: float
    state: float


def read_positives(path: Path, least: float) -> list[Rating]:
    """Returns the ratings of a file of MovieLens that are high enough, by time."""
    rows = [line.split("\t") for line in path.read_text().splitlines()]
    ratings = [
        Rating(user, item, float(value), float(at), f"u.data:{number}")
        for number, (user, item, value, at) in enumerate(rows, start=1)
    ]
    return sorted((one for one in ratings if one.rating >= least), key=lambda one: one.timestamp)


def _shards(spec: RecommenderSpec, count: int, *, tested: bool = False) -> list[Recommender]:
    return [spec.build(Block(number, count, tested)) for number in range(count)]


def _seconds(work: Callable[[], T]) -> tuple[float, T]:
    start = time.process_time()
    done = work()
    return time.process_time() - start, done


def _recall(spec: RecommenderSpec, count: int, ratings: Sequence[Rating]) -> tuple[float, float]:
    """Returns recall, and the seconds that one shard and merging took."""
    shards = _shards(spec, count, tested=True)
    hits = tests = 0
    seconds = 0.0
    for start in range(0, len(ratings), _TESTED_AT_ONCE):
        batch = ratings[start : start + _TESTED_AT_ONCE]
        parts = []
        for number, shard in enumerate(shards):
            observer = PreUpdateObserver(_TOP_N)
            took, _ = _seconds(lambda: learn(shard, batch, 0, observer=observer))  # noqa: B023
            seconds += took / count
            scores, standings = observer.scores, observer.standings
            parts.append(Part(1, number, [], observer.ratings, scores, standings=standings))
        took, merged = _seconds(lambda: merge_tests(parts, _TOP_N, spec.model))  # noqa: B023
        seconds += took
        ranks = [one.rank for one in merged.evaluations]
        hits += sum(rank is not None and rank <= _TOP_N for rank in ranks)
        tests += len(ranks)
    return hits / tests, seconds


def _lists(
    shards: Sequence[Recommender], ratings: Sequence[Rating], top_n: int
) -> tuple[float, list[Recommendation]]:
    """Returns the seconds that one shard took, and the merged lists."""
    lists: list[Recommendation] = []
    seconds = 0.0
    for start in range(0, len(ratings), _BATCH):
        batch = ratings[start : start + _BATCH]
        done: list[Learned] = []
        for shard in shards:
            took, learned = _seconds(lambda: learn(shard, batch, top_n))  # noqa: B023
            seconds += took / len(shards)
            done.append(learned)
        parts = [
            Part(1, number, one.recommendations, places=one.places)
            for number, one in enumerate(done)
        ]
        lists += merge(parts, top_n).recommendations
    return seconds, lists


def _run(spec: RecommenderSpec, count: int, ratings: Sequence[Rating]) -> _Run:
    shards = _shards(spec, count)
    learning, _ = _lists(shards, ratings, 0)
    state = sum(len(encode(spec, 1, one.state_dict(), one.block)) for one in shards) / count
    both, lists = _lists(_shards(spec, count), ratings, _TOP_N)
    recall, testing = _recall(spec, count, ratings)
    return _Run(recall, lists, learning, both - learning, testing, state)


def _same(lists: Sequence[Recommendation], others: Sequence[Recommendation]) -> float:
    pairs = zip(lists, others, strict=True)
    return sum(list(a.items) == list(b.items) for a, b in pairs) / len(lists)


def main(argv: Sequence[str]) -> int:
    """Prints a row for each model and number of shards; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.item_shards")
    parser.add_argument("--input", type=Path, required=True)
    parser.add_argument("--least", type=float, default=3.0)
    parser.add_argument("--models", nargs="+", default=["itemknn"])
    parser.add_argument("--shards", nargs="+", type=int, default=[1, 2, 4, 8])
    parser.add_argument("--repeats", default="auto")
    parser.add_argument("--first", type=int, help="how many positives; all if it is left out")
    known = parser.parse_args(argv)
    ratings = read_positives(known.input, known.least)[: known.first]
    print("| model | shards | recall@10 | same lists | learning | listing | testing | state |")
    print("|---|---|---|---|---|---|---|---|")
    for model in known.models:
        spec = RecommenderSpec(model, repeats=known.repeats)
        warm_up(spec)
        one = _run(spec, 1, ratings)
        for count in known.shards:
            run = one if count == 1 else _run(spec, count, ratings)
            ratios = (
                run.learning / one.learning,
                run.listing / one.listing,
                run.testing / one.testing,
                run.state / one.state,
            )
            cells = " | ".join(f"{ratio:.2f}" for ratio in ratios)
            same = _same(run.lists, one.lists)
            print(f"| {model} | {count} | {run.recall:.4f} | {same:.4f} | {cells} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
