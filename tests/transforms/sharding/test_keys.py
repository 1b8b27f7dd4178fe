from __future__ import annotations

import subprocess
import sys
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import ROOT, movielens_like
from transforms.batches import RatingBatch
from transforms.formats.origins import Origins
from transforms.formats.rating_columns import RatingColumns, columns_of
from transforms.formats.records import Rating, Request
from transforms.recommenders.hashing import block_of
from transforms.sharding.config import Sharding
from transforms.sharding.keys import (
    by_replica,
    by_user_shard,
    joined,
    model_shard_key,
    replica_of,
    split,
    user_shard_key,
)

# A job that is restored from a savepoint finds its shards by these numbers: never change them.
PINNED = {
    "1": (0, 2, 2, 6, 910),
    "196": (1, 1, 6, 9, 673),
    "242": (0, 1, 0, 14, 206),
    "u-é": (0, 0, 5, 14, 854),
    "": (0, 0, 0, 4, 876),
    "日本": (0, 0, 2, 10, 370),
}


@pytest.mark.parametrize("name", PINNED)
def test_blocks_never_change(name: str) -> None:
    assert tuple(block_of(name, blocks) for blocks in (2, 3, 7, 16, 1000)) == PINNED[name]


@settings(deadline=None)
@given(st.text(), st.integers(1, 10_000))
def test_a_block_is_one_of_the_blocks(name: str, blocks: int) -> None:
    assert 0 <= block_of(name, blocks) < blocks
    assert block_of(name, 1) == 0


def test_blocks_are_the_same_in_another_process() -> None:
    code = "from transforms.recommenders.hashing import block_of; print(block_of('196', 1000))"
    other = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert other.stdout.strip() == "673"


def test_ids_are_spread_evenly() -> None:
    sizes = [0] * 8
    for number in range(8000):
        sizes[block_of(str(number), 8)] += 1
    assert min(sizes) > 900
    assert max(sizes) < 1100


def _rating(user: str, item: str, line: int) -> Rating:
    return Rating(user, item, 3.0, 1.0, f"a:{line}")


# By PINNED, of two user shards: users 1 and 242 are in shard 0, user 196 is in shard 1.
RATINGS = [
    _rating("196", "242", 1),
    _rating("1", "1", 2),
    _rating("242", "1", 3),
    _rating("196", "196", 4),
    _rating("1", "1", 5),
]
REQUESTS = [Request("1", 2.0, "b:1"), Request("196", 3.0, "b:2", (0.5,))]
BY_SHARD = {
    1: RatingBatch([RATINGS[0], RATINGS[3]], 5.0, [REQUESTS[1]]),
    0: RatingBatch([RATINGS[1], RATINGS[2], RATINGS[4]], 5.0, [REQUESTS[0]]),
}
BATCH = RatingBatch(RATINGS, 5.0, REQUESTS)


def test_user_shards_and_what_is_theirs_are_in_the_order_of_the_input() -> None:
    assert list(by_user_shard(BATCH, 2).items()) == list(BY_SHARD.items())


def test_a_single_user_shard_takes_all() -> None:
    assert by_user_shard(BATCH, 1) == {0: BATCH}


@pytest.mark.parametrize("shards", [1, 3])
def test_an_empty_batch_goes_nowhere(shards: int) -> None:
    assert by_user_shard(RatingBatch([]), shards) == {}


@pytest.mark.parametrize("shards", [1, 3])
def test_a_batch_of_requests_only_is_a_batch(shards: int) -> None:
    assert set(by_user_shard(RatingBatch([], 5.0, [REQUESTS[0]]), shards)) == {
        block_of("1", shards)
    }


@pytest.mark.parametrize("shards", [1, 3])
def test_no_rating_is_lost_and_each_user_shards_order_is_kept(shards: int) -> None:
    ratings = movielens_like(500)
    groups = by_user_shard(RatingBatch(ratings), shards)
    for shard, batch in groups.items():
        assert batch.ratings == [one for one in ratings if block_of(one.user, shards) == shard]
    assert sum(map(len, groups.values())) == 500


@pytest.mark.parametrize("at_once", [1, 2, 5, 100])
def test_a_batch_is_split_in_order_and_its_requests_go_with_the_last_part(at_once: int) -> None:
    parts = split(BATCH, at_once)
    assert [rating for part in parts for rating in part.ratings] == RATINGS
    assert all(1 <= len(part.ratings) <= at_once for part in parts)
    assert [part.requests for part in parts] == [[]] * (len(parts) - 1) + [REQUESTS]
    assert {part.published for part in parts} == {5.0}


def test_a_batch_of_requests_only_is_split_into_itself() -> None:
    batch = RatingBatch([], 5.0, REQUESTS)
    assert split(batch, 3) == [batch]


def test_what_is_listed_is_split_with_its_ratings() -> None:
    parts = split(RatingBatch(RATINGS, 5.0, REQUESTS, listed=[0, 2, 3]), 2)
    assert [part.listed for part in parts] == [[0], [0, 1], []]
    assert [part.ratings for part in parts] == [RATINGS[:2], RATINGS[2:4], RATINGS[4:]]


@pytest.mark.parametrize("listed", [None, [0, 2, 3], []])
@pytest.mark.parametrize("at_once", [1, 2, 100])
def test_joined_parts_are_the_whole(at_once: int, listed: list[int] | None) -> None:
    whole = RatingBatch(RATINGS, 5.0, REQUESTS, listed=listed)
    assert joined(split(whole, at_once)) == whole


def test_a_joined_batch_is_as_old_as_its_oldest_part_of_a_topic() -> None:
    parts = [RatingBatch(RATINGS, 5.0), RatingBatch([], 3.0, REQUESTS), RatingBatch(RATINGS)]
    assert joined(parts).published == 3.0
    assert joined(parts[2:] * 2).published == 0.0


@pytest.mark.parametrize("user_shards", [1, 2])
def test_ratings_stay_columns_beside_requests(user_shards: int) -> None:
    origins = Origins.of("t-0-", range(len(RATINGS)))
    columns = RatingColumns(columns_of(RATINGS)._replace(origins=origins))
    batches = [RatingBatch(columns, 5.0), RatingBatch([], 5.0, REQUESTS), RatingBatch(columns, 5.0)]
    parts = [by_user_shard(batch, user_shards).get(0) for batch in batches]
    whole = joined([part for part in parts if part])
    assert isinstance(whole.ratings, RatingColumns)
    assert isinstance(whole.ratings.columns.origins, Origins)


@pytest.mark.parametrize(("user_shards", "replicas"), [(1, 2), (1, 8), (4, 4), (3, 2), (6, 4)])
def test_the_users_of_every_shard_are_dealt_evenly_to_its_replicas(
    user_shards: int, replicas: int
) -> None:
    sharding = Sharding(user_shards, replicas=replicas)
    dealt = Counter(replica_of(str(number), sharding) for number in range(24_000))
    fair = 24_000 / (user_shards * replicas)
    assert len(dealt) == user_shards * replicas
    # Five standard deviations.
    assert all(abs(size - fair) < 5 * fair**0.5 for size in dealt.values())


@pytest.mark.parametrize(("user_shards", "replicas"), [(1, 1), (1, 2), (2, 3), (3, 1)])
def test_all_replicas_get_all_ratings_and_each_is_listed_by_one(
    user_shards: int, replicas: int
) -> None:
    ratings = movielens_like(500)
    requests = [Request(str(number), 1.0, f"r:{number}") for number in range(50)]
    sharding = Sharding(user_shards, replicas=replicas)
    batch = RatingBatch(ratings, 5.0, requests)
    parts = by_replica(batch, sharding)
    assert set(parts) == {(u, r) for u in range(user_shards) for r in range(replicas)}
    of_shard = by_user_shard(batch, user_shards)
    listed: list[Rating] = []
    answered: list[Request] = []
    for (shard, replica), part in parts.items():
        assert part.ratings == of_shard[shard].ratings
        assert part.published == 5.0
        own = part.ratings if part.listed is None else [part.ratings[at] for at in part.listed]
        users = {rating.user for rating in own} | {request.user for request in part.requests}
        assert {replica_of(user, sharding) for user in users} == {(shard, replica)}
        listed += own
        answered += part.requests
    assert sorted(listed) == sorted(ratings)
    assert sorted(answered) == sorted(requests)


def test_requests_alone_go_to_the_replicas_of_their_users() -> None:
    sharding = Sharding(2, replicas=3)
    parts = by_replica(RatingBatch([], 5.0, [REQUESTS[0]]), sharding)
    assert parts == {replica_of("1", sharding): RatingBatch((), 5.0, [REQUESTS[0]], listed=[])}
    assert by_replica(RatingBatch([]), sharding) == {}


def test_keys_never_change() -> None:
    sharding = Sharding(4, 2)
    users = [user_shard_key(shard, sharding) for shard in range(4)]
    assert users == [(0, 7), (1, 121), (2, 35), (3, 116)]
    models = [model_shard_key(shard, 1, sharding) for shard in range(4)]
    assert models == [(0, 1, 0, 23), (1, 1, 0, 38), (2, 1, 0, 50), (3, 1, 0, 33)]
    replicated = Sharding(1, replicas=3)
    replicas = [model_shard_key(0, 0, replicated, replica) for replica in range(3)]
    assert replicas == [(0, 0, 0, 58), (0, 0, 1, 48), (0, 0, 2, 45)]
