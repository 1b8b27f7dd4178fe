"""Kernels over rows of different lengths in one pool, see `memory.ragged`."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from transforms.recommenders.numerics.jit import compile_exact

FIRST_ROOM: Final = 4
"""Room of a row when it gets its first entry."""

_PART: Final = 64


@compile_exact
def find(ids: NDArray[np.int32], start: int, size: int, entry: int) -> int:
    """Returns the place of an entry in a row of a pool, -1 if the row does not have it."""
    end = start + size
    wanted = np.int32(entry)
    # A sum over a part of the row compares many at a time, which a loop that may end early cannot.
    while start + _PART <= end:
        found = np.int32(0)
        for place in range(start, start + _PART):
            found += np.int32(ids[place] == wanted)
        if found:
            break
        start += _PART
    for place in range(start, end):
        if ids[place] == wanted:
            return place
    return -1


@compile_exact
def _copy_row(
    ids: NDArray[np.int32],
    values: NDArray[np.generic],
    each: int,
    start: int,
    size: int,
    new_ids: NDArray[np.int32],
    new_values: NDArray[np.generic],
    new_start: int,
) -> None:
    for place in range(size):
        new_ids[new_start + place] = ids[start + place]
    for place in range(each * size):
        new_values[each * new_start + place] = values[each * start + place]


@compile_exact
def copy_rows(
    ids: NDArray[np.int32],
    values: NDArray[np.generic],
    each: int,
    starts: NDArray[np.int64],
    sizes: NDArray[np.int32],
    new_ids: NDArray[np.int32],
    new_values: NDArray[np.generic],
    new_starts: NDArray[np.int64],
) -> None:
    """Copies rows of a pool into another one.

    Args:
        ids: The pool.
        values: The values of `ids`, those of an id one after the other.
        each: How many an id has, 0 for none.
        starts: Where each row starts, shape (m,).
        sizes: How many entries each has, shape (m,).
        new_ids: The other pool; changes, as does the next.
        new_values: Its values.
        new_starts: Where each row is to start there, shape (m,).
    """
    for row in range(len(sizes)):
        start, new_start = starts[row], new_starts[row]
        _copy_row(ids, values, each, start, sizes[row], new_ids, new_values, new_start)


@compile_exact
def move_to_end(
    ids: NDArray[np.int32],
    values: NDArray[np.generic],
    each: int,
    starts: NDArray[np.int64],
    free: NDArray[np.int64],
    row: int,
    had: int,
    room: int,
) -> bool:
    """Moves a row of `had` entries to where the pool is free, if there is so much room.

    Args:
        ids: The pool.
        values: The values of `ids`, those of an id one after the other.
        each: How many an id has, 0 for none.
        starts: As in `RaggedRows`, as is `free`; changes.
        free: Changes.
        row: The row.
        had: How many entries it has.
        room: How many it is to have room for.

    Returns:
        Whether it was moved.
    """
    moved = free[0]
    if moved + room > len(ids):
        return False
    _copy_row(ids, values, each, starts[row], had, ids, values, moved)
    starts[row] = moved
    free[0] += room
    return True


@compile_exact
def reserve(
    ids: NDArray[np.int32],
    values: NDArray[np.generic],
    each: int,
    starts: NDArray[np.int64],
    sizes: NDArray[np.int32],
    room: NDArray[np.int32],
    free: NDArray[np.int64],
    rows: NDArray[np.int32],
    most: int,
) -> bool:
    """Makes room for one more entry in a row each time that it is named.

    A row without room moves to the end of the pool; once the pool is full, only `room` is raised.

    Args:
        ids: As in `move_to_end`; changes, as does `values`.
        values: As there.
        each: As there.
        starts: As in `RaggedRows`, as are the next three; changes.
        sizes: Restored before it returns.
        room: Changes.
        free: Changes.
        rows: Shape (m,).
        most: The room that a row may have at most.

    Returns:
        Whether all rows have their room; if not, the pool is to be laid out anew.
    """
    fits = True
    for row in rows:
        sizes[row] += 1
    for row in rows:
        needed, had = min(sizes[row], most), room[row]
        if needed <= had:
            continue
        wider = had
        while wider < needed:
            wider = min(most, max(FIRST_ROOM, 2 * wider))
        room[row] = wider
        fits = fits and move_to_end(ids, values, each, starts, free, row, had, wider)
    for row in rows:
        sizes[row] -= 1
    return fits


@compile_exact
def insert_sorted(
    ids: NDArray[np.int32],
    starts: NDArray[np.int64],
    sizes: NDArray[np.int32],
    room: NDArray[np.int32],
    row: int,
    entry: int,
) -> bool:
    """Adds an entry to an ascending row unless the row has it; returns False if it is full."""
    start = starts[row]
    low, high = start, start + sizes[row]
    end = high
    while low < high:
        middle = (low + high) // 2
        if ids[middle] < entry:
            low = middle + 1
        else:
            high = middle
    if low < end and ids[low] == entry:
        return True
    if sizes[row] == room[row]:
        return False
    for place in range(end, low, -1):
        ids[place] = ids[place - 1]
    ids[low] = entry
    sizes[row] += 1
    return True


@compile_exact
def insert_sorted_each(
    ids: NDArray[np.int32],
    starts: NDArray[np.int64],
    sizes: NDArray[np.int32],
    room: NDArray[np.int32],
    rows: NDArray[np.int32],
    entries: NDArray[np.int32],
    after: NDArray[np.int32],
    ends: NDArray[np.int64],
    before: NDArray[np.int32],
    new: NDArray[np.bool],
) -> None:
    """Adds entries to ascending rows one after the other, and copies each row as it is then.

    Args:
        ids: The pool.
        starts: As in `RaggedRows`.
        sizes: As in `RaggedRows`.
        room: As in `RaggedRows`.
        rows: Shape (m,).
        entries: Shape (m,); -1 adds nothing. There has to be room for the others.
        after: Is filled with the rows, end to end; empty if they are not asked for.
        ends: Is filled with where each begins and the last ends in `after`, shape (m + 1,).
        before: Is filled with the size of each row before, shape (m,).
        new: Is filled with whether the row did not have the entry, shape (m,).
    """
    for number in range(len(rows)):
        row = rows[number]
        before[number] = sizes[row]
        if entries[number] >= 0:
            insert_sorted(ids, starts, sizes, room, row, entries[number])
        new[number] = sizes[row] > before[number]
        if not len(after):
            continue
        end = ends[number]
        for place in range(starts[row], starts[row] + sizes[row]):
            after[end] = ids[place]
            end += 1
        ends[number + 1] = end


@compile_exact
def remove_at(
    ids: NDArray[np.int32],
    starts: NDArray[np.int64],
    sizes: NDArray[np.int32],
    row: int,
    place: int,
) -> None:
    """Removes the entry at a place of the pool from its row; the entries behind it move up."""
    for one in range(place, starts[row] + sizes[row] - 1):
        ids[one] = ids[one + 1]
    sizes[row] -= 1


@compile_exact
def remove(
    ids: NDArray[np.int32],
    starts: NDArray[np.int64],
    sizes: NDArray[np.int32],
    row: int,
    entry: int,
) -> None:
    """Removes an entry from a row, if the row has it."""
    place = find(ids, starts[row], sizes[row], entry)
    if place >= 0:
        remove_at(ids, starts, sizes, row, place)
