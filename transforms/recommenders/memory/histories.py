"""Each user's last items, when they were chosen, and how often the newest one in a row."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from transforms.recommenders.arrays import Arrays, SavedArrays
from transforms.recommenders.memory.growable import GrowableRows
from transforms.recommenders.memory.ragged import RaggedRows
from transforms.recommenders.numerics.cooccurrence_arrays import HistoryArrays
from transforms.recommenders.numerics.habit_arrays import STREAKS


class Histories:
    """What `ItemKNN` knows of each user.

    Args:
        longest: Greatest length of a history, in items.
    """

    def __init__(self, longest: int) -> None:
        self._longest = longest
        # The newest item last.
        self._rows = RaggedRows(np.float64)
        self._streaks = GrowableRows(dtype=np.int8)

    @property
    def arrays(self) -> HistoryArrays:
        """For kernels, until a history needs room."""
        rows = self._rows
        return HistoryArrays(rows.ids, rows.values, rows.starts, rows.sizes, self._streaks.rows)

    def add_user(self) -> None:
        """Adds a user with an empty history."""
        self._rows.add_row()
        self._streaks.add()

    def reserve(self, user: int) -> None:
        """Makes room in a user's history for an item more, unless it is as long as can be."""
        self._rows.reserve_one(user, self._longest)

    def reserve_each(self, users: NDArray[np.int32]) -> None:
        """Does that for each of several choices; a user may have made more than one."""
        self._rows.reserve(users, self._longest)

    def newest(self, users: NDArray[np.int32]) -> NDArray[np.int32]:
        """Returns the newest item of each of these users who has a history."""
        rows = self._rows
        sizes = rows.sizes[users]
        last = rows.starts[users] + sizes - 1
        newest: NDArray[np.int32] = rows.ids[last[sizes > 0]]
        return newest

    def keep_users(self, kept: NDArray[np.intp]) -> None:
        """Drops all users but these."""
        self._rows.keep(kept)
        self._streaks.keep(kept)

    def keep_items(self, kept: NDArray[np.intp], n: int) -> None:
        """Drops all items but these of `n`."""
        self._rows.renumber(kept, n)

    def state_dict(self) -> Arrays:
        """Returns histories as rows end to end, and a streak for each user."""
        ends, ids, times = self._rows.packed()
        return {
            "histories.ends": ends,
            "histories.ids": ids,
            "histories.times": times,
            "streaks": self._streaks.used().copy(),
        }

    def load_state_dict(self, arrays: SavedArrays, n_user: int, n_item: int) -> None:
        """Takes over what `state_dict` returned.

        Raises:
            IncompatibleModelError: An array is missing or damaged, or a history is too long.
        """
        ends, ids = arrays.rows("histories", n_user, n_item)
        times = arrays.finite("histories.times", (len(ids),), largest=np.inf)
        fits = np.diff(ends, prepend=0).max(initial=0) <= self._longest
        arrays.require(fits, "histories.ends", f"has a history of more than {self._longest} items")
        streaks = arrays.numbers("streaks", np.int8, (n_user,))
        fits = ((streaks >= 0) & (streaks < STREAKS)).all()
        arrays.require(fits, "streaks", f"has a number that is not 0 to {STREAKS - 1}")
        self._rows.load(ends, ids, times)
        self._streaks.load(streaks)
