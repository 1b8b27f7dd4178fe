from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.recommenders.memory.eviction import LastSeen, renumbered


def _seen(order: list[int], bound: int) -> LastSeen:
    seen = LastSeen(bound)
    for number, index in enumerate(order):
        if index == len(seen):
            seen.add()
        seen.see(index, number)
    return seen


def test_nothing_goes_while_there_are_not_too_many() -> None:
    assert _seen([0, 1, 2], 3).kept() is None
    assert _seen(list(range(1000)), 0).kept() is None


def test_nine_tenths_of_the_bound_stay() -> None:
    kept = _seen(list(range(101)), 100).kept()
    assert kept is not None
    assert kept.tolist() == list(range(11, 101))


def test_at_least_one_stays() -> None:
    kept = _seen([0, 1], 1).kept()
    assert kept is not None
    assert kept.tolist() == [1]


@settings(deadline=None)
@given(st.lists(st.integers(0, 12), min_size=1, max_size=60), st.integers(1, 12))
def test_those_seen_last_stay(names: list[int], bound: int) -> None:
    index: dict[int, int] = {}
    order = [index.setdefault(name, len(index)) for name in names]
    seen = _seen(order, bound)
    kept = seen.kept()
    if kept is None:
        assert len(index) <= bound
        return
    last = {place: number for number, place in enumerate(order)}
    newest = sorted(last, key=last.__getitem__)[-max(1, bound * 9 // 10) :]
    assert kept.tolist() == sorted(newest)
    seen.keep(kept)
    assert seen.to_array().tolist() == [last[place] for place in sorted(newest)]
    assert seen.latest() == len(order) - 1


def test_what_is_kept_closes_ranks() -> None:
    numbers = renumbered(np.array([4, 0, 2], dtype=np.int32), np.array([2, 4]), 5)
    assert numbers.tolist() == [1, -1, 0]


def test_numbers_can_be_saved() -> None:
    loaded = LastSeen(2)
    loaded.load(_seen([0, 1, 0], 2).to_array())
    loaded.add()
    loaded.see(2, 3)
    kept = loaded.kept()
    assert kept is not None
    assert kept.tolist() == [2]
    assert LastSeen(2).latest() == -1
