"""Inner products that are the same to the bit on every machine, with numba and without.

BLAS adds up in an order of its own that differs with the processor, so a model that is learned
again elsewhere, as after a worker has died, would differ in last bits. Here eight sums take turns
and are then added in pairs.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from transforms.recommenders import compiled

_LANES: Final = 8


def dot(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Returns the inner product of two vectors, with numpy alone."""
    return float(_dots(first[np.newaxis], second)[0])


def dots(rows: NDArray[np.float64], vector: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns the inner product of each row, shape (n, k), and a vector, shape (k,)."""
    return compiled.dots(rows, vector) if compiled.AVAILABLE else _dots(rows, vector)


def _dots(rows: NDArray[np.float64], vector: NDArray[np.float64]) -> NDArray[np.float64]:
    products = rows * vector
    k = products.shape[1]
    whole = k // _LANES * _LANES
    sums = np.zeros((len(products), _LANES))
    for start in range(0, whole, _LANES):
        sums += products[:, start : start + _LANES]
    while sums.shape[1] > 1:
        sums = sums[:, ::2] + sums[:, 1::2]
    total: NDArray[np.float64] = sums[:, 0]
    for at in range(whole, k):
        total = total + products[:, at]
    return total
