from __future__ import annotations

from collections import Counter

import pytest
from apache_beam.coders import TupleCoder, VarIntCoder
from apache_beam.coders.coders import LengthPrefixCoder

from transforms.runtime.flink_key_groups import _varint, key_group, salt
from transforms.sharding.config import Sharding
from transforms.sharding.keys import model_shard_key

# As Flink 1.19 dealt the keys (0, 0) to (7, 0) of a job of two subtasks and 128 key groups.
SECOND_OF_TWO = {4, 5, 7}

# What is not a pair has its length before it there; test_flink.py sees how keys are dealt.
MODEL_SHARD = LengthPrefixCoder(TupleCoder([VarIntCoder()] * 4))


def test_groups_are_those_of_flink() -> None:
    second = {number for number in range(8) if key_group(bytes([number, 0])) >= 64}
    assert second == SECOND_OF_TWO


@pytest.mark.parametrize("grid", [(1, 1), (2, 1), (8, 1), (1, 8), (4, 4), (16, 2), (300, 1)])
@pytest.mark.parametrize("parallelism", [1, 2, 4])
def test_model_shards_are_spread_evenly_over_any_parallelism(
    grid: tuple[int, int], parallelism: int
) -> None:
    sharding = Sharding(*grid)
    keys = [
        model_shard_key(user_shard, item_shard, sharding)
        for user_shard in range(grid[0])
        for item_shard in range(grid[1])
    ]
    subtasks = Counter(key_group(MODEL_SHARD.encode(key)) * parallelism // 128 for key in keys)
    fair = len(keys) / parallelism
    assert all(fair - 1 < subtasks[number] < fair + 1 for number in range(parallelism))


@pytest.mark.parametrize("parallelism", [2, 4])
def test_the_item_shards_of_a_user_shard_lie_apart(parallelism: int) -> None:
    sharding = Sharding(8, parallelism)
    for user_shard in range(8):
        keys = [
            model_shard_key(user_shard, item_shard, sharding) for item_shard in range(parallelism)
        ]
        groups = {key_group(MODEL_SHARD.encode(key)) * parallelism // 128 for key in keys}
        assert len(groups) == parallelism


@pytest.mark.parametrize("parallelism", [2, 4])
def test_the_replicas_of_a_user_shard_lie_apart(parallelism: int) -> None:
    for user_shards in (1, 3):
        sharding = Sharding(user_shards, replicas=parallelism)
        for user_shard in range(user_shards):
            keys = [model_shard_key(user_shard, 0, sharding, one) for one in range(parallelism)]
            groups = {key_group(MODEL_SHARD.encode(key)) * parallelism // 128 for key in keys}
            assert len(groups) == parallelism


def test_a_savepoint_finds_shards_by_their_salts_which_never_change() -> None:
    keys = [model_shard_key(user_shard, 0, Sharding(4)) for user_shard in range(4)]
    assert keys == [(0, 0, 0, 0), (1, 0, 0, 84), (2, 0, 0, 158), (3, 0, 0, 84)]


@pytest.mark.parametrize("key_groups", [1, 7, 64, 32768])
def test_a_key_falls_into_its_share_of_any_number_of_groups(key_groups: int) -> None:
    coder = TupleCoder([VarIntCoder()] * 2)
    for place in range(4):
        number = salt((place,), place, 4, key_groups)
        share = (2 * place + 1) * key_groups // 8
        assert key_group(coder.encode((place, number)), key_groups) == share


def test_numbers_are_encoded_as_beam_does() -> None:
    for number in [*range(300), 2**14 - 1, 2**14, 2**21, 10**6]:
        assert _varint(number) == VarIntCoder().encode(number)
