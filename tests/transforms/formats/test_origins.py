from __future__ import annotations

from transforms.formats.origins import Origins

ORIGINS = Origins("ratings-0-", [7, 9, 12])


def test_they_are_source_and_position() -> None:
    assert list(ORIGINS) == ["ratings-0-7", "ratings-0-9", "ratings-0-12"]
    assert len(ORIGINS) == 3
    assert (ORIGINS[0], ORIGINS[-1]) == ("ratings-0-7", "ratings-0-12")
    assert "ratings-0-9" in ORIGINS


def test_parts_of_them_are_origins_too() -> None:
    assert isinstance(ORIGINS[1:], Origins)
    assert ORIGINS[1:] == ["ratings-0-9", "ratings-0-12"]
    assert ORIGINS.keep([True, False, True]) == Origins("ratings-0-", [7, 12])
    assert ORIGINS[3:] == []


def test_they_are_equal_to_the_same_strings() -> None:
    assert list(ORIGINS) == ORIGINS
    assert Origins("ratings-1-", [7, 9, 12]) != ORIGINS
    assert repr(ORIGINS[:1]) == "['ratings-0-7']"
