"""What N slots carry, from what a rating costs on one: a calculation, not a measurement.

    python -m benchmarks.capacity --read 2.3 --ship 1.0 --learn 3.0 --list 9.0 --send 6.0

Costs are microseconds of one core for each rating. Every slot reads a share of the partitions and
has one model shard. A rating is read once, shipped to each replica of its user's shard, learned by
all of them, and listed and sent by one. docs/scaling.md has the model in words, the costs that were
measured, and the part of the table that was run.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_CASES: Final = ((1, 1), (1, 2), (1, 4), (1, 8), (2, 4), (4, 2), (8, 1), (8, 8), (16, 4))


@dataclass(frozen=True)
class Costs:
    """Microseconds of one core for each rating.

    Attributes:
        read: Reading, parsing and keying it.
        ship: Encoding and decoding it on the way to one replica, with the runner's share.
        learn: Learning it.
        list: Making its list.
        send: Encoding and sending its list.
    """

    read: float
    ship: float
    learn: float
    list: float
    send: float


@dataclass(frozen=True)
class Sizes:
    """Bytes, and a rate.

    Attributes:
        record: Of a rating's record in the topic.
        shipped: Of a rating between two steps.
        recommendation: Of a list's record.
        logged: Of a rating in a model's log.
        user: Of a user in a snapshot.
        item: Of an item in a snapshot.
        load: Bytes of a snapshot that one core restores in a second.
    """

    record: float = 75.0
    shipped: float = 60.0
    recommendation: float = 420.0
    logged: float = 60.0
    user: float = 600.0
    item: float = 4_000.0
    load: float = 8e7


@dataclass(frozen=True)
class Capacity:
    """What a number of slots carries.

    Attributes:
        slots: User shards times replicas.
        rate: Ratings a second with every slot at its limit.
        network: Megabytes a second between brokers and workers and between workers, at that rate.
        snapshot: Megabytes of all model shards in a checkpoint; a log adds at most as much.
        recovery: Seconds until a model shard is as it was, with the longest log.
    """

    slots: int
    rate: float
    network: float
    snapshot: float
    recovery: float


def capacity(
    costs: Costs, sizes: Sizes, user_shards: int, replicas: int, users: float, items: float
) -> Capacity:
    """Returns what `user_shards` times `replicas` slots carry.

    Args:
        costs: Of a rating.
        sizes: Of what is sent and kept.
        user_shards: Models apart.
        replicas: Workers that learn each of them.
        users: In all.
        items: In all; each model has all of them.
    """
    slots = user_shards * replicas
    # A reader's share of all ratings, a replica's of its shard, and what it lists of these.
    busy = (costs.read + replicas * costs.ship / 2) / slots
    busy += (costs.ship / 2 + costs.learn) / user_shards
    busy += (costs.list + costs.send) / slots
    rate = 1e6 / busy
    network = rate * (sizes.record + replicas * sizes.shipped + sizes.recommendation)
    of_one = users / user_shards * sizes.user + items * sizes.item
    # The longest log is as large as the snapshot.
    log = of_one / sizes.logged
    recovery = of_one / sizes.load + log * (costs.ship / 2 + costs.learn) / 1e6
    return Capacity(slots, rate, network / 1e6, slots * of_one / 1e6, recovery)


def main(argv: Sequence[str]) -> int:
    """Prints a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    for name in ("read", "ship", "learn", "list", "send"):
        parser.add_argument(f"--{name}", type=float, required=True, help="us a rating")
    parser.add_argument("--users", type=float, default=1e7)
    parser.add_argument("--items", type=float, default=1e6)
    given = parser.parse_args(argv)
    costs = Costs(given.read, given.ship, given.learn, given.list, given.send)
    one = capacity(costs, Sizes(), 1, 1, given.users, given.items)
    print("| user shards | replicas | slots | ratings/s | of one slot | network, MB/s |", end="")
    print(" snapshots, MB | recovery, s |")
    print("|---:|---:|---:|---:|---:|---:|---:|---:|")
    for user_shards, replicas in _CASES:
        found = capacity(costs, Sizes(), user_shards, replicas, given.users, given.items)
        print(
            f"| {user_shards} | {replicas} | {found.slots} | {found.rate:,.0f} |"
            f" {found.rate / one.rate:.1f}x | {found.network:,.0f} | {found.snapshot:,.0f} |"
            f" {found.recovery:,.0f} |"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
