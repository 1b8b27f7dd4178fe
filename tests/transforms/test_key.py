from __future__ import annotations

import subprocess
import sys

import apache_beam as beam
import pytest
from apache_beam.coders import TupleCoder, registry
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.test_stream import TestStream
from apache_beam.testing.util import assert_that, equal_to
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import ROOT, movielens_like
from transforms.elements import RatingBatch, RatingBatchCoder
from transforms.formats.records import Rating
from transforms.key import KeyByCell, block_of, by_cell

# A job that is restored from a savepoint finds its cells by these numbers: never change them.
PINNED = {
    "1": (0, 2, 2, 6, 910),
    "196": (1, 1, 6, 9, 673),
    "242": (0, 1, 0, 14, 206),
    "u-é": (0, 0, 5, 14, 854),
    "": (0, 0, 0, 4, 876),
    "日本": (0, 0, 2, 10, 370),
}


@pytest.mark.parametrize("name", PINNED)
def test_blocks_never_change(name: str) -> None:
    assert tuple(block_of(name, blocks) for blocks in (2, 3, 7, 16, 1000)) == PINNED[name]


@settings(deadline=None)
@given(st.text(), st.integers(1, 10_000))
def test_a_block_is_one_of_the_blocks(name: str, blocks: int) -> None:
    assert 0 <= block_of(name, blocks) < blocks
    assert block_of(name, 1) == 0


def test_blocks_are_the_same_in_another_process() -> None:
    code = "from transforms.key import block_of; print(block_of('196', 1000))"
    other = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert other.stdout.strip() == "673"


def test_ids_are_spread_evenly() -> None:
    sizes = [0] * 8
    for number in range(8000):
        sizes[block_of(str(number), 8)] += 1
    assert min(sizes) > 900
    assert max(sizes) < 1100


def _rating(user: str, item: str, line: int) -> Rating:
    return Rating(user, item, 3.0, 1.0, f"a:{line}")


# By PINNED, in a grid of 2 x 3: users 1 and 242 are in row 0, user 196 is in row 1;
# item 1 is in column 2, items 196 and 242 are in column 1, item u-é is in column 0.
RATINGS = [
    _rating("196", "242", 1),
    _rating("1", "1", 2),
    _rating("242", "1", 3),
    _rating("196", "196", 4),
    _rating("196", "u-é", 5),
    _rating("1", "242", 6),
    _rating("1", "1", 7),
]
GROUPS = {
    (1, 1): [RATINGS[0], RATINGS[3]],
    (0, 2): [RATINGS[1], RATINGS[2], RATINGS[6]],
    (1, 0): [RATINGS[4]],
    (0, 1): [RATINGS[5]],
}


def test_groups_and_their_ratings_stand_in_the_order_of_the_input() -> None:
    groups = by_cell(RATINGS, 2, 3)
    assert list(groups.items()) == list(GROUPS.items())


def test_a_single_cell_takes_all() -> None:
    assert by_cell(RATINGS, 1, 1) == {(0, 0): RATINGS}


def test_a_grid_of_rows_or_of_columns_only() -> None:
    assert set(by_cell(RATINGS, 2, 1)) == {(0, 0), (1, 0)}
    assert set(by_cell(RATINGS, 1, 3)) == {(0, 0), (0, 1), (0, 2)}


@pytest.mark.parametrize("grid", [(1, 1), (2, 3)])
def test_no_ratings_give_no_groups(grid: tuple[int, int]) -> None:
    assert by_cell([], *grid) == {}


@pytest.mark.parametrize("grid", [(1, 1), (1, 4), (3, 1), (3, 4)])
def test_no_rating_is_lost_and_each_cells_order_is_kept(grid: tuple[int, int]) -> None:
    ratings = movielens_like(500)
    groups = by_cell(ratings, *grid)
    for (row, column), group in groups.items():
        assert group == [
            rating
            for rating in ratings
            if (block_of(rating.user, grid[0]), block_of(rating.item, grid[1])) == (row, column)
        ]
    assert sum(map(len, groups.values())) == 500


EXPECTED = [(cell, RatingBatch(group, 5.0)) for cell, group in GROUPS.items()]


def test_a_batch_goes_to_each_cell_that_it_touches() -> None:
    with TestPipeline(runner="FnApiRunner") as pipeline:
        keyed = pipeline | beam.Create([RatingBatch(RATINGS, 5.0)]) | KeyByCell(2, 3)
        assert_that(keyed, equal_to(EXPECTED))


def test_it_keys_a_stream() -> None:
    stream = (
        TestStream(coder=RatingBatchCoder())
        .add_elements([RatingBatch(RATINGS, 5.0)])
        .advance_watermark_to(10)
        .add_elements([RatingBatch(RATINGS[:1], 6.0)])
        .advance_watermark_to_infinity()
    )
    with TestPipeline() as pipeline:
        keyed = pipeline | stream | KeyByCell(2, 3)
        assert_that(keyed, equal_to([*EXPECTED, ((1, 1), RatingBatch(RATINGS[:1], 6.0))]))


def test_one_cell_is_the_default() -> None:
    with TestPipeline(runner="FnApiRunner") as pipeline:
        keyed = pipeline | beam.Create([RatingBatch(RATINGS, 5.0), RatingBatch([])]) | KeyByCell()
        assert_that(keyed, equal_to([((0, 0), RatingBatch(RATINGS, 5.0))]))


def test_the_keys_coder_is_deterministic() -> None:
    keyed = TestPipeline() | beam.Create([RatingBatch(RATINGS)]) | KeyByCell(2, 3)
    coder = registry.get_coder(keyed.element_type)
    assert isinstance(coder, TupleCoder)
    assert coder.key_coder().is_deterministic()
    assert type(coder.value_coder()) is RatingBatchCoder


@pytest.mark.parametrize("grid", [(0, 1), (1, 0), (-1, 2)])
def test_a_grid_without_cells_is_refused_at_once(grid: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=f"the grid is {grid[0]} x {grid[1]}, expected 1 x 1"):
        KeyByCell(*grid)
