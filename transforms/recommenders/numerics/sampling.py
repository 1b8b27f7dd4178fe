"""Which positives of a stream are sampled."""

from __future__ import annotations

from typing import Final

from transforms.recommenders.numerics.jit import compile_exact

_GOLDEN_RATIO: Final = 0.6180339887498949


@compile_exact
def is_sampled(number: float, one_of: float) -> bool:
    """Whether a positive is in the sample of one in so many.

    Those that are sampled have no period, as a stream may have one: products with the golden ratio,
    modulo 1, are spread evenly in the long run. What is sampled with a higher `one_of` is with a
    lower one, too.
    """
    return number * _GOLDEN_RATIO % 1.0 < 1.0 / one_of
