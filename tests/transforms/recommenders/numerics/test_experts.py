"""Tests of `transforms.recommenders.numerics.experts`."""

import pytest

from transforms.recommenders.numerics.experts import credited_choices


@pytest.mark.parametrize("with_repeats", [False, True])
def test_each_of_the_first_choices_gives_credit(with_repeats: bool) -> None:
    of_first = {credited_choices(float(positives), with_repeats) for positives in range(8192)}
    assert of_first == {1.0}


@pytest.mark.parametrize(("with_repeats", "stands_for"), [(True, 4.0), (False, 16.0)])
@pytest.mark.parametrize("start", [8192, 100_000, 100_000_000_000])
def test_later_credit_stands_for_the_choices_that_give_none(
    start: int, with_repeats: bool, stands_for: float
) -> None:
    choices = [credited_choices(float(start + number), with_repeats) for number in range(10_000)]
    assert set(choices) == {0.0, stands_for}
    assert sum(choices) == pytest.approx(10_000, rel=0.005)
