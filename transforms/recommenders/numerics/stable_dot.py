"""Inner products that are the same to the bit on every machine.

BLAS adds up in an order that depends on the processor, so a model that is learned again
elsewhere, as after a worker has died, would differ in its last bits. Here eight partial sums
take turns and are then added in pairs.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from transforms.recommenders.numerics.jit import compile_allocating, compile_exact


@compile_exact
def dot(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Returns the inner product of two vectors, shape (k,) each."""
    k = len(first)
    whole = k // 8 * 8
    a = b = c = d = e = f = g = h = 0.0
    for at in range(0, whole, 8):
        a += first[at] * second[at]
        b += first[at + 1] * second[at + 1]
        c += first[at + 2] * second[at + 2]
        d += first[at + 3] * second[at + 3]
        e += first[at + 4] * second[at + 4]
        f += first[at + 5] * second[at + 5]
        g += first[at + 6] * second[at + 6]
        h += first[at + 7] * second[at + 7]
    total = ((a + b) + (c + d)) + ((e + f) + (g + h))
    for at in range(whole, k):
        total += first[at] * second[at]
    return total


@compile_allocating
def dots(rows: NDArray[np.float64], vector: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns the inner product of each row, shape (n, k), and a vector, shape (k,)."""
    found = np.empty(len(rows))
    for number in range(len(rows)):
        found[number] = dot(rows[number], vector)
    return found
