from __future__ import annotations

from collections import Counter

import pytest
from apache_beam.coders import TupleCoder, VarIntCoder
from apache_beam.coders.coders import LengthPrefixCoder

from transforms.key import cell_of
from transforms.key_groups import key_group, salt

# As Flink 1.19 dealt the keys (0, 0) to (7, 0) of a job of two subtasks and 128 key groups.
SECOND_OF_TWO = {4, 5, 7}

# What is not a pair has its length before it there; test_flink.py sees how cells are dealt.
CELL = LengthPrefixCoder(TupleCoder([VarIntCoder()] * 3))


def test_groups_are_those_of_flink() -> None:
    second = {row for row in range(8) if key_group(bytes([row, 0])) >= 64}
    assert second == SECOND_OF_TWO


@pytest.mark.parametrize("grid", [(1, 1), (2, 1), (8, 1), (1, 8), (4, 4), (16, 2), (300, 1)])
@pytest.mark.parametrize("parallelism", [1, 2, 4])
def test_cells_are_spread_evenly_over_any_parallelism(
    grid: tuple[int, int], parallelism: int
) -> None:
    cells = [cell_of(row, column, grid) for row in range(grid[0]) for column in range(grid[1])]
    subtasks = Counter(key_group(CELL.encode(cell)) * parallelism // 128 for cell in cells)
    fair = len(cells) / parallelism
    assert all(fair - 1 < subtasks[number] < fair + 1 for number in range(parallelism))


@pytest.mark.parametrize("parallelism", [2, 4])
def test_the_cells_of_a_row_lie_apart(parallelism: int) -> None:
    for row in range(8):
        cells = [cell_of(row, column, (8, parallelism)) for column in range(parallelism)]
        groups = {key_group(CELL.encode(cell)) * parallelism // 128 for cell in cells}
        assert len(groups) == parallelism


def test_a_savepoint_finds_cells_by_their_salts_which_never_change() -> None:
    cells = [cell_of(row, 0, (4, 1)) for row in range(4)]
    assert cells == [(0, 0, 152), (1, 0, 200), (2, 0, 58), (3, 0, 159)]


@pytest.mark.parametrize("key_groups", [1, 7, 64, 32768])
def test_a_key_falls_into_its_share_of_any_number_of_groups(key_groups: int) -> None:
    coder = TupleCoder([VarIntCoder()] * 2)
    for place in range(4):
        number = salt((place,), place, 4, key_groups)
        share = (2 * place + 1) * key_groups // 8
        assert key_group(coder.encode((place, number)), key_groups) == share
