from __future__ import annotations

import numpy as np
import pytest

from tests.support import same_arrays
from transforms.errors import IncompatibleModelError
from transforms.recommenders.arrays import SavedArrays
from transforms.recommenders.memory.item_statistics import ItemStatistics
from transforms.recommenders.memory.transitions import Transitions
from transforms.recommenders.numerics.cooccurrence_arrays import empty_log
from transforms.recommenders.numerics.transition_kernels import count_transition, swap_transition

N = 12


def _empty(most: int) -> tuple[Transitions, ItemStatistics]:
    transitions, items = Transitions(most), ItemStatistics(1.0)
    for _ in range(N):
        transitions.add_item()
        items.add_item()
    return transitions, items


def _plain(pairs: list[tuple[int, int, float]], most: int) -> list[list[tuple[int, float]]]:
    rows: list[list[tuple[int, float]]] = [[] for _ in range(N)]
    for newest, item, weight in pairs:
        row = rows[newest]
        found = [place for place, (one, _) in enumerate(row) if one == item]
        if found:
            row[found[0]] = item, row[found[0]][1] + weight
        elif len(row) < most:
            row.append((item, weight))
        else:
            row[min(range(most), key=lambda place: row[place][1])] = item, weight
    return rows


@pytest.mark.parametrize("most", [1, 3, 100])
def test_rows_are_bounded_and_what_was_counted_can_be_taken_back(most: int) -> None:
    random = np.random.default_rng(most)
    transitions, items = _empty(most)
    pairs = [(int(random.integers(3)), int(random.integers(N)), 1.0 + n % 3) for n in range(200)]
    log = empty_log(len(pairs), 1)
    states = []
    transitions.reserve(np.array([newest for newest, _, _ in pairs], dtype=np.int32))
    for slot, (newest, item, weight) in enumerate(pairs):
        states.append(transitions.state_dict())
        count_transition(transitions.arrays, items.arrays, newest, item, weight, log, slot)
    after = transitions.state_dict()
    rows = iter(zip(after["next.ids"].tolist(), after["next.counts"].tolist(), strict=True))
    sizes = np.diff(after["next.ends"], prepend=0)
    assert [[next(rows) for _ in range(size)] for size in sizes] == _plain(pairs, most)
    assert items.arrays.followed.sum() == sum(weight for _, _, weight in pairs)
    for slot in range(len(pairs) - 1, -1, -1):
        swap_transition(transitions.arrays, log, slot)
        assert same_arrays(transitions.state_dict(), states[slot])
    for slot in range(len(pairs)):
        swap_transition(transitions.arrays, log, slot)
    assert same_arrays(transitions.state_dict(), after)


def test_a_row_that_is_too_long_is_refused() -> None:
    transitions, items = _empty(5)
    log = empty_log(1, 1)
    for item in range(5):
        transitions.reserve(np.array([0], dtype=np.int32))
        count_transition(transitions.arrays, items.arrays, 0, item, 1.0, log, 0)
    with pytest.raises(IncompatibleModelError, match="has a row of more than 4 items"):
        Transitions(4).load_state_dict(SavedArrays(transitions.state_dict()), N)


def test_dropped_items_leave_no_transition() -> None:
    transitions, items = _empty(5)
    log = empty_log(1, 1)
    for newest, item in ((0, 1), (0, 2), (2, 0), (1, 2)):
        transitions.reserve(np.array([newest], dtype=np.int32))
        count_transition(transitions.arrays, items.arrays, newest, item, 1.0, log, 0)
    transitions.keep_items(np.array([0, 2]))
    saved = transitions.state_dict()
    assert saved["next.ends"].tolist() == [1, 2]
    assert saved["next.ids"].tolist() == [1, 0]
