"""Tests of `transforms.recommenders.numerics.experts`."""

import pytest

from transforms.recommenders.numerics.experts import credited_choices


def test_each_of_the_first_choices_gives_credit() -> None:
    assert {credited_choices(float(positives)) for positives in range(8192)} == {1.0}


@pytest.mark.parametrize("start", [8192, 100_000, 100_000_000_000])
def test_later_credit_stands_for_the_choices_that_give_none(start: int) -> None:
    choices = [credited_choices(float(start + number)) for number in range(10_000)]
    assert set(choices) == {0.0, 4.0}
    assert sum(choices) == pytest.approx(10_000, rel=0.002)


@pytest.mark.parametrize("period", [2, 3, 4, 5, 8, 10, 20])
def test_a_stream_with_a_period_gives_credit_for_each_part_of_it(period: int) -> None:
    for part in range(period):
        choices = [credited_choices(float(8192 + part + period * n)) for n in range(2_000)]
        assert sum(choices) == pytest.approx(2_000, rel=0.02)
