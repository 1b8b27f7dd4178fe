"""Tests of `transforms.recommenders.numerics.sampling`."""

import pytest

from transforms.recommenders.numerics.sampling import is_sampled


@pytest.mark.parametrize("one_of", [1.0, 4.0, 16.0, 64.0])
@pytest.mark.parametrize("start", [0, 8192, 100_000_000_000])
def test_one_of_so_many_is_sampled(start: int, one_of: float) -> None:
    sampled = sum(is_sampled(float(start + number), one_of) for number in range(64_000))
    assert sampled == pytest.approx(64_000 / one_of, rel=0.01)


@pytest.mark.parametrize("period", [2, 3, 4, 5, 8, 10, 20, 64])
@pytest.mark.parametrize("one_of", [4.0, 8.0, 64.0])
def test_a_stream_with_a_period_is_sampled_in_each_part_of_it(period: int, one_of: float) -> None:
    for part in range(period):
        sampled = sum(is_sampled(float(part + period * n), one_of) for n in range(20_000))
        assert sampled == pytest.approx(20_000 / one_of, rel=0.05)


def test_what_is_sampled_rarely_is_sampled_often_too() -> None:
    for number in map(float, range(10_000)):
        assert is_sampled(number, 8.0) or not is_sampled(number, 24.0)
