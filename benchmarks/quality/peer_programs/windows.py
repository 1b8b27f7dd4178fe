"""Histories of any length to batches of one shape, as a network that is compiled wants them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

LENGTH: Final = 15
ROWS: Final = 128
TARGETS: Final = 512


class Batch(NamedTuple):
    """Some windows of histories, in shapes that are compiled once.

    Attributes:
        items: Shape (ROWS, LENGTH); 0 where there is nothing.
        places: Where in the flattened `items` an item is followed by another, shape (TARGETS,).
        targets: The items that follow, shape (TARGETS,); 0 where there is nothing.
    """

    items: NDArray[np.int32]
    places: NDArray[np.int32]
    targets: NDArray[np.int32]


def batches(histories: Iterable[Sequence[int]], draws: np.random.Generator) -> Iterator[Batch]:
    """Cuts histories into windows, and yields all of them in a random order."""
    windows = [
        history[start : start + LENGTH + 1]
        for history in histories
        for start in range(0, len(history) - 1, LENGTH)
    ]
    batch, row, filled = _empty(), 0, 0
    for number in draws.permutation(len(windows)).tolist():
        window = windows[number]
        count = len(window) - 1
        if row == ROWS or filled + count > TARGETS:
            yield batch
            batch, row, filled = _empty(), 0, 0
        batch.items[row, :count] = window[:-1]
        batch.places[filled : filled + count] = np.arange(count) + row * LENGTH
        batch.targets[filled : filled + count] = window[1:]
        row, filled = row + 1, filled + count
    if row:
        yield batch


def _empty() -> Batch:
    items = np.zeros((ROWS, LENGTH), dtype=np.int32)
    return Batch(items, *np.zeros((2, TARGETS), dtype=np.int32))
