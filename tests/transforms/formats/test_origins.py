from __future__ import annotations

import pytest

from transforms.formats.origins import Origins, Run

ORIGINS = Origins.of("ratings-0-", [7, 9, 12])


def test_they_are_source_and_position() -> None:
    assert list(ORIGINS) == ["ratings-0-7", "ratings-0-9", "ratings-0-12"]
    assert len(ORIGINS) == 3
    assert (ORIGINS[0], ORIGINS[-1]) == ("ratings-0-7", "ratings-0-12")
    assert "ratings-0-9" in ORIGINS


def test_parts_of_them_are_origins_too() -> None:
    assert isinstance(ORIGINS[1:], Origins)
    assert ORIGINS[1:] == ["ratings-0-9", "ratings-0-12"]
    assert ORIGINS.keep([True, False, True]) == Origins.of("ratings-0-", [7, 12])
    assert ORIGINS[3:] == []


def test_they_are_equal_to_the_same_strings() -> None:
    assert list(ORIGINS) == ORIGINS
    assert Origins.of("ratings-1-", [7, 9, 12]) != ORIGINS
    assert repr(ORIGINS[:1]) == "['ratings-0-7']"


SEVERAL = Origins([Run("r-0-", [7, 9]), Run("r-1-", [3]), Run("r-2-", []), Run("r-0-", [12])])
TEXTS = ["r-0-7", "r-0-9", "r-1-3", "r-0-12"]


def test_they_may_be_of_several_sources() -> None:
    assert list(SEVERAL) == TEXTS
    assert len(SEVERAL) == 4
    assert [run.source for run in SEVERAL.runs] == ["r-0-", "r-1-", "r-0-"]
    assert [SEVERAL[at] for at in (*range(4), -1)] == [*TEXTS, TEXTS[-1]]
    with pytest.raises(IndexError):
        SEVERAL[4]


@pytest.mark.parametrize("start", [None, 0, 1, 2, 3, 9, -1])
@pytest.mark.parametrize("stop", [None, 0, 1, 2, 3, 9, -2])
@pytest.mark.parametrize("step", [None, 2, -1])
def test_parts_of_several_are_those_of_the_texts(
    start: int | None, stop: int | None, step: int | None
) -> None:
    assert SEVERAL[start:stop:step] == TEXTS[start:stop:step]
    assert ORIGINS[start:stop:step] == list(ORIGINS)[start:stop:step]


def test_some_of_several() -> None:
    assert SEVERAL.take([3, 0, 1, 2]) == ["r-0-12", "r-0-7", "r-0-9", "r-1-3"]
    assert len(SEVERAL.take([3, 0, 1, 2]).runs) == 2
    assert SEVERAL.keep([False, True, False, True]) == ["r-0-9", "r-0-12"]
    assert SEVERAL.keep([False] * 4) == []


def test_joined_ones_of_the_same_source_are_one_run() -> None:
    joined = Origins.joined([SEVERAL, Origins.of("r-0-", [13]), Origins.of("r-3-", [0])])
    assert joined == [*TEXTS, "r-0-13", "r-3-0"]
    assert joined.runs[2] == Run("r-0-", [12, 13])
    assert Origins.joined([]) == []
