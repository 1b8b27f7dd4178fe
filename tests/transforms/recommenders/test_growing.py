from __future__ import annotations

import numpy as np
import pytest

from transforms.errors import IncompatibleModelError
from transforms.recommenders.growing import GrowingRows, saved


@pytest.mark.parametrize("shape", [(), (3,), (2, 4)])
def test_rows_are_zero_and_keep_what_is_written(shape: tuple[int, ...]) -> None:
    rows = GrowingRows(shape)
    for number in range(500):
        rows.add()
        assert not rows.used()[-1].any()
        rows.rows[number] = number + 1
    assert rows.used().shape == (500, *shape)
    assert (rows.used().reshape(500, -1)[:, 0] == np.arange(1, 501)).all()


def test_rows_are_copied_only_when_their_number_doubles() -> None:
    rows = GrowingRows()
    copies = 0
    for _ in range(10_000):
        before = rows.rows
        rows.add()
        copies += rows.rows is not before
    assert copies == 9  # 64, then 2, 4, ..., 256 times as many


def test_a_row_after_those_that_were_kept_is_zero() -> None:
    rows = GrowingRows((2,))
    rows.add(5)
    rows.used()[:] = 9.0
    rows.keep(np.array([1, 4]))
    rows.add()
    assert rows.used().tolist() == [[9.0, 9.0], [9.0, 9.0], [0.0, 0.0]]


def test_loaded_rows_are_a_copy() -> None:
    array = np.ones((2, 3))
    rows = GrowingRows((3,))
    rows.add(7)
    rows.load("a", {"a": array})
    rows.used()[:] = 5.0
    rows.add()
    assert rows.used().tolist() == [[5.0] * 3, [5.0] * 3, [0.0] * 3]
    assert array.tolist() == [[1.0] * 3] * 2


@pytest.mark.parametrize(
    ("arrays", "reason"),
    [
        ({}, r"array a is missing, expected \(n, 3\)"),
        ({"a": np.ones(3)}, r"array a is of shape \(3,\), expected \(n, 3\)"),
        ({"a": np.ones((2, 4))}, r"array a is of shape \(2, 4\), expected \(n, 3\)"),
    ],
)
def test_what_does_not_fit_is_refused(arrays: dict[str, np.ndarray], reason: str) -> None:
    with pytest.raises(IncompatibleModelError, match=reason):
        saved("a", arrays, (None, 3))
