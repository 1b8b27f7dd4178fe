from __future__ import annotations

import pytest

from benchmarks.capacity import Costs, Sizes, capacity, main

COSTS = Costs(read=2.0, ship=1.0, learn=3.0, list=9.0, send=6.0)


def rate(user_shards: int, replicas: int, costs: Costs = COSTS) -> float:
    return capacity(costs, Sizes(), user_shards, replicas, 1e6, 1e5).rate


def test_one_slot_does_all_of_it() -> None:
    assert rate(1, 1) == pytest.approx(1e6 / 21.0)


def test_user_shards_divide_everything() -> None:
    assert rate(8, 1) == pytest.approx(8 * rate(1, 1))


def test_replicas_divide_all_but_learning_and_what_is_shipped() -> None:
    # 2 / 4 read, 1 / 2 sent to four, 1 / 2 received, 3 learned, 15 / 4 listed and sent.
    assert rate(1, 4) == pytest.approx(1e6 / (0.5 + 0.5 + 0.5 + 3.0 + 3.75))
    free = Costs(read=2.0, ship=0.0, learn=0.0, list=9.0, send=6.0)
    assert rate(1, 4, free) == pytest.approx(4 * rate(1, 1, free))


def test_a_replica_has_the_whole_model_and_a_user_shard_its_users() -> None:
    sizes = Sizes(user=10.0, item=100.0)
    one = capacity(COSTS, sizes, 1, 1, 1e6, 1e5)
    assert one.snapshot == pytest.approx(20.0)
    assert capacity(COSTS, sizes, 1, 4, 1e6, 1e5).snapshot == pytest.approx(80.0)
    assert capacity(COSTS, sizes, 2, 1, 1e6, 1e5).snapshot == pytest.approx(30.0)
    assert capacity(COSTS, sizes, 1, 4, 1e6, 1e5).recovery == one.recovery


def test_a_table_for_all_cases(capsys: pytest.CaptureFixture[str]) -> None:
    given = ["--read=2", "--ship=1", "--learn=3", "--list=9", "--send=6"]
    assert main(given) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len({line.count("|") for line in lines}) == 1
    assert lines[2].startswith("| 1 | 1 | 1 | 47,619 | 1.0x |")
