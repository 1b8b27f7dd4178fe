from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.formats.json_lines import encode_recommendation, encode_recommendations
from transforms.formats.listed_ratings import ListedRatings, TopNColumns, joined
from transforms.formats.origins import Origins, Run
from transforms.formats.rating_columns import RatingColumns, columns_of
from transforms.formats.records import Header, Rating, Recommendation, ScoredItem

IDS = ["242", 'a "quoted" id', "é\u2028", "\\", "},{"]
RATINGS = [
    Rating("196", "242", 3.0, 881250949.0, "ratings-0-7"),
    Rating('u"1', "242", 3.0, 0.1, 'a"b:1', headers=(Header("traceparent", b"x"),)),
    Rating("é", "242", 5.0, 1e22, "u.data:3"),
]
TRICKY = st.sampled_from(list('a",\\\n[]{}é\u2028'))
COLUMNS = TopNColumns(
    IDS,
    np.array([[0, 1, 2], [4, 0, 0], [0, 0, 0]], dtype=np.int32),
    np.array([[1 / 3, -0.0, 1e-7], [1e300, 5.0, 5.0], [5.0, 5.0, 5.0]]),
    np.array([3, 1, 0], dtype=np.int32),
)
LISTS = [
    [ScoredItem("242", 1 / 3), ScoredItem('a "quoted" id', -0.0), ScoredItem("é\u2028", 1e-7)],
    [ScoredItem("},{", 1e300)],
    [],
]
RECOMMENDATIONS = [
    Recommendation("196", LISTS[0], 881250949.0, "ratings-0-7"),
    Recommendation('u"1', LISTS[1], 0.1, 'a"b:1', "", (Header("traceparent", b"x"),)),
    Recommendation("é", LISTS[2], 1e22, "u.data:3"),
]


def test_columns_are_the_recommendations_that_they_stand_for() -> None:
    listed = ListedRatings(RATINGS, COLUMNS)
    assert list(listed) == RECOMMENDATIONS
    assert [listed[at] for at in range(3)] == RECOMMENDATIONS
    assert listed[1:] == RECOMMENDATIONS[1:]
    assert len(listed) == 3
    assert listed != RECOMMENDATIONS[:2]


def test_columns_are_written_as_the_same_bytes() -> None:
    assert encode_recommendations(ListedRatings(RATINGS, COLUMNS)) == list(
        map(encode_recommendation, RECOMMENDATIONS)
    )
    assert encode_recommendations(ListedRatings([], COLUMNS[:0])) == []
    origins = Origins([Run('a"b-0-', [7, 9]), Run("t-1-", [12])])
    columns = RatingColumns(columns_of(RATINGS)._replace(origins=origins))
    listed = ListedRatings(columns, COLUMNS)
    assert encode_recommendations(listed) == list(map(encode_recommendation, listed))


@given(
    st.lists(
        st.lists(
            st.tuples(st.integers(0, 4), st.floats(allow_nan=True, allow_infinity=True)),
            max_size=4,
        ),
        max_size=6,
    )
)
def test_any_scores_are_written_as_the_same_bytes(lists: list[list[tuple[int, float]]]) -> None:
    items = np.zeros((len(lists), 4), dtype=np.int32)
    scores = np.zeros((len(lists), 4))
    for row, entries in enumerate(lists):
        for column, (item, score) in enumerate(entries):
            items[row, column], scores[row, column] = item, score
    counts = np.array(list(map(len, lists)), dtype=np.int32)
    ratings = [Rating(f"u{at}", "i", 1.0, at / 7, f"t-0-{at}") for at in range(len(lists))]
    expected = [
        Recommendation(
            rating.user,
            [ScoredItem(IDS[item], score) for item, score in entries],
            rating.timestamp,
            rating.origin,
        )
        for rating, entries in zip(ratings, lists, strict=True)
    ]
    columns = ListedRatings(ratings, TopNColumns(IDS, items, scores, counts))
    assert encode_recommendations(columns) == list(map(encode_recommendation, expected))


@given(st.lists(st.tuples(st.text(TRICKY), st.text(TRICKY)), max_size=8))
def test_any_ids_are_written_as_the_same_bytes(texts: list[tuple[str, str]]) -> None:
    n = len(texts)
    ratings = [Rating(user, "i", 1.0, 2.0, origin) for user, origin in texts]
    ids = [user for user, _ in texts]
    columns = TopNColumns(
        ids,
        np.arange(n, dtype=np.int32)[:, np.newaxis],
        np.full((n, 1), 0.5),
        np.ones(n, dtype=np.int32),
    )
    expected = [
        Recommendation(rating.user, [ScoredItem(rating.user, 0.5)], 2.0, rating.origin)
        for rating in ratings
    ]
    assert encode_recommendations(ListedRatings(ratings, columns)) == list(
        map(encode_recommendation, expected)
    )


def test_joined_keeps_columns_of_the_same_items() -> None:
    whole = joined([COLUMNS[:1], COLUMNS[1:]])
    assert isinstance(whole, TopNColumns)
    assert list(whole) == LISTS


@pytest.mark.parametrize(
    "rest",
    [LISTS[1:], TopNColumns(list(IDS), COLUMNS.items[1:], COLUMNS.scores[1:], COLUMNS.counts[1:])],
    ids=["a list", "columns of other items"],
)
def test_joined_makes_lists_of_anything_else(rest: TopNColumns) -> None:
    whole = joined([COLUMNS[:1], rest])
    assert not isinstance(whole, TopNColumns)
    assert list(whole) == LISTS
