"""Random numbers that are a function of a key, so that whoever has the key draws them again."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

_MASK: Final = (1 << 64) - 1
_STEP: Final = 0x9E3779B97F4A7C15
_FIRST: Final = 0xBF58476D1CE4E5B9
_SECOND: Final = 0x94D049BB133111EB


def draw(*key: int) -> int:
    """Returns 64 random bits for a key of whole numbers.

    A generator would cost more than the step of learning that it is for; this is the finaliser
    of SplitMix64 over each part of the key.

    References:
        G. L. Steele, D. Lea, C. H. Flood. Fast Splittable Pseudorandom Number Generators.
        OOPSLA 2014.
    """
    bits = 0
    for part in key:
        bits = (bits ^ part) + _STEP & _MASK
        bits = (bits ^ bits >> 30) * _FIRST & _MASK
        bits = (bits ^ bits >> 27) * _SECOND & _MASK
        bits ^= bits >> 31
    return bits


def uniforms(key: int, n: int) -> NDArray[np.float64]:
    """Returns `n` numbers in [0, 1): number i has the first 53 bits of `draw(key, i)`.

    Args:
        key: 64 bits, such as `draw` returns.
        n: How many.
    """
    start = np.uint64(draw(key))
    bits = (start ^ np.arange(n, dtype=np.uint64)) + np.uint64(_STEP)
    bits = (bits ^ bits >> np.uint64(30)) * np.uint64(_FIRST)
    bits = (bits ^ bits >> np.uint64(27)) * np.uint64(_SECOND)
    bits ^= bits >> np.uint64(31)
    return np.asarray((bits >> np.uint64(11)) * 2.0**-53)
