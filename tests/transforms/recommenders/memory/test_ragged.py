from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.recommenders.memory.ragged import RaggedRows

ROWS = 5
VALUES = st.sampled_from([(None, 1), (np.float32, 1), (np.float64, 1), (np.float32, 2)])
CHOICES = st.lists(st.lists(st.integers(0, ROWS - 1), max_size=30), max_size=6)


def empty(values: tuple[type[np.floating] | None, int]) -> RaggedRows:
    rows = RaggedRows(*values)
    for _ in range(ROWS):
        rows.add_row()
    return rows


@given(CHOICES, VALUES)
def test_reserved_rows_take_an_entry_for_each_time_that_they_were_named(
    batches: list[list[int]], values: tuple[type[np.floating] | None, int]
) -> None:
    rows = empty(values)
    expected: list[list[int]] = [[] for _ in range(ROWS)]
    for number, batch in enumerate(batches):
        rows.reserve(np.array(batch, dtype=np.int32))
        pool = rows.ids
        for row in batch:
            rows.append(row, number, number + 0.5)
            expected[row].append(number)
        assert rows.ids is pool
        assert [rows.row(row).tolist() for row in range(ROWS)] == expected
        if values[0] is not None:
            for row in range(ROWS):
                kept = rows.row_values(row).reshape(-1, values[1]) - 0.5
                assert kept.tolist() == [[one] * values[1] for one in expected[row]]


@pytest.mark.parametrize("most", [1, 3, 8])
def test_no_more_than_most_is_reserved(most: int) -> None:
    rows = RaggedRows()
    rows.add_row()
    rows.reserve(np.zeros(20, dtype=np.int32), most)
    assert rows.room[0] == most


@given(
    st.lists(st.integers(0, ROWS - 1), max_size=120),
    st.sets(st.integers(0, ROWS - 1)),
    VALUES,
)
def test_packed_rows_are_copies_in_order_and_kept_ones_stay_as_they_were(
    choices: list[int], kept: set[int], values: tuple[type[np.floating] | None, int]
) -> None:
    rows = empty(values)
    expected: list[list[int]] = [[] for _ in range(ROWS)]
    for number, row in enumerate(choices):
        rows.append(row, number, number + 0.5)
        expected[row].append(number)
    ends, ids, numbers = rows.packed()
    assert np.split(ids, ends)[-1].tolist() == []
    assert [row.tolist() for row in np.split(ids, ends)[:-1]] == expected
    if values[0] is not None:
        assert numbers.dtype == values[0]
        assert (numbers.reshape(-1, values[1]) == ids[:, np.newaxis] + 0.5).all()
    ids[:] = -1
    rows.keep(np.array(sorted(kept), dtype=np.intp))
    assert [rows.row(row).tolist() for row in range(rows.n)] == [
        expected[row] for row in sorted(kept)
    ]
    for row in range(rows.n):
        rows.append(row, 7, 7.5)
        assert rows.row(row)[-1] == 7
