"""What large models cost: many items, many events, many users.

    python -m benchmarks.large_models

prints, for `mf` with k=40: top-10 lists from 100,000 items beside FluRS's `recommend`, in turn;
registering 100,000 items one by one; the cost of a rating after 5 million beside that after
50,000; and memory, snapshot and restore with a million users and 100,000 items. Then, for a
catalog of a million items: `itemknn` beside one of 10,000 with the same histories, and `mf`
beside a product of a matrix and a vector in single precision. `--only` chooses.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

import numpy as np
import safetensors.numpy
from flurs.data.entity import User
from flurs.recommender import MFRecommender

from transforms.formats.records import Rating
from transforms.recommenders.recommender import Recommender
from transforms.recommenders.registry import RecommenderSpec
from transforms.runtime import blas_threads, garbage_collection

_SPEC: Final = RecommenderSpec("mf", {"k": 40})
_ITEMS: Final = 100_000
_ROUNDS: Final = 5
_FEW: Final = 10_000
_MANY: Final = 1_000_000
_OF_ONE: Final = 20
_TIMED: Final = 10_000
_POSITIVES: Final = 300_000


def _learned(ratings: int, users: int, items: int) -> Recommender:
    recommender = _SPEC.build()
    _learn(recommender, ratings, users, items, seed=0)
    return recommender


def _learn(recommender: Recommender, ratings: int, users: int, items: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    for user, item in zip(
        random.integers(users, size=ratings).tolist(),
        random.integers(items, size=ratings).tolist(),
        strict=True,
    ):
        recommender.update(Rating(f"u{user}", f"i{item}", 5.0, 0.0))


def _microseconds(work: Callable[[], object], times: int) -> float:
    start = time.perf_counter()
    for _ in range(times):
        work()
    return (time.perf_counter() - start) / times * 1e6


def top_n() -> None:
    """Lists from 100,000 items, ours and FluRS's."""
    recommender = _SPEC.build()
    for item in range(_ITEMS):
        recommender.update(Rating(f"u{item % 100}", f"i{item}", 5.0, 0.0))
    theirs = MFRecommender(k=40)
    theirs.initialize()
    theirs.register(User(0))
    theirs.items = {index: {} for index in range(_ITEMS)}
    theirs.n_item = _ITEMS
    theirs.Q = recommender.state_dict()["model.q"].copy()
    candidates = np.arange(_ITEMS)
    measured: dict[str, list[float]] = {"ours": [], "FluRS": []}
    recommender.recommend("u1", 10)
    user = User(0)
    for _ in range(_ROUNDS):
        measured["ours"].append(_microseconds(lambda: recommender.recommend("u1", 10), 200))
        measured["FluRS"].append(_microseconds(lambda: theirs.recommend(user, candidates), 20))
    ours, flurs = (statistics.median(rounds) for rounds in measured.values())
    print(f"top-10 of {_ITEMS:,} items: {ours:,.0f} us, FluRS {flurs:,.0f} us: {flurs / ours:.1f}x")


def register() -> None:
    """New items one by one."""
    recommender = _SPEC.build()
    start = time.perf_counter()
    for item in range(_ITEMS):
        recommender.update(Rating("u", f"i{item}", 5.0, 0.0))
        if (item + 1) % (_ITEMS // 4) == 0:
            seconds = time.perf_counter() - start
            print(f"{item + 1:,} new items learned one by one: {seconds:.2f} s")


def events() -> None:
    """A rating's cost early and late."""
    recommender = _learned(50_000, users=20_000, items=10_000)
    costs = [_cost(recommender)]
    _learn(recommender, 5_000_000, 20_000, 10_000, seed=1)
    costs.append(_cost(recommender))
    print(
        f"learning and listing one of 20,000 users and 10,000 items after 50,000 ratings:"
        f" {costs[0]:.1f} us, after 5 million: {costs[1]:.1f} us: {costs[1] / costs[0]:.2f}x"
    )


def _cost(recommender: Recommender) -> float:
    rating = Rating("u7", "i7", 5.0, 0.0)

    def work() -> None:
        recommender.update(rating)
        recommender.recommend("u7", 10)

    return statistics.median(_microseconds(work, 2000) for _ in range(_ROUNDS))


def memory() -> None:
    """A million users and 100,000 items."""
    before = _peak()
    recommender = _SPEC.build()
    users = 1_000_000
    for user in range(users):
        recommender.update(Rating(f"u{user}", f"i{user % _ITEMS}", 5.0, 0.0))
    factors = (users + _ITEMS) * 40 * 8 / 1e6
    learned = _peak() - before
    start = time.perf_counter()
    saved = safetensors.numpy.save(recommender.state_dict())
    snapshot = time.perf_counter() - start
    print(
        f"{users:,} users, {_ITEMS:,} items: factors {factors:,.0f} MB, peak {learned:,.0f} MB"
        f" ({learned / factors:.2f}x); snapshot of {len(saved) / 1e6:,.0f} MB in {snapshot:.1f} s,"
        f" peak {_peak() - before:,.0f} MB"
    )
    del recommender
    start = time.perf_counter()
    _SPEC.build().load_state_dict(safetensors.numpy.load(saved))
    print(f"restored in {time.perf_counter() - start:.1f} s")


def catalog() -> None:
    """The same users among 10,000 items, and among a million."""
    random = np.random.default_rng(0)
    popular = (random.pareto(1.0, 400_000) * 100).astype(np.int64) % _FEW
    users = random.integers(20_000, size=len(popular))
    ratings = [
        Rating(f"u{user}", f"i{item}", 5.0, 0.0)
        for user, item in zip(users.tolist(), popular.tolist(), strict=True)
    ]
    recommenders = [_among(items, ratings[:-_TIMED]) for items in (_FEW, _MANY)]
    costs: list[list[float]] = [[], []]
    for start in range(len(ratings) - _TIMED, len(ratings), 1000):
        for cost, recommender in zip(costs, recommenders, strict=True):
            cost.append(_listing(recommender, ratings[start : start + 1000]))
    few, many = (statistics.median(cost[1:]) for cost in costs)
    print(
        f"itemknn, listing for the same users, CPU: {few:.1f} us among {_FEW:,} items,"
        f" {many:.1f} us among {_MANY:,}: {many / few:.2f}x"
    )


def _among(items: int, ratings: Sequence[Rating]) -> Recommender:
    # The same setting lists in both.
    recommender = RecommenderSpec("itemknn", {"tune": "off"}, repeats="never").build()
    # Others have chosen the rest, each some that are near each other.
    others = [Rating(f"o{item // _OF_ONE}", f"i{item}", 5.0, 0.0) for item in range(_FEW, items)]
    recommender.learn_all(others)
    recommender.learn_all(ratings)
    return recommender


def _listing(recommender: Recommender, ratings: Sequence[Rating]) -> float:
    """Returns the microseconds of a core that a list takes."""
    size, seconds = recommender.minibatch_size(10), 0.0
    for start in range(0, len(ratings), size):
        for part in recommender.learn_batches(ratings[start : start + size], 10):
            began = time.process_time()
            recommender.top_n_after_each(part, 10)
            seconds += time.process_time() - began
    return seconds / len(ratings) * 1e6


def factors() -> None:
    """`mf` among a million items, beside a product with all their factors."""
    recommender = _SPEC.build()
    ratings = [Rating(f"u{item % 1000}", f"i{item}", 5.0, 0.0) for item in range(_MANY)]
    start = time.process_time()
    recommender.learn_all(ratings)
    print(f"{_MANY:,} new items learned: {time.process_time() - start:.1f} s of CPU")
    _beside_a_product(recommender, "each chosen once")
    random = np.random.default_rng(0)
    popular = (random.pareto(1.0, _POSITIVES) * 100).astype(np.int64) % _MANY
    users = random.integers(1000, size=len(popular))
    chosen = zip(users.tolist(), popular.tolist(), strict=True)
    recommender.learn_all([Rating(f"v{user}", f"i{item}", 5.0, 0.0) for user, item in chosen])
    _beside_a_product(recommender, "some of them popular")


def _beside_a_product(recommender: Recommender, catalog: str) -> None:
    q = recommender.state_dict()["model.q"].astype(np.float32)
    p = q[0].copy()
    size = recommender.minibatch_size(10)
    together, alone, product = [], [], []
    for number in range(_ROUNDS):
        ratings = [Rating(f"u{at}", f"i{number * size + at}", 5.0, 0.0) for at in range(size)]
        learned = next(iter(recommender.learn_batches(ratings, 10)))
        together.append(_cpu(partial(recommender.top_n_after_each, learned, 10)) / size)
        alone.append(_cpu(lambda: recommender.recommend("u7", 10)))
        product.append(_cpu(lambda: q @ p))
    one, other = statistics.median(together), statistics.median(product)
    single = statistics.median(alone)
    print(
        f"mf, top-10 of {_MANY:,} items, {catalog}, exact, CPU: {one:,.0f} us {size} at a time,"
        f" {single:,.0f} us alone, a product in single precision {other:,.0f} us:"
        f" {other / one:.1f}x and {other / single:.1f}x"
    )


def _cpu(work: Callable[[], object], times: int = 5) -> float:
    """Returns the microseconds of a core that work takes, as others may use the machine."""
    start = time.process_time()
    for _ in range(times):
        work()
    return (time.process_time() - start) / times * 1e6


def _peak() -> float:
    """Megabytes that this process has held at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


_QUESTIONS: Final = {
    one.__name__: one for one in (top_n, register, events, memory, catalog, factors)
}


def main(argv: Sequence[str]) -> int:
    """Prints a line or two for each question."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", nargs="+", choices=_QUESTIONS, default=list(_QUESTIONS))
    names = parser.parse_args(argv).only
    if len(names) == 1:
        garbage_collection.reduce_frequency()
        blas_threads.limit()
        _QUESTIONS[names[0]]()
        return 0
    for name in names:
        # A process of its own, as what one has held at most is never less afterwards.
        subprocess.run([sys.executable, "-m", __spec__.name, "--only", name], check=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
