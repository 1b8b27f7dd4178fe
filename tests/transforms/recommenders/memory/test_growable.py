from __future__ import annotations

import numpy as np
import pytest

from transforms.recommenders.memory.growable import GrowableRows


@pytest.mark.parametrize("shape", [(), (3,), (2, 4)])
def test_rows_are_zero_and_keep_what_is_written(shape: tuple[int, ...]) -> None:
    rows = GrowableRows(shape)
    for number in range(500):
        rows.add()
        assert not rows.used()[-1].any()
        rows.rows[number] = number + 1
    assert rows.used().shape == (500, *shape)
    assert (rows.used().reshape(500, -1)[:, 0] == np.arange(1, 501)).all()


def test_rows_are_copied_only_when_their_number_doubles() -> None:
    rows = GrowableRows()
    copies = 0
    for _ in range(10_000):
        before = rows.rows
        rows.add()
        copies += rows.rows is not before
    assert copies == 9  # 64, then 2, 4, ..., 256 times as many


def test_a_row_after_those_that_were_kept_is_zero() -> None:
    rows = GrowableRows((2,))
    rows.add(5)
    rows.used()[:] = 9.0
    rows.keep(np.array([1, 4]))
    rows.add()
    assert rows.used().tolist() == [[9.0, 9.0], [9.0, 9.0], [0.0, 0.0]]


def test_loaded_rows_are_a_copy() -> None:
    array = np.ones((2, 3))
    rows = GrowableRows((3,))
    rows.add(7)
    rows.load(array)
    rows.used()[:] = 5.0
    rows.add()
    assert rows.used().tolist() == [[5.0] * 3, [5.0] * 3, [0.0] * 3]
    assert array.tolist() == [[1.0] * 3] * 2


def test_growing_leaves_old_views_alone() -> None:
    rows = GrowableRows(dtype=np.int64)
    rows.add(64)
    view = rows.used()
    rows.add()
    rows.rows[:] = 7
    assert view.tolist() == [0] * 64
