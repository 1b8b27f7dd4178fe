from __future__ import annotations

import numpy as np
import pytest

from transforms.recommenders.numerics.counter_rng import draw, uniforms


def test_it_is_splitmix64() -> None:
    # The first output of the generator that starts at 0, from its authors' reference code.
    assert draw(0) == 0xE220A8397B1DCDAF


def test_every_part_of_a_key_matters() -> None:
    keys = [(1, 2), (2, 1), (1, 2, 0), (1,), (2,), (1, 3)]
    assert len({draw(*key) for key in keys}) == len(keys)
    assert draw(1, 2) == draw(1, 2)


def test_seeds_may_be_of_any_size() -> None:
    assert 0 <= draw(10**30, 5) < 2**64
    assert draw(10**30) != draw(10**30 + 1)


def test_many_at_once_are_the_same_numbers() -> None:
    assert uniforms(99, 50).tolist() == [(draw(99, i) >> 11) / 2**53 for i in range(50)]
    assert uniforms(99, 0).tolist() == []


@pytest.mark.parametrize("key", [0, 7, 2**63])
def test_they_are_uniform(key: int) -> None:
    counts, _ = np.histogram(uniforms(key, 100_000), bins=20, range=(0, 1))
    # Each bin is 5,000 +- 69.
    assert abs(counts - 5_000).max() < 350


def test_neighbouring_keys_have_nothing_in_common() -> None:
    rows = np.array([uniforms(key, 2_000) for key in range(20)])
    correlations = np.corrcoef(rows) - np.eye(20)
    assert abs(correlations).max() < 0.12
