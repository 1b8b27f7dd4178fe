"""What a rating costs one of R replicas of a user shard: microseconds of a core.

    python -m benchmarks.replicas --model itemknn

takes ratings of MovieLens' shape through what a replica does with each: decode it, learn it, and
for its share of the users make a list and encode it. The first half is not measured. Nothing is
read or sent; `benchmarks.stages` has those costs, and `benchmarks.capacity` puts all together.
"""

from __future__ import annotations

import argparse
import gc
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, TypeVar

from benchmarks.against_rivals import movielens_like
from benchmarks.rivals.flurs_loop import MIN_RATING
from transforms.batches import RatingBatch, RatingBatchCoder, RecommendationBatch
from transforms.formats.records import Rating
from transforms.kafka.sink import json_messages
from transforms.learning.shard import learn
from transforms.learning.warm_up import warm_up
from transforms.recommenders.registry import DEFAULT_MODEL, MODEL_NAMES, RecommenderSpec
from transforms.runtime import blas_threads
from transforms.shard_learner import LISTED_AT_ONCE
from transforms.sharding.config import Sharding
from transforms.sharding.keys import by_replica, split

T = TypeVar("T")

_REPLICAS: Final = (1, 2, 4, 8)
_BATCH: Final = 1_000


class _Clock:
    """CPU seconds of this process by name."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def of(self, name: str, work: Callable[[], T]) -> T:
        start = time.process_time()
        result = work()
        self.seconds[name] = self.seconds.get(name, 0.0) + time.process_time() - start
        return result


def _batches(ratings: Sequence[Rating], replicas: int) -> list[bytes]:
    """Returns what the first replica gets of each batch, encoded."""
    sharding = Sharding(replicas=replicas)
    coder = RatingBatchCoder()
    whole = [RatingBatch(list(ratings[at : at + _BATCH])) for at in range(0, len(ratings), _BATCH)]
    return [coder.encode(by_replica(batch, sharding)[0, 0]) for batch in whole]


def _costs(
    spec: RecommenderSpec, encoded: Sequence[bytes], ratings: int, replicas: int, top_n: int
) -> dict[str, float]:
    """Returns the microseconds of each step for each of the ratings of the second half."""
    recommender, coder, clock = spec.build(), RatingBatchCoder(), _Clock()
    for number, one in enumerate(encoded):
        if number == len(encoded) // 2:
            clock = _Clock()
        batch = clock.of("decode", partial(coder.decode, one))
        for part in split(batch, LISTED_AT_ONCE * replicas):
            work = partial(learn, recommender, part.ratings, top_n, listed=part.listed)
            lists = RecommendationBatch(clock.of("learn and list", work).recommendations)
            clock.of("encode", partial(_encode, lists))
    measured = ratings - len(encoded) // 2 * _BATCH
    return {name: seconds / measured * 1e6 for name, seconds in clock.seconds.items()}


def _encode(lists: RecommendationBatch) -> None:
    for _ in json_messages(lists):
        pass


def main(argv: Sequence[str]) -> int:
    """Prints a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--ratings", type=int, default=200_000)
    parser.add_argument("--model", choices=MODEL_NAMES, default=DEFAULT_MODEL)
    given = parser.parse_args(argv)
    spec = RecommenderSpec(given.model)
    # What is kept here would be visited again and again, as it is not in a stream.
    gc.disable()
    blas_threads.limit()
    warm_up(spec)
    ratings = [
        Rating(str(user), str(item), float(value), float(at), f"ratings-0-{number}")
        for number, (user, item, value, at) in enumerate(movielens_like(given.ratings))
        if value >= MIN_RATING
    ]
    print("| replicas | decode | learn | list | encode | in all | of one |")
    print("|---:|---:|---:|---:|---:|---:|---:|")
    first = 0.0
    for replicas in _REPLICAS:
        encoded = _batches(ratings, replicas)
        learned = _costs(spec, encoded, len(ratings), replicas, top_n=0)["learn and list"]
        costs = _costs(spec, encoded, len(ratings), replicas, top_n=10)
        whole = sum(costs.values())
        first = first or whole
        print(
            f"| {replicas} | {costs['decode']:.1f} | {learned:.1f} |"
            f" {costs['learn and list'] - learned:.1f} | {costs['encode']:.1f} | {whole:.1f} |"
            f" {first / whole:.1f}x |"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
