"""Positives to the cell of the grid that learns them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from uuid import uuid4

import apache_beam as beam

from transforms.elements import Cell, KeyedRatings, RatingBatch
from transforms.key_groups import KEY_GROUPS, salt
from transforms.recommenders.blocks import block_of


def by_row(batch: RatingBatch, user_blocks: int) -> dict[int, RatingBatch]:
    """Splits a batch by the block of the user; each part keeps its order."""
    if user_blocks == 1:
        return {0: batch} if batch.ratings or batch.requests else {}
    rows: dict[int, RatingBatch] = {}
    for rating in batch.ratings:
        row = block_of(rating.user, user_blocks)
        rows.setdefault(row, RatingBatch([], batch.published, [])).ratings.append(rating)
    for request in batch.requests:
        row = block_of(request.user, user_blocks)
        rows.setdefault(row, RatingBatch([], batch.published, [])).requests.append(request)
    return rows


def cell_of(row: int, column: int, grid: tuple[int, int], key_groups: int = KEY_GROUPS) -> Cell:
    """Returns the key of a cell; a row's cells lie far apart, as they work on the same batches."""
    place = column * grid[0] + row
    return row, column, salt((row, column), place, grid[0] * grid[1], key_groups)


@dataclass
class KeyByCell(beam.PTransform):
    """`RatingBatch` to (cell, `RatingBatch`).

    A batch goes to every cell of its users' row: one of them learns a rating, the one that has
    the item, and all of them are asked for the user's list. `Recommend` puts the lists together.

    Attributes:
        user_blocks: Rows of the grid.
        item_blocks: Columns of the grid; `Recommend` has to be told the same number.
        key_groups: Flink's maximal parallelism, over which the cells are spread evenly.
    """

    user_blocks: int = 1
    item_blocks: int = 1
    key_groups: int = KEY_GROUPS

    def __post_init__(self) -> None:
        """Raises ValueError for a grid without cells."""
        super().__init__()
        if self.user_blocks < 1 or self.item_blocks < 1:
            msg = f"the grid is {self.user_blocks} x {self.item_blocks}, expected 1 x 1 or more"
            raise ValueError(msg)

    def expand(self, ratings: beam.PCollection[RatingBatch]) -> beam.PCollection[KeyedRatings]:
        """Adds the step."""
        step = beam.ParDo(_KeyDoFn(self.user_blocks, self.item_blocks, self.key_groups))
        return ratings | "Key" >> step.with_output_types(KeyedRatings)


class _KeyDoFn(beam.DoFn):
    def __init__(self, user_blocks: int, item_blocks: int, key_groups: int) -> None:
        self._blocks = (user_blocks, item_blocks)
        self._key_groups = key_groups

    def process(self, element: RatingBatch) -> Iterator[KeyedRatings]:
        user_blocks, item_blocks = self._blocks
        for row, batch in by_row(element, user_blocks).items():
            whole = replace(batch, name=uuid4().hex) if item_blocks > 1 else batch
            for column in range(item_blocks):
                yield cell_of(row, column, (user_blocks, item_blocks), self._key_groups), whole
