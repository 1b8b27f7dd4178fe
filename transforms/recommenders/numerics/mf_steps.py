"""Steps of gradient descent for one user and one item."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from transforms.recommenders.numerics.jit import compile_exact
from transforms.recommenders.numerics.stable_dot import dot


@compile_exact
def step(
    p: NDArray[np.float64],
    q: NDArray[np.float64],
    target: float,
    rate: float,
    item_rate: float,
    l2_reg: float,
) -> None:
    """Moves a user's and an item's factors by one step of `MF`.

    Args:
        p: The user's, shape (k,), changed in place.
        q: The item's, likewise.
        target: What their product should be.
        rate: Twice the user's step size.
        item_rate: Twice the item's.
        l2_reg: The regularization.
    """
    error = target - dot(p, q)
    for at in range(len(p)):
        before = p[at]
        p[at] = before + rate * (error * q[at] - l2_reg * before)
        q[at] += item_rate * (error * before - l2_reg * q[at])


@compile_exact
def step_from_zeros(
    p: NDArray[np.float64],
    items: NDArray[np.float64],
    zeros: NDArray[np.int32],
    seen: NDArray[np.int32],
    rate: float,
    l2_reg: float,
) -> None:
    """Moves a user's factors away from those of items, one after the other.

    Args:
        p: The user's factors, shape (k,), changed in place.
        items: All items' factors, shape (n_item or more, k).
        zeros: Items to move away from.
        seen: Items not to move away from, ascending.
        rate: Twice the user's step size.
        l2_reg: The regularization.
    """
    for zero in zeros:
        place = np.searchsorted(seen, zero)
        if place < len(seen) and seen[place] == zero:
            continue
        q = items[zero]
        error = 0.0 - dot(p, q)
        for at in range(len(p)):
            p[at] += rate * (error * q[at] - l2_reg * p[at])
