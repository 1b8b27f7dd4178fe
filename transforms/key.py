"""Positives to the cell of the grid that learns them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import apache_beam as beam

from transforms.elements import Cell, KeyedRatings, RatingBatch
from transforms.formats.records import Rating


def block_of(name: str, blocks: int) -> int:
    """Returns which of `blocks` an id belongs to, the same in every process and release."""
    if blocks == 1:
        return 0
    digest = hashlib.blake2b(name.encode("utf-8"), digest_size=8).digest()
    return int.from_bytes(digest, "big") % blocks


def by_cell(ratings: list[Rating], user_blocks: int, item_blocks: int) -> dict[Cell, list[Rating]]:
    """Groups ratings by cell, each group in the order in which they came."""
    if user_blocks == item_blocks == 1:
        return {(0, 0): ratings} if ratings else {}
    groups: dict[Cell, list[Rating]] = {}
    for rating in ratings:
        cell = (block_of(rating.user, user_blocks), block_of(rating.item, item_blocks))
        groups.setdefault(cell, []).append(rating)
    return groups


@dataclass
class KeyByCell(beam.PTransform):
    """`RatingBatch` to (cell, `RatingBatch`), one for each cell that the batch touches.

    Attributes:
        user_blocks: Rows of the grid.
        item_blocks: Columns of the grid.
    """

    user_blocks: int = 1
    item_blocks: int = 1

    def __post_init__(self) -> None:
        """Raises ValueError for a grid without cells."""
        super().__init__()
        if self.user_blocks < 1 or self.item_blocks < 1:
            msg = f"the grid is {self.user_blocks} x {self.item_blocks}, expected 1 x 1 or more"
            raise ValueError(msg)

    def expand(self, ratings: beam.PCollection[RatingBatch]) -> beam.PCollection[KeyedRatings]:
        """Adds the step."""
        step = beam.ParDo(_KeyDoFn(self.user_blocks, self.item_blocks))
        return ratings | "Key" >> step.with_output_types(KeyedRatings)


class _KeyDoFn(beam.DoFn):
    def __init__(self, user_blocks: int, item_blocks: int) -> None:
        self._blocks = (user_blocks, item_blocks)

    def process(self, element: RatingBatch) -> Iterator[KeyedRatings]:
        for cell, ratings in by_cell(list(element.ratings), *self._blocks).items():
            yield cell, RatingBatch(ratings, element.published)
