"""Which items each user has, and which of them the user does not want."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from transforms.recommenders.arrays import Arrays, SavedArrays
from transforms.recommenders.memory.ragged import RaggedRows
from transforms.recommenders.numerics.ragged_kernels import (
    insert_sorted,
    insert_sorted_each,
    remove,
)

_NO_ITEMS: Final = np.zeros(0, dtype=np.int32)


class SeenAfter(NamedTuple):
    """What users had seen just after each of m choices.

    Attributes:
        ids: The items, ascending for each choice, end to end.
        ends: Where each begins and the last ends in `ids`, shape (m + 1,).
        sizes: How many items each user had before, shape (m,).
        new: Whether the item was new to the user, shape (m,).
    """

    ids: NDArray[np.int32]
    ends: NDArray[np.int64]
    sizes: NDArray[np.int32]
    new: NDArray[np.bool]


class UserItems:
    """The items that users have seen, and among them those that they rejected."""

    def __init__(self) -> None:
        self._seen = RaggedRows()
        self._rejected = RaggedRows()

    @property
    def any_rejected(self) -> bool:
        """Whether there can be a rejected item; False costs nothing to ask."""
        return len(self._rejected.ids) > 0 and bool(self._rejected.sizes.any())

    def add_user(self) -> None:
        """Adds a user who has nothing."""
        self._seen.add_row()
        self._rejected.add_row()

    def seen(self, user: int) -> NDArray[np.int32]:
        """Returns the items that a user has, ascending, as a view."""
        return self._seen.row(user)

    def has(self, user: int, item: int) -> bool:
        """Whether a user has an item."""
        return _has(self._seen.row(user), item)

    def see(self, user: int, item: int) -> None:
        """Adds an item to those that a user has."""
        _insert(self._seen, user, item)

    def see_all(
        self, users: NDArray[np.int32], items: NDArray[np.int32], *, with_seen: bool
    ) -> SeenAfter:
        """Does what `see` does with each pair, in order; an item of -1 adds nothing.

        Args:
            users: Shape (m,).
            items: Shape (m,).
            with_seen: Whether to return the items; else `ids` is empty and `ends` zero.
        """
        seen, m = self._seen, len(users)
        seen.reserve(users[items >= 0])
        # A user may gain as many items as there are choices.
        most = int(seen.sizes[users].sum()) + m * m if with_seen else 0
        after = np.empty(most, dtype=np.int32)
        ends = np.zeros(m + 1, dtype=np.int64)
        sizes = np.empty(m, dtype=np.int32)
        new = np.zeros(m, dtype=np.bool)
        insert_sorted_each(
            seen.ids, seen.starts, seen.sizes, seen.room, users, items, after, ends, sizes, new
        )
        return SeenAfter(after[: ends[-1]], ends, sizes, new)

    def reject(self, user: int, item: int) -> None:
        """Keeps an item out of a user's lists, also where repeats are allowed."""
        _insert(self._rejected, user, item)

    def accept(self, user: int, item: int) -> None:
        """Takes back what `reject` did."""
        rows = self._rejected
        remove(rows.ids, rows.starts, rows.sizes, user, item)

    def has_rejected(self, user: int, item: int) -> bool:
        """Whether a user rejected an item."""
        return bool(self._rejected.sizes[user]) and _has(self._rejected.row(user), item)

    def excluded(self, user: int, *, allow_repeats: bool) -> NDArray[np.int32]:
        """Returns the items that a user's list must not have, ascending, as a view."""
        return (self._rejected if allow_repeats else self._seen).row(user)

    def rejected_by(
        self, users: Sequence[int] | NDArray[np.int32]
    ) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """Returns what each of several users rejected, end to end, and where each begins."""
        ends = np.zeros(len(users) + 1, dtype=np.int64)
        np.cumsum(self._rejected.sizes[np.asarray(users)], out=ends[1:])
        if not ends[-1]:
            return _NO_ITEMS, ends
        return np.concatenate([self._rejected.row(int(user)) for user in users]), ends

    def keep_users(self, kept: NDArray[np.intp]) -> None:
        """Drops all users but these."""
        self._seen.keep(kept)
        self._rejected.keep(kept)

    def keep_items(self, kept: NDArray[np.intp], n: int) -> None:
        """Drops all items but these of `n`."""
        self._seen.renumber(kept, n)
        self._rejected.renumber(kept, n)

    def state_dict(self) -> Arrays:
        """Returns both as rows end to end."""
        seen_ends, seen_ids, _ = self._seen.packed()
        rejected_ends, rejected_ids, _ = self._rejected.packed()
        return {
            "seen.ends": seen_ends,
            "seen.ids": seen_ids,
            "rejected.ends": rejected_ends,
            "rejected.ids": rejected_ids,
        }

    def load(self, arrays: SavedArrays, n_user: int, n_item: int) -> None:
        """Takes over what `state_dict` returned.

        Raises:
            IncompatibleModelError: It is damaged.
        """
        self._seen.load(*arrays.rows("seen", n_user, n_item, ascending=True))
        self._rejected.load(*arrays.rows("rejected", n_user, n_item, ascending=True))


def _insert(rows: RaggedRows, row: int, entry: int) -> None:
    while not insert_sorted(rows.ids, rows.starts, rows.sizes, rows.room, row, entry):
        rows.widen(row)


def _has(row: NDArray[np.int32], entry: int) -> bool:
    place = int(np.searchsorted(row, entry))
    return place < len(row) and int(row[place]) == entry
