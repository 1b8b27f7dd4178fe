from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.formats.origins import Origins
from transforms.formats.rating_columns import (
    Columns,
    RatingColumns,
    RatingParts,
    columns_of,
    joined_ratings,
    of_plain,
    to_plain,
)
from transforms.formats.records import Features, Header, Rating

PLAIN = Rating("u1", "i1", 4.0, 1.0, "t-0-0")
FULL = Rating(
    "u2", "i2", 5.0, 2.0, "t-0-1", Features((1.0,), (2.0,), ()), 0.5, (Header("h", b"\xff"),)
)
RATINGS = st.lists(st.sampled_from([PLAIN, FULL, PLAIN._replace(user="u3", weight=-1.0)]))


def as_columns(ratings: list[Rating]) -> RatingColumns:
    return RatingColumns(columns_of(ratings))


@given(RATINGS)
def test_columns_are_the_same_sequence(ratings: list[Rating]) -> None:
    columns = as_columns(ratings)
    assert list(columns) == ratings
    assert columns == ratings
    assert len(columns) == len(ratings)
    for at in range(-len(ratings), len(ratings)):
        assert columns[at] == ratings[at]
    assert columns[1:3] == ratings[1:3]
    assert isinstance(columns[1:3], RatingColumns)


@given(RATINGS)
def test_a_json_document_brings_them_back(ratings: list[Rating]) -> None:
    document = orjson.dumps(to_plain(as_columns(ratings)), default=list)
    assert document == orjson.dumps(to_plain(ratings), default=list)
    assert of_plain(orjson.loads(document)) == ratings


@given(st.lists(RATINGS))
def test_joined_parts_are_columns_only_if_all_are(parts: list[list[Rating]]) -> None:
    whole = [rating for part in parts for rating in part]
    columns = joined_ratings(list(map(as_columns, parts)))
    assert isinstance(columns, RatingColumns)
    assert columns == whole
    assert joined_ratings([[PLAIN], *map(as_columns, parts)]) == [PLAIN, *whole]


@given(st.lists(st.one_of(st.sampled_from([PLAIN, FULL]), RATINGS)))
def test_ratings_are_added_one_by_one_or_many_at_once(added: list[Rating | list[Rating]]) -> None:
    parts, expected = RatingParts(), []
    for one in added:
        if isinstance(one, Rating):
            parts.append(one)
            expected.append(one)
        else:
            parts.extend(as_columns(one))
            expected += one
    assert len(parts) == len(expected)
    assert list(parts.joined()) == expected


def test_what_was_added_stays_as_it_was() -> None:
    mine = [PLAIN]
    parts = RatingParts()
    parts.extend(mine)
    parts.append(FULL)
    assert mine == [PLAIN]
    assert parts.joined() == [PLAIN, FULL]


def test_only_weights_and_features_make_ratings_special() -> None:
    assert as_columns([PLAIN, PLAIN._replace(headers=FULL.headers)]).are_plain
    assert not as_columns([PLAIN, PLAIN._replace(weight=2.0)]).are_plain
    assert not as_columns([PLAIN, PLAIN._replace(features=FULL.features)]).are_plain
    assert RatingColumns(Columns()).are_plain


def test_an_index_beyond_the_end_is_an_error() -> None:
    for index in (2, -3):
        with pytest.raises(IndexError):
            as_columns([PLAIN, FULL])[index]


def test_some_are_kept() -> None:
    ratings = [PLAIN, FULL, PLAIN._replace(user="u3")]
    assert as_columns(ratings).keep([True, False, True]) == [ratings[0], ratings[2]]
    assert as_columns(ratings).take([2, 0]) == [ratings[2], ratings[0]]
    assert as_columns(ratings[::2]).take([1]).are_plain


def test_origins_stay_sources_and_positions() -> None:
    ratings = [PLAIN._replace(origin=f"t-0-{at}") for at in (3, 4, 8)]
    columns = RatingColumns(columns_of(ratings)._replace(origins=Origins.of("t-0-", [3, 4, 8])))
    read = of_plain(orjson.loads(orjson.dumps(to_plain(columns), default=list)))
    parts = (read, columns.keep([True] * 3), columns.take([0, 1, 2]), columns[:])
    for part in parts:
        assert part == ratings
        assert isinstance(part.columns.origins, Origins)
    assert columns.take([2, 0]) == [ratings[2], ratings[0]]
    together = joined_ratings([columns[:1], columns[1:]])
    assert together == ratings
    assert isinstance(columns_of(together).origins, Origins)
    strange = RatingColumns(columns.columns._replace(origins=Origins.of("t-1-", [3, 4, 8])))
    both = joined_ratings([columns, strange])
    assert both == [*columns, *strange]
    assert isinstance(columns_of(both).origins, Origins)
    assert of_plain(orjson.loads(orjson.dumps(to_plain(both), default=list))) == both
