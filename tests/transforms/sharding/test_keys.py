from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import ROOT, movielens_like
from transforms.batches import RatingBatch
from transforms.formats.records import Rating, Request
from transforms.recommenders.hashing import block_of
from transforms.sharding.config import Sharding
from transforms.sharding.keys import by_user_shard, model_shard_key, split, user_shard_key

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


def test_keys_never_change() -> None:
    sharding = Sharding(4, 2)
    users = [user_shard_key(shard, sharding) for shard in range(4)]
    assert users == [(0, 7), (1, 121), (2, 35), (3, 116)]
    models = [model_shard_key(shard, 1, sharding) for shard in range(4)]
    assert models == [(0, 1, 134), (1, 1, 15), (2, 1, 754), (3, 1, 115)]
