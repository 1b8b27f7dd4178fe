"""Keys of user shards and of model shards, and what each gets of a batch."""

from __future__ import annotations

from transforms.batches import RatingBatch
from transforms.recommenders.hashing import block_of
from transforms.runtime.flink_key_groups import salt
from transforms.sharding.config import Sharding

UserShard = tuple[int, int]
"""(number, salt). The salt spreads keys evenly, see `key_groups`."""

ModelShard = tuple[int, int, int]
"""(user shard, item shard, salt)."""

UserShardBatch = tuple[UserShard, RatingBatch]
ModelShardBatch = tuple[ModelShard, RatingBatch]


def by_user_shard(batch: RatingBatch, user_shards: int) -> dict[int, RatingBatch]:
    """Splits a batch by the shard of the user; each part keeps its order."""
    if user_shards == 1:
        return {0: batch} if batch.ratings or batch.requests else {}
    parts: dict[int, RatingBatch] = {}
    for rating in batch.ratings:
        shard = block_of(rating.user, user_shards)
        parts.setdefault(shard, RatingBatch([], batch.published, [])).ratings.append(rating)
    for request in batch.requests:
        shard = block_of(request.user, user_shards)
        parts.setdefault(shard, RatingBatch([], batch.published, [])).requests.append(request)
    return parts


def split(batch: RatingBatch, at_once: int) -> list[RatingBatch]:
    """Splits a batch into batches of at most so many ratings; requests go with the last one."""
    starts = range(0, max(1, len(batch.ratings)), at_once)
    return [
        RatingBatch(
            batch.ratings[start : start + at_once],
            batch.published,
            batch.requests if start == starts[-1] else [],
        )
        for start in starts
    ]


def user_shard_key(user_shard: int, sharding: Sharding) -> UserShard:
    """Returns the key of a user shard."""
    return user_shard, salt((user_shard,), user_shard, sharding.user_shards, sharding.key_groups)


def model_shard_key(user_shard: int, item_shard: int, sharding: Sharding) -> ModelShard:
    """Returns the key of a model shard; a user shard's lie far apart, as they work at once."""
    place = item_shard * sharding.user_shards + user_shard
    places = sharding.user_shards * sharding.item_shards
    key = (user_shard, item_shard)
    return (*key, salt(key, place, places, sharding.key_groups))
