from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import apache_beam as beam
import pytest
from apache_beam.coders import TupleCoder, registry
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.test_stream import TestStream
from apache_beam.testing.util import assert_that, equal_to
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import ROOT, movielens_like
from transforms.elements import Cell, RatingBatch, RatingBatchCoder
from transforms.formats.records import Rating, Request
from transforms.key import KeyByCell, by_row, cell_of
from transforms.recommenders.blocks import block_of

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
    code = "from transforms.recommenders.blocks import block_of; print(block_of('196', 1000))"
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


# By PINNED, in two rows: users 1 and 242 are in row 0, user 196 is in row 1.
RATINGS = [
    _rating("196", "242", 1),
    _rating("1", "1", 2),
    _rating("242", "1", 3),
    _rating("196", "196", 4),
    _rating("1", "1", 5),
]
REQUESTS = [Request("1", 2.0, "b:1"), Request("196", 3.0, "b:2", (0.5,))]
ROWS = {
    1: RatingBatch([RATINGS[0], RATINGS[3]], 5.0, [REQUESTS[1]]),
    0: RatingBatch([RATINGS[1], RATINGS[2], RATINGS[4]], 5.0, [REQUESTS[0]]),
}
BATCH = RatingBatch(RATINGS, 5.0, REQUESTS)


def test_rows_and_what_is_theirs_stand_in_the_order_of_the_input() -> None:
    assert list(by_row(BATCH, 2).items()) == list(ROWS.items())


def test_a_single_row_takes_all() -> None:
    assert by_row(BATCH, 1) == {0: BATCH}


@pytest.mark.parametrize("rows", [1, 3])
def test_an_empty_batch_goes_nowhere(rows: int) -> None:
    assert by_row(RatingBatch([]), rows) == {}


@pytest.mark.parametrize("rows", [1, 3])
def test_a_batch_of_requests_only_is_a_batch(rows: int) -> None:
    assert set(by_row(RatingBatch([], 5.0, [REQUESTS[0]]), rows)) == {block_of("1", rows)}


@pytest.mark.parametrize("rows", [1, 3])
def test_no_rating_is_lost_and_each_rows_order_is_kept(rows: int) -> None:
    ratings = movielens_like(500)
    groups = by_row(RatingBatch(ratings), rows)
    for row, batch in groups.items():
        assert batch.ratings == [one for one in ratings if block_of(one.user, rows) == row]
    assert sum(map(len, groups.values())) == 500


def test_a_batch_goes_to_the_cell_of_each_row() -> None:
    with TestPipeline(runner="FnApiRunner") as pipeline:
        keyed = pipeline | beam.Create([BATCH]) | KeyByCell(2)
        assert_that(
            keyed, equal_to([(cell_of(row, 0, (2, 1)), batch) for row, batch in ROWS.items()])
        )


def test_with_item_blocks_it_goes_to_all_cells_of_the_row_under_one_name() -> None:
    with TestPipeline(runner="FnApiRunner") as pipeline:
        keyed = pipeline | beam.Create([BATCH, BATCH]) | KeyByCell(2, 3)
        assert_that(keyed, _is_whole_rows)


def _is_whole_rows(keyed: list[tuple[Cell, RatingBatch]]) -> None:
    named: dict[str, set[tuple[int, int]]] = {}
    for (row, column, _), batch in keyed:
        named.setdefault(batch.name, set()).add((row, column))
        assert replace(batch, name="") == ROWS[row]
    assert len(named) == 4
    assert all(len(cells) == 3 and len({row for row, _ in cells}) == 1 for cells in named.values())


def test_it_keys_a_stream() -> None:
    stream = (
        TestStream(coder=RatingBatchCoder())
        .add_elements([BATCH])
        .advance_watermark_to(10)
        .add_elements([RatingBatch(RATINGS[:1], 6.0)])
        .advance_watermark_to_infinity()
    )
    with TestPipeline() as pipeline:
        keyed = pipeline | stream | KeyByCell(2)
        expected = [(cell_of(row, 0, (2, 1)), batch) for row, batch in ROWS.items()]
        last = (cell_of(1, 0, (2, 1)), RatingBatch(RATINGS[:1], 6.0))
        assert_that(keyed, equal_to([*expected, last]))


def test_one_cell_is_the_default() -> None:
    with TestPipeline(runner="FnApiRunner") as pipeline:
        keyed = pipeline | beam.Create([BATCH, RatingBatch([])]) | KeyByCell()
        assert_that(keyed, equal_to([(cell_of(0, 0, (1, 1)), BATCH)]))


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
