from __future__ import annotations

import numpy as np
import pytest

from transforms.recommenders.arrays import SavedArrays
from transforms.recommenders.memory.factor_matrix import FactorMatrix


def _grown(n: int, k: int = 4, seed: int = 7, name: int = 0) -> FactorMatrix:
    matrix = FactorMatrix(k, seed, name)
    for _ in range(n):
        matrix.add()
    return matrix


@pytest.mark.parametrize("n", [0, 1, 2, 1023, 1024, 1025, 2049, 5000])
def test_it_has_as_many_rows_as_were_added(n: int) -> None:
    matrix = _grown(n)
    assert matrix.n == n
    assert matrix.used().shape == (n, 4)


def test_a_rows_value_depends_on_its_number_alone() -> None:
    assert np.array_equal(_grown(5000).used()[:1500], _grown(1500).used())


def test_seed_and_name_give_other_rows() -> None:
    rows = _grown(3).used()
    assert np.array_equal(rows, _grown(3).used())
    assert not np.array_equal(rows, _grown(3, seed=8).used())
    assert not np.array_equal(rows, _grown(3, name=1).used())
    assert not np.array_equal(_grown(3, seed=0, name=1).used(), _grown(3, seed=1, name=0).used())


def test_initial_values_never_change_from_release_to_release() -> None:
    first = np.random.default_rng((7, 0, 0)).normal(0.0, 0.1, (1024, 4))
    second = np.random.default_rng((7, 0, 1)).normal(0.0, 0.1, (1024, 4))
    assert np.array_equal(_grown(1500).used(), np.concatenate([first, second])[:1500])
    pinned = [0.00012302, 0.02987455, -0.02741379, -0.08905918]
    assert _grown(1).used()[0].tolist() == pytest.approx(pinned, abs=1e-8)


def test_initial_values_are_normal_with_the_deviation_of_flurs() -> None:
    values = _grown(5000, k=10).used()
    assert abs(values.mean()) < 0.002
    assert abs(values.std() - 0.1) < 0.002


def test_all_rows_differ() -> None:
    assert len(np.unique(_grown(5000).used(), axis=0)) == 5000


def test_growing_keeps_what_was_learned() -> None:
    matrix = _grown(3)
    matrix.used()[1] = [1.0, 2.0, 3.0, 4.0]
    for _ in range(3000):
        matrix.add()
    assert matrix.rows[1].tolist() == [1.0, 2.0, 3.0, 4.0]


def test_the_used_rows_are_a_view() -> None:
    matrix = _grown(3)
    matrix.used()[2, 0] = 5.0
    assert matrix.rows[2, 0] == 5.0


def test_rows_are_copied_only_when_their_number_doubles() -> None:
    matrix = FactorMatrix(4, 7, 0)
    copies = 0
    for _ in range(10_000):
        rows = matrix.rows
        matrix.add()
        copies += matrix.rows is not rows
    assert copies == 5  # 1,024, then 2, 4, 8 and 16 times as many


@pytest.mark.parametrize("n", [0, 1, 1023, 1024, 1025, 2048, 3000])
def test_a_loaded_matrix_goes_on_with_the_very_same_rows(n: int) -> None:
    original = _grown(n)
    original.used()[:] += 0.5
    saved = original.used().copy()
    loaded = FactorMatrix(4, 7, 0)
    loaded.load("p", SavedArrays({"p": saved, "p.dropped": np.array([0])}), n)
    assert loaded.n == n
    assert np.array_equal(loaded.used(), saved)
    for _ in range(2500):
        original.add()
        loaded.add()
    assert np.array_equal(loaded.used(), original.used())


def test_loading_replaces_what_was_there() -> None:
    matrix = _grown(2000)
    matrix.used()[:] = 9.0
    matrix.load("p", SavedArrays({"p": np.ones((2, 4)), "p.dropped": np.array([0])}), 2)
    assert matrix.n == 2
    assert matrix.used().tolist() == [[1.0] * 4] * 2
    matrix.add()
    assert np.array_equal(matrix.used()[2], _grown(3).used()[2])


def test_loaded_rows_are_a_copy() -> None:
    saved = np.ones((2, 4))
    saved.flags.writeable = False
    matrix = FactorMatrix(4, 7, 0)
    matrix.load("p", SavedArrays({"p": saved, "p.dropped": np.array([0])}), None)
    matrix.used()[0, 0] = 5.0
    assert saved[0, 0] == 1.0


def test_kept_rows_close_ranks_and_the_next_is_drawn_afresh() -> None:
    matrix = _grown(3000)
    kept = np.arange(0, 3000, 7)
    matrix.keep(kept)
    assert np.array_equal(matrix.used(), _grown(3000).used()[kept])
    matrix.add()
    assert np.array_equal(matrix.used()[-1], _grown(3001).used()[3000])
    loaded = FactorMatrix(4, 7, 0)
    loaded.load("p", SavedArrays(matrix.to_arrays("p")), len(kept) + 1)
    loaded.add()
    assert np.array_equal(loaded.used()[-1], _grown(3002).used()[3001])
