from __future__ import annotations

import pytest

from transforms.errors import IncompatibleModelError
from transforms.formats.origins import Origins, Run
from transforms.formats.rating_columns import RatingColumns, columns_of
from transforms.formats.records import Rating
from transforms.learning import positions


def rated(*origins: str) -> list[Rating]:
    return [Rating("u", "i", 5.0, 0.0, origin) for origin in origins]


def test_a_shard_stands_behind_the_last_record_of_each_partition() -> None:
    reached = positions.after({}, rated("t-0-3", "t-0-7"))
    assert reached == {"t-0-": 8}
    reached = positions.after(reached, rated("t-1-2", "t-0-9", "my-topic-12-0", "t-0-11", "t-1-4"))
    assert reached == {"t-0-": 12, "t-1-": 5, "my-topic-12-": 1}


def test_a_topic_whose_name_ends_like_a_partition_is_another_one() -> None:
    origins = ["ratings-1-7", "ratings-1-0-5"]
    runs = Origins([Run("ratings-1-", [7]), Run("ratings-1-0-", [5])])
    for ratings in (
        rated(*origins),
        RatingColumns(columns_of(rated(*origins))._replace(origins=runs)),
    ):
        assert positions.after({}, ratings) == {"ratings-1-": 8, "ratings-1-0-": 6}
        assert positions.are_new({"ratings-1-0-": 100}, ratings) == [True, False]


def test_columns_in_any_order_stand_behind_the_last() -> None:
    origins = Origins.of("t-0-", [12, 7, 9])
    ratings = RatingColumns(columns_of(rated(*origins))._replace(origins=origins))
    assert positions.after({}, ratings) == {"t-0-": 13}
    assert positions.are_new({"t-0-": 10}, ratings) == [True, False, False]


def test_several_events_of_a_record_stand_where_it_does() -> None:
    assert positions.after({}, rated("t-0-3#1", "t-0-3#2")) == {"t-0-": 4}
    assert positions.after({}, rated("t-0-2", "t-0-3#12")) == {"t-0-": 4}
    assert positions.are_new({"t-0-": 4}, rated("t-0-3#2", "t-0-4#1")) == [False, True]


def test_it_never_goes_back() -> None:
    assert positions.after({"t-0-": 12}, rated("t-0-3")) == {"t-0-": 12}


@pytest.mark.parametrize("origin", ["", "u.data:17", "7", "t-7", "-0-7x", "t-0-"])
def test_only_records_of_topics_stand_anywhere(origin: str) -> None:
    ratings = rated(origin, origin)
    assert positions.after({}, ratings) == {}
    assert positions.are_new({"t-0-": 100, "u.data:": 100}, ratings) is None


def test_what_was_learned_is_told_from_what_was_not() -> None:
    reached = {"t-0-": 8}
    assert positions.are_new(reached, rated("t-0-8", "t-0-9")) is None
    assert positions.are_new(reached, rated("t-1-0")) is None
    assert positions.are_new(reached, rated("t-0-6", "t-0-7", "t-0-7", "t-0-9")) == [
        *([False] * 3),
        True,
    ]
    assert positions.are_new(reached, rated("t-1-3", "t-0-7", "t-0-9")) == [True, False, True]
    assert positions.are_new({}, rated("t-0-0")) is None
    assert positions.are_new(reached, []) is None


@pytest.mark.parametrize("other", ["t-0-", "t-1-", "u.data:"])
@pytest.mark.parametrize("source", ["t-0-", "u.data:"])
def test_columns_are_as_their_ratings(source: str, other: str) -> None:
    origins = Origins([Run(source, [6, 7, 9]), Run(other, [11, 12])])
    ratings = rated(*origins)
    columns = RatingColumns(columns_of(ratings)._replace(origins=origins))
    for reached in ({}, {"t-0-": 4}, {"t-0-": 8}, {"t-0-": 20}, {"t-1-": 12}, {"t-1-": 20}):
        assert positions.after(reached, columns) == positions.after(reached, ratings)
        assert positions.are_new(reached, columns) == positions.are_new(reached, ratings)


def test_together_shards_stand_where_the_last_of_them_does() -> None:
    shards = [{"t-0-": 8, "t-1-": 5}, {"t-0-": 6, "t-1-": 9, "t-2-": 1}]
    assert positions.earliest(shards) == {"t-0-": 6, "t-1-": 5}
    assert positions.earliest([*shards, {}]) == {}


def test_state_holds_them() -> None:
    reached = {"t-0-": 8, "t\u00fc-1-": 1 << 40}
    assert positions.decode(positions.encode(reached, {"t-0-": 3})) == (reached, {"t-0-": 3})
    assert positions.decode(None) == ({}, {})


@pytest.mark.parametrize(
    "damaged", [b"", b"[]", b"7", b'[{"t-0-": true}, {}]', b'[{}, {"t-0-": -1}]', b"[" * 99999]
)
def test_damaged_state_is_refused(damaged: bytes) -> None:
    with pytest.raises(IncompatibleModelError, match="positions in state are damaged"):
        positions.decode(damaged)
