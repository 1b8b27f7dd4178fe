"""What `itemknn` holds in memory and in a snapshot, by user, by item and by rating.

    python -m benchmarks.memory --ratings 10000000 --users 1000000 --items 1000000

learns synthetic ratings in sessions: a session belongs to a user drawn by Zipf's law, has 1 to 20
items, and begins at an item drawn by Zipf's law; half of its other items are drawn near the one
before, half by Zipf's law again. Then it prints what the model holds, by what bounds it, and what a
snapshot of it takes to write and to load. `--max_users`, `--max_items` and `--neighbors` are the
program's flags, so it shows what they bound.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from transforms.formats.records import Rating
from transforms.learning import snapshot_codec
from transforms.recommenders.recommender import Recommender
from transforms.recommenders.registry import RecommenderSpec
from transforms.runtime import garbage_collection

_PART: Final = 100_000
_LONGEST: Final = 20
_NEAR: Final = 50
_REPORTS: Final = 5


def zipf(random: np.random.Generator, n: int, size: int, exponent: float) -> NDArray[np.int64]:
    """Returns `size` draws from 0 to n - 1 with a density that falls as rank^-exponent.

    Args:
        random: Draws.
        n: How many ranks there are.
        size: How many are drawn.
        exponent: From 0, where all ranks are equally frequent, to below 1.
    """
    share = random.random(size) ** (1 / (1 - exponent))
    return np.minimum((share * n).astype(np.int64), n - 1)


def sessions(
    users: int, items: int, ratings: int, exponent: float, seed: int = 0
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Yields users and items of ratings in parts, see the module.

    Args:
        users: How many there can be.
        items: Likewise.
        ratings: How many are made.
        exponent: Of Zipf's law for both.
        seed: Of what is drawn.
    """
    random = np.random.default_rng(seed)
    made = 0
    while made < ratings:
        lengths = random.integers(1, _LONGEST + 1, size=_PART // 8)
        of = np.repeat(zipf(random, users, len(lengths), exponent), lengths)
        starts = np.repeat(zipf(random, items, len(lengths), exponent), lengths)
        near = (starts + random.integers(_NEAR, size=len(of))) % items
        anywhere = zipf(random, items, len(of), exponent)
        chosen = np.where(random.random(len(of)) < 0.5, near, anywhere)
        left = ratings - made
        yield of[:left], chosen[:left]
        made += len(of[:left])


def _resident() -> float:
    """Megabytes that this process holds now."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 1e6


def _by_kind(recommender: Recommender) -> dict[str, int]:
    """Returns the bytes of a snapshot's arrays, by the first two parts of their names."""
    found: dict[str, int] = defaultdict(int)
    for name, array in recommender.state_dict().items():
        found[".".join(name.split(".")[:2])] += array.nbytes
    return dict(sorted(found.items(), key=lambda entry: -entry[1]))


def measure(spec: RecommenderSpec, given: argparse.Namespace) -> None:
    """Learns, and prints what that took and what is held."""
    recommender = spec.build()
    empty = _resident()
    seconds = 0.0
    done = 0
    next_report = given.ratings // _REPORTS
    for users, items in sessions(given.users, given.items, given.ratings, given.exponent):
        ratings = [
            Rating(f"u{user}", f"i{item}", 5.0, float(done + at))
            for at, (user, item) in enumerate(zip(users.tolist(), items.tolist(), strict=True))
        ]
        start = time.process_time()
        recommender.learn_all(ratings)
        seconds += time.process_time() - start
        done += len(ratings)
        del ratings
        if done >= next_report:
            _report(recommender, done, seconds, _resident() - empty)
            next_report += given.ratings // _REPORTS
    _snapshot(spec, recommender)


def _report(recommender: Recommender, done: int, seconds: float, held: float) -> None:
    users, items = len(recommender.users), len(recommender.items)
    print(
        f"{done:,} ratings, {users:,} users, {items:,} items: {seconds / done * 1e6:.1f} us of CPU"
        f" a rating, {held:,.0f} MB resident, {held * 1e6 / done:.0f} bytes a rating",
        flush=True,
    )


def _snapshot(spec: RecommenderSpec, recommender: Recommender) -> None:
    users, items = len(recommender.users), len(recommender.items)
    for name, size in _by_kind(recommender).items():
        if size > 1e6:
            each = f"{size / users:.0f} a user, {size / items:.0f} an item"
            print(f"  {name}: {size / 1e6:,.1f} MB, {each}")
    start = time.process_time()
    encoded = snapshot_codec.encode(spec, 1, recommender.state_dict())
    wrote = time.process_time() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    start = time.process_time()
    snapshot_codec.decode(encoded, spec)
    loaded = time.process_time() - start
    megabytes = len(encoded) / 1e6
    print(
        f"snapshot of {megabytes:,.0f} MB, written in {wrote:.1f} s ({megabytes / wrote:,.0f} MB/s)"
        f" with a peak of {peak:,.0f} MB, loaded in {loaded:.1f} s ({megabytes / loaded:,.0f} MB/s)"
    )


def main(argv: Sequence[str]) -> int:
    """Prints what a model holds."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--ratings", type=int, default=10_000_000)
    parser.add_argument("--users", type=int, default=1_000_000)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--exponent", type=float, default=0.7, help="of Zipf's law")
    parser.add_argument("--neighbors", type=int, default=2000, help="as the program's flag")
    parser.add_argument("--max_users", type=int, default=0, help="likewise")
    parser.add_argument("--max_items", type=int, default=0, help="likewise")
    given = parser.parse_args(argv)
    garbage_collection.reduce_frequency()
    bounds: dict[str, Any] = {"max_users": given.max_users, "max_items": given.max_items}
    hyperparameters = {"neighbors": given.neighbors}
    measure(RecommenderSpec("itemknn", hyperparameters, **bounds), given)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
