"""Keys of user shards and of model shards, and what each gets of a batch."""

from __future__ import annotations

import itertools
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from transforms.batches import RatingBatch
from transforms.formats.rating_columns import (
    RatingColumns,
    columns_of,
    joined_ratings,
    kept_ratings,
)
from transforms.formats.records import Rating, Request
from transforms.recommenders.hashing import block_of
from transforms.runtime.flink_key_groups import salt
from transforms.sharding.config import Sharding

UserShard = tuple[int, int]
"""(number, salt). The salt spreads keys evenly, see `key_groups`."""

ModelShard = tuple[int, int, int, int]
"""(user shard, item shard, replica, salt)."""

UserShardBatch = tuple[UserShard, RatingBatch]
ModelShardBatch = tuple[ModelShard, RatingBatch]


def by_user_shard(batch: RatingBatch, user_shards: int) -> dict[int, RatingBatch]:
    """Splits a batch by the shard of the user; each part keeps its order."""
    if user_shards == 1:
        return {0: batch} if batch.ratings or batch.requests else {}
    places: dict[int, list[int]] = defaultdict(list)
    for at, user in enumerate(columns_of(batch.ratings).users):
        places[block_of(user, user_shards)].append(at)
    parts = {
        shard: RatingBatch(ratings, batch.published)
        for shard, ratings in _taken(batch.ratings, places).items()
    }
    for request in batch.requests:
        shard = block_of(request.user, user_shards)
        parts.setdefault(shard, RatingBatch((), batch.published)).requests.append(request)
    return parts


def _taken(
    ratings: Sequence[Rating], places: Mapping[int, Sequence[int]]
) -> dict[int, RatingColumns]:
    """Returns the ratings of each shard, given where they are."""
    columns = RatingColumns(columns_of(ratings))
    return {shard: columns.take(each) for shard, each in places.items()}


def by_replica(batch: RatingBatch, sharding: Sharding) -> dict[tuple[int, int], RatingBatch]:
    """Repeats the batch of each user shard for all of its replicas.

    Each replica gets all ratings of the user shard, in their order, lists those of its own users,
    and answers their requests.

    Returns:
        A batch for each (user shard, replica) that has something to do.
    """
    user_shards, replicas = sharding.user_shards, sharding.replicas
    if replicas == 1:
        return {(shard, 0): part for shard, part in by_user_shard(batch, user_shards).items()}
    listed: dict[tuple[int, int], list[int]] = defaultdict(list)
    requests: dict[tuple[int, int], list[Request]] = defaultdict(list)
    places: dict[int, list[int]] = defaultdict(list)
    for at, user in enumerate(columns_of(batch.ratings).users):
        shard, replica = replica_of(user, sharding)
        listed[shard, replica].append(len(places[shard]))
        places[shard].append(at)
    for request in batch.requests:
        requests[replica_of(request.user, sharding)].append(request)
    ratings: Mapping[int, Sequence[Rating]] = {0: batch.ratings}
    if user_shards > 1:
        ratings = _taken(batch.ratings, places)
    keys = {(shard, replica): None for shard in places for replica in range(replicas)}
    return {
        key: RatingBatch(
            ratings.get(key[0], ()), batch.published, requests[key], listed=listed[key]
        )
        for key in [*keys, *(key for key in requests if key not in keys)]
    }


def replica_of(user: str, sharding: Sharding) -> tuple[int, int]:
    """Returns a user's shard, that of `by_user_shard`, and the replica that recommends to them."""
    # A remainder of U x R blocks has that of U blocks as its own remainder, and all quotients are
    # equally frequent.
    block = block_of(user, sharding.user_shards * sharding.replicas)
    replica, shard = divmod(block, sharding.user_shards)
    return shard, replica


def split(batch: RatingBatch, at_once: int) -> list[RatingBatch]:
    """Splits a batch into batches of at most so many ratings; requests go with the last one."""
    starts = range(0, max(1, len(batch.ratings)), at_once)
    return [
        RatingBatch(
            batch.ratings[start : start + at_once],
            batch.published,
            batch.requests if start == starts[-1] else [],
            listed=_between(batch.listed, start, start + at_once),
        )
        for start in starts
    ]


def joined(batches: Sequence[RatingBatch]) -> RatingBatch:
    """Returns a batch of the ratings of batches for the same shard, in order, and their requests.

    Args:
        batches: At least one; each has `listed`, or none has.
    """
    if len(batches) == 1:
        return batches[0]
    starts = itertools.accumulate(map(len, batches), initial=0)
    listed = [
        start + at
        for start, batch in zip(starts, batches, strict=False)
        for at in batch.listed or ()
    ]
    return RatingBatch(
        joined_ratings([batch.ratings for batch in batches]),
        min((batch.published for batch in batches if batch.published), default=0.0),
        [request for batch in batches for request in batch.requests],
        listed=None if batches[0].listed is None else listed,
    )


def keep(batch: RatingBatch, kept: Sequence[bool]) -> RatingBatch:
    """Returns a batch with the ratings that are kept, given a flag for each, and all requests."""
    listed = batch.listed
    if listed is not None:
        places = list(itertools.accumulate(kept, initial=0))
        listed = [places[at] for at in listed if kept[at]]
    return replace(batch, ratings=kept_ratings(batch.ratings, kept), listed=listed)


def _between(indexes: Sequence[int] | None, start: int, stop: int) -> list[int] | None:
    """Returns those of some ascending indexes that are in a range, counted from its start."""
    if indexes is None:
        return None
    own = indexes[bisect_left(indexes, start) : bisect_left(indexes, stop)]
    return [index - start for index in own]


def user_shard_key(user_shard: int, sharding: Sharding) -> UserShard:
    """Returns the key of a user shard."""
    return user_shard, salt((user_shard,), user_shard, sharding.user_shards, sharding.key_groups)


def model_shard_key(
    user_shard: int, item_shard: int, sharding: Sharding, replica: int = 0
) -> ModelShard:
    """Returns the key of a model shard; a user shard's lie far apart, as they work at once."""
    place = (replica * sharding.item_shards + item_shard) * sharding.user_shards + user_shard
    places = sharding.user_shards * sharding.item_shards * sharding.replicas
    key = (user_shard, item_shard, replica)
    return (*key, salt(key, place, places, sharding.key_groups))
