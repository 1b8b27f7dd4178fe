from __future__ import annotations

import numpy as np
import pytest

from tests.support import same_arrays
from transforms.errors import IncompatibleModelError
from transforms.recommenders.arrays import SavedArrays
from transforms.recommenders.memory.item_statistics import ItemStatistics
from transforms.recommenders.memory.transitions import Transitions
from transforms.recommenders.numerics.cooccurrence_arrays import empty_log
from transforms.recommenders.numerics.habit_arrays import BRIDGES
from transforms.recommenders.numerics.transition_kernels import (
    bridged_share,
    count_transition,
    find_bridges,
    swap_transition,
)

N = 12


def _empty(most: int) -> tuple[Transitions, ItemStatistics]:
    transitions, items = Transitions(most), ItemStatistics(1.0)
    for _ in range(N):
        transitions.add_item()
        items.add_item()
    return transitions, items


def _plain(pairs: list[tuple[int, int, float]], most: int) -> list[list[tuple[int, list[float]]]]:
    rows: list[list[tuple[int, list[float]]]] = [[] for _ in range(N)]
    for newest, item, weight in pairs:
        for side, (row, other) in enumerate(((rows[newest], item), (rows[item], newest))):
            found = [place for place, (one, _) in enumerate(row) if one == other]
            if not found and len(row) < most:
                found = [len(row)]
                row.append((other, [0.0, 0.0]))
            elif not found:
                found = [min(range(most), key=lambda place: sum(row[place][1]))]
                row[found[0]] = other, [0.0, 0.0]
            row[found[0]][1][side] += weight
    return rows


@pytest.mark.parametrize("most", [1, 3, 100])
def test_rows_are_bounded_and_what_was_counted_can_be_taken_back(most: int) -> None:
    random = np.random.default_rng(most)
    transitions, items = _empty(most)
    pairs = [(int(random.integers(3)), int(random.integers(3, N)), 1.0 + n % 3) for n in range(200)]
    pairs = [
        (to, of, weight) if n % 4 == 0 else (of, to, weight)
        for n, (of, to, weight) in enumerate(pairs)
    ]
    log = empty_log(len(pairs), 1)
    states = []
    transitions.reserve(np.array([pair[:2] for pair in pairs], dtype=np.int32).ravel())
    for slot, (newest, item, weight) in enumerate(pairs):
        states.append(transitions.state_dict())
        count_transition(transitions.arrays, items.arrays, newest, item, weight, log, slot)
    after = transitions.state_dict()
    rows = iter(zip(after["next.ids"].tolist(), after["next.counts"].tolist(), strict=True))
    sizes = np.diff(after["next.ends"], prepend=0)
    assert [[next(rows) for _ in range(size)] for size in sizes] == _plain(pairs, most)
    for sums, side in ((items.arrays.followed, 0), (items.arrays.preceded, 1)):
        for one in range(N):
            assert sums[one] == sum(pair[2] for pair in pairs if pair[side] == one)
    for slot in range(len(pairs) - 1, -1, -1):
        swap_transition(transitions.arrays, log, slot)
        assert same_arrays(transitions.state_dict(), states[slot])
    for slot in range(len(pairs)):
        swap_transition(transitions.arrays, log, slot)
    assert same_arrays(transitions.state_dict(), after)


@pytest.mark.parametrize("size", [3, BRIDGES, N - 1])
def test_bridges_are_the_items_most_often_next_to_one(size: int) -> None:
    transitions, items = _empty(100)
    log = empty_log(1, 1)
    pairs = [(0, 1 + n % size) if n % 2 else (1 + n % size, 0) for n in range(3 * size + 1)]
    pairs += [(1, 2), (2, 3), (3, 1)]
    for newest, item in pairs:
        transitions.reserve_one(newest)
        transitions.reserve_one(item)
        count_transition(transitions.arrays, items.arrays, newest, item, 1.0, log, 0)
    bridges, shares = np.zeros(BRIDGES, dtype=np.int32), np.zeros(BRIDGES)
    count, mass = find_bridges(transitions.arrays, items.arrays, 0, bridges, shares)
    assert bridges[:count].tolist() == list(range(1, 1 + min(size, BRIDGES)))
    assert shares[:count].tolist() == [4 / 6, 3 / 5, 3 / 5, *[1.0] * (count - 3)]
    assert mass == pytest.approx(2 * 4 / 6 + 2 * 3 / 5 + 2 * 3 / 5)
    of = [bridged_share(transitions.arrays, bridges, shares, (count, mass), j) for j in range(1, N)]
    assert sum(of) == pytest.approx(1.0)
    assert of[2] == pytest.approx((4 / 6 + 3 / 5) / mass)


def test_a_row_that_is_too_long_is_refused() -> None:
    transitions, items = _empty(5)
    log = empty_log(1, 1)
    for item in range(1, 6):
        transitions.reserve(np.array([0, item], dtype=np.int32))
        count_transition(transitions.arrays, items.arrays, 0, item, 1.0, log, 0)
    with pytest.raises(IncompatibleModelError, match="has a row of more than 4 items"):
        Transitions(4).load_state_dict(SavedArrays(transitions.state_dict()), N)


def test_dropped_items_leave_no_transition() -> None:
    transitions, items = _empty(5)
    log = empty_log(1, 1)
    for newest, item in ((0, 1), (0, 2), (2, 0), (1, 2)):
        transitions.reserve(np.array([newest, item], dtype=np.int32))
        count_transition(transitions.arrays, items.arrays, newest, item, 1.0, log, 0)
    transitions.keep_items(np.array([0, 2]))
    saved = transitions.state_dict()
    assert saved["next.ends"].tolist() == [1, 2]
    assert saved["next.ids"].tolist() == [1, 0]
    assert saved["next.counts"].tolist() == [[1.0, 1.0], [1.0, 1.0]]
