"""What a stretch of steps of matrix factorization leaves behind, to list from afterwards."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from transforms.recommenders import near_one
from transforms.recommenders.factors import FactorMatrix
from transforms.recommenders.model import Listed, Stretch
from transforms.recommenders.screen import Screen

_NOTHING: Final = np.empty(0, dtype=np.int32)
_NOTHING.flags.writeable = False


_NOBODY: Final = np.zeros(1, dtype=np.int32)
_NO_ITEM: Final = np.full(1, -1, dtype=np.int32)


class FactorTrail:
    """A `Trail` of factors.

    Args:
        stretch: What is learned.
        items: All items' factors.
        screen: Theirs.

    Attributes:
        p_after: The user's factors after each step, shape (m, k), to be filled.
        q_before: The item's factors before each step, shape (m, k), to be filled where there
            is an item.
    """

    def __init__(self, stretch: Stretch, items: FactorMatrix, screen: Screen) -> None:
        self._stretch = stretch
        self._items = items
        self._screen = screen
        shape = (len(stretch.users), items.rows.shape[1])
        self.p_after: NDArray[np.float64] = np.empty(shape)
        self.q_before: NDArray[np.float64] = np.empty(shape)

    def best_items(self, n: int, *, leave_out: bool) -> Listed:
        """Returns what `MF.best_items` would have said after each step."""
        stretch, screen = self._stretch, self._screen
        m = len(stretch.users)
        screen.follow(self._items.used())
        found = Listed(
            np.empty((m, n), dtype=np.int32), np.empty((m, n)), np.empty(m, dtype=np.int32)
        )
        near_one.list_along(
            self.p_after.astype(np.float32) @ screen.copy.T,
            self._items.rows,
            screen.copy,
            stretch.items,
            stretch.sizes,
            self.p_after,
            self.q_before,
            stretch.known if leave_out else _NOTHING,
            stretch.ends if leave_out else np.zeros(m + 1, dtype=np.int64),
            screen.errors(self.p_after),
            *found,
        )
        return found


def best_of_one(
    p: NDArray[np.float64],
    left_out: NDArray[np.int32],
    n: int,
    items: FactorMatrix,
    screen: Screen,
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Returns what `MF.best_items` does for one user's factors, as a trail of no step."""
    fixed = left_out.view()
    # As those of stretches are, for which the kernel is compiled.
    fixed.flags.writeable = False
    sizes = np.array([items.n], dtype=np.int32)
    ends = np.array([0, len(fixed)], dtype=np.int64)
    trail = FactorTrail(Stretch(_NOBODY, _NO_ITEM, sizes, fixed, ends), items, screen)
    trail.p_after[0] = p
    best, scores, counts = trail.best_items(n, leave_out=True)
    return best[0, : counts[0]], scores[0, : counts[0]]
