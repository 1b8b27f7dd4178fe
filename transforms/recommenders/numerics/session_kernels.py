"""Kernels of `models.vmisknn`: sessions, the index of an item's last sessions, and scores."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from transforms.recommenders.numerics.jit import ZERO, compile_allocating, compile_exact
from transforms.recommenders.numerics.ragged_kernels import find, remove_at
from transforms.recommenders.numerics.top_n import keep_best


@compile_exact
def click(
    ids: NDArray[np.int32],
    starts: NDArray[np.int64],
    sizes: NDArray[np.int32],
    longest: int,
    session: int,
    item: int,
) -> tuple[bool, int]:
    """Makes an item the newest of a session; the row has room for it.

    Args:
        ids: The pool of sessions, the newest item of each last.
        starts: As in `RaggedRows`.
        sizes: As in `RaggedRows`.
        longest: The items that a session may have at most; the oldest is dropped for another.
        session: The row.
        item: What was clicked.

    Returns:
        Whether the session did not have the item, and the item that was dropped, -1 if none was.
    """
    start = starts[session]
    at = find(ids, start, sizes[session], item)
    dropped = -1
    if at >= 0:
        remove_at(ids, starts, sizes, session, at)
    elif sizes[session] == longest:
        dropped = ids[start]
        remove_at(ids, starts, sizes, session, start)
    ids[start + sizes[session]] = item
    sizes[session] += 1
    return at < 0, dropped


@compile_exact
def touch(
    ids: NDArray[np.int32],
    starts: NDArray[np.int64],
    sizes: NDArray[np.int32],
    room: NDArray[np.int32],
    most: int,
    items: NDArray[np.int32],
    session: int,
) -> int:
    """Makes a session the latest in the index of each of its items.

    Doing it twice changes nothing, so it may be begun again after a row got room.

    Args:
        ids: The pool of the index, the latest session of each item last.
        starts: As in `RaggedRows`.
        sizes: As in `RaggedRows`.
        room: As in `RaggedRows`.
        most: The sessions that a row may have at most; the least recent is dropped for another.
        items: The session's items.
        session: The session.

    Returns:
        An item whose row is full, -1 if all is done.
    """
    for item in items:
        start, size = starts[item], sizes[item]
        at = start + size - 1
        while at >= start and ids[at] != session:
            at -= 1
        if at < start:
            if size == most:
                at = start
            elif size == room[item]:
                return int(item)
            else:
                at = start + size
                sizes[item] += 1
        end = starts[item] + sizes[item] - 1
        for place in range(at, end):
            ids[place] = ids[place + 1]
        ids[end] = session
    return -1


@compile_allocating
def sample(
    ids: NDArray[np.int32],
    starts: NDArray[np.int64],
    sizes: NDArray[np.int32],
    latest: NDArray[np.int64],
    items: NDArray[np.int32],
    session: int,
    sessions: NDArray[np.int32],
    similarities: NDArray[np.float64],
    matches: NDArray[np.int32],
) -> int:
    """Merges the index rows of a session's items, the most recent session first.

    Args:
        ids: The pool of the index, as in `touch`.
        starts: As in `RaggedRows`.
        sizes: As in `RaggedRows`.
        latest: When each session had its last click, shape (n_user or more,).
        items: The session's items, the newest last.
        session: The session, which is no neighbor of itself.
        sessions: Is filled with the sample; its length is that of the sample at most.
        similarities: Is filled with the sum of (position / length) over what they share.
        matches: Is filled with the place of the newest shared item, 1 for the session's newest.

    Returns:
        How many sessions the sample has.
    """
    n = len(items)
    heads = np.empty(n, dtype=np.int64)
    for row in range(n):
        heads[row] = starts[items[row]] + sizes[items[row]] - 1
    count = 0
    while count < len(sessions):
        newest, when = -1, -1
        for row in range(n):
            if heads[row] >= starts[items[row]]:
                head = ids[heads[row]]
                if latest[head] > when:
                    newest, when = head, latest[head]
        if newest < 0:
            break
        # Whole numbers, so that equal similarities are equal to the bit.
        positions, match = 0, 0
        for row in range(n):
            if heads[row] >= starts[items[row]] and ids[heads[row]] == newest:
                heads[row] -= 1
                positions += row + 1
                match = n - row
        if newest != session:
            sessions[count] = newest
            similarities[count] = positions / n
            matches[count] = match
            count += 1
    return count


@compile_allocating
def add_neighbors(
    ids: NDArray[np.int32],
    starts: NDArray[np.int64],
    sizes: NDArray[np.int32],
    sessions: NDArray[np.int32],
    similarities: NDArray[np.float64],
    matches: NDArray[np.int32],
    k: int,
    log_counts: NDArray[np.float64],
    log_total: float,
    scores: NDArray[np.float64],
) -> None:
    """Adds what the k most similar sessions of a sample say of each item.

    Args:
        ids: The pool of sessions.
        starts: As in `RaggedRows`.
        sizes: As in `RaggedRows`.
        sessions: The sample, the most recent first; of equal similarities it is preferred.
        similarities: Of each.
        matches: As `sample` has them.
        k: How many sessions are neighbors.
        log_counts: Logarithm of the number of sessions with each item, shape (n_item or more,).
        log_total: Logarithm of the number of sessions.
        scores: Shape (n_item,), changed in place.
    """
    values = np.empty(k, dtype=np.float64)
    best = np.empty(k, dtype=np.int32)
    count = ZERO
    for at in range(len(sessions)):
        count = keep_best(values, best, count, similarities[at], at)
    for place in range(count):
        at = best[place]
        weight = max(0.0, 1.0 - 0.1 * matches[at]) * similarities[at]
        start = starts[sessions[at]]
        for entry in range(start, start + sizes[sessions[at]]):
            item = ids[entry]
            scores[item] += weight * (log_total - log_counts[item])
