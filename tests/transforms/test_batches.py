from __future__ import annotations

from typing import Any

import apache_beam as beam
import pytest
from apache_beam.coders import Coder, RowCoder, registry
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.util import assert_that, equal_to
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.batches import (
    EvaluationBatch,
    EvaluationBatchCoder,
    RatingBatch,
    RatingBatchCoder,
    RawBatch,
    RawBatchCoder,
    RecommendationBatch,
    RecommendationBatchCoder,
)
from transforms.formats.delimited import MOVIELENS_COLONS, MOVIELENS_TABS, Columns
from transforms.formats.detection import JSON, RecordFormat
from transforms.formats.records import (
    DeadLetter,
    Evaluation,
    Features,
    Header,
    Rating,
    Recommendation,
    Request,
    ScoredItem,
)

RAW = RawBatch(
    "ratings-0-",
    [7, 9, 10, 11],
    [b'{"user": 1}', None, b"", b"\xff\x00\n"],
    RecordFormat("message"),
    published=1234.567,
)
RATINGS = RatingBatch(
    [Rating("196", "é", 3.0, 881250949.0, "u.data:1"), Rating("1", "b", -0.5, 0.0, "u.data:2")],
    published=1234.567,
    listed=[1],
)
LISTS = RecommendationBatch(
    [
        Recommendation("196", [ScoredItem("é", 0.97), ScoredItem("b", -1.5)], 881250949.0, "a:1"),
        Recommendation("1", [], 0.0, "a:2"),
    ]
)

FINITE = st.floats(allow_nan=False, allow_infinity=False)
COLUMNS = st.builds(
    Columns, st.text(max_size=2), st.tuples(*[st.integers(0, 30)] * 4), st.booleans()
)
FORMATS = st.one_of(
    st.none(),
    st.sampled_from(["json", "avro", "message"]).map(RecordFormat),
    COLUMNS.map(lambda columns: RecordFormat("delimited", columns)),
    st.text().map(lambda schema: RecordFormat("datum", schema=schema)),
)
RECORDS = st.lists(
    st.tuples(st.integers(0, 2**63 - 1), st.none() | st.binary(max_size=50)), max_size=8
)


HEADERS = st.lists(st.builds(Header, st.text(), st.binary(max_size=5)), max_size=2).map(tuple)


@st.composite
def raw_batches(draw: st.DrawFn) -> RawBatch:
    records = draw(RECORDS)
    n = len(records)

    def each(one: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        return st.just(()) | st.lists(one, min_size=n, max_size=n) if n else st.just(())

    return RawBatch(
        draw(st.text()),
        [position for position, _ in records],
        [value for _, value in records],
        draw(FORMATS),
        draw(FINITE),
        draw(st.text()),
        draw(each(st.none() | st.binary(max_size=9))),
        draw(each(HEADERS)),
        draw(each(st.integers(0, 2**53))),
    )


VECTORS = st.lists(FINITE, max_size=3).map(tuple)
RATING_BATCHES = st.builds(
    RatingBatch,
    st.lists(
        st.builds(
            Rating,
            *[st.text(), st.text(), FINITE, FINITE, st.text()],
            st.none() | st.builds(Features, VECTORS, VECTORS, VECTORS),
            st.just(1.0) | FINITE,
            HEADERS,
        )
    ),
    FINITE,
    st.lists(st.builds(Request, st.text(), FINITE, st.text(), VECTORS, HEADERS), max_size=3),
    st.text(),
)
SCORED = st.lists(st.builds(ScoredItem, st.text(), FINITE), max_size=4)
LISTS_OF_USERS = st.lists(
    st.builds(Recommendation, st.text(), SCORED, FINITE, st.text(), st.text(), HEADERS), max_size=5
)
NAMES = st.lists(st.text(), max_size=3)
RANKS = st.none() | st.integers(1, 9)
EVALUATIONS = st.builds(
    Evaluation,
    *[st.text(), st.text(), st.text(), RANKS, st.integers(0, 9), st.text(), FINITE],
    *[NAMES, RANKS, NAMES, FINITE, FINITE],
)
LIST_BATCHES = st.builds(RecommendationBatch, LISTS_OF_USERS)
TEST_BATCHES = st.builds(EvaluationBatch, st.lists(EVALUATIONS, max_size=3))


def _assert_round_trip(coder: Coder, value: Any) -> None:
    encoded = coder.encode(value)
    decoded = coder.decode(encoded)
    assert decoded == value
    assert coder.encode(decoded) == encoded


@settings(deadline=None)
@given(raw_batches())
def test_raw_batches_round_trip(batch: RawBatch) -> None:
    _assert_round_trip(RawBatchCoder(), batch)


@settings(deadline=None)
@given(RATING_BATCHES)
def test_rating_batches_round_trip(batch: RatingBatch) -> None:
    _assert_round_trip(RatingBatchCoder(), batch)


@settings(deadline=None)
@given(LIST_BATCHES)
def test_recommendation_batches_round_trip(batch: RecommendationBatch) -> None:
    _assert_round_trip(RecommendationBatchCoder(), batch)


@pytest.mark.parametrize(
    ("coder", "batch"),
    [
        (RawBatchCoder(), RAW),
        (RawBatchCoder(), RawBatch("", [], [], None)),
        (RawBatchCoder(), RawBatch("a:", [3], [b""], None, failure="it broke off")),
        (
            RawBatchCoder(),
            RawBatch("a:", [1], [b"1\t2"], RecordFormat("delimited", MOVIELENS_TABS)),
        ),
        (RawBatchCoder(), RawBatch("a:", [1], [b"x" * 10_000_000], JSON)),
        (RatingBatchCoder(), RATINGS),
        (RatingBatchCoder(), RatingBatch([], 5.0)),
        (RecommendationBatchCoder(), LISTS),
        (RecommendationBatchCoder(), RecommendationBatch([])),
        (EvaluationBatchCoder(), EvaluationBatch([])),
    ],
    ids=lambda value: type(value).__name__,
)
def test_examples_round_trip(coder: Coder, batch: Any) -> None:
    _assert_round_trip(coder, batch)


def test_decoded_records_are_of_their_types() -> None:
    raw = RawBatchCoder().decode(
        RawBatchCoder().encode(
            RawBatch("a:", [1], [b"x"], RecordFormat("delimited", MOVIELENS_TABS))
        )
    )
    assert type(raw.record_format) is RecordFormat
    assert type(raw.record_format.columns) is Columns
    hash(raw.record_format)
    assert raw.values == [b"x"]
    ratings = RatingBatchCoder().decode(RatingBatchCoder().encode(RATINGS)).ratings
    assert [type(rating) for rating in ratings] == [Rating] * 2
    lists = RecommendationBatchCoder().decode(RecommendationBatchCoder().encode(LISTS))
    assert [type(one) for one in lists.recommendations] == [Recommendation] * 2
    assert [type(item) for item in lists.recommendations[0].items] == [ScoredItem] * 2


def test_tuples_and_lists_have_equal_bytes() -> None:
    as_tuple = RawBatch(RAW.source, tuple(RAW.positions), tuple(RAW.values), RAW.record_format, 1.0)
    as_list = RawBatch(RAW.source, list(RAW.positions), list(RAW.values), RAW.record_format, 1.0)
    assert RawBatchCoder().encode(as_tuple) == RawBatchCoder().encode(as_list)
    encode = RatingBatchCoder().encode
    tupled = RatingBatch(tuple(RATINGS.ratings))
    assert encode(tupled) == encode(RatingBatch(RATINGS.ratings))


@pytest.mark.parametrize(
    ("batch", "length"),
    [(RAW, 4), (RATINGS, 2), (LISTS, 2), (RawBatch("", [], [], None), 0), (RatingBatch([]), 0)],
    ids=lambda value: type(value).__name__,
)
def test_a_batch_is_as_long_as_its_records_are_many(batch: Any, length: int) -> None:
    assert len(batch) == length


@pytest.mark.parametrize(
    ("element", "coder"),
    [
        (RawBatch, RawBatchCoder),
        (RatingBatch, RatingBatchCoder),
        (RecommendationBatch, RecommendationBatchCoder),
    ],
)
def test_beams_registry_picks_our_coders(element: type[Any], coder: type[Coder]) -> None:
    picked = registry.get_coder(element)
    assert type(picked) is coder
    assert picked.is_deterministic()


@pytest.mark.parametrize(
    "record",
    [
        Rating("196", "é", 3.0, 881250949.0, "u.data:1"),
        ScoredItem("242", 0.97),
        LISTS.recommendations[0],
        DeadLetter("u.data:2", "parse", "empty record", b"\xff\x00"),
    ],
    ids=lambda record: type(record).__name__,
)
def test_single_records_are_rows(record: Any) -> None:
    coder = registry.get_coder(type(record))
    assert type(coder) is RowCoder
    decoded = coder.decode(coder.encode(record))
    assert tuple(decoded) == tuple(record)


@pytest.mark.parametrize(
    ("batch", "element"),
    [(RAW, RawBatch), (RATINGS, RatingBatch), (LISTS, RecommendationBatch)],
    ids=["raw", "ratings", "lists"],
)
def test_batches_cross_a_shuffle(batch: Any, element: type[Any]) -> None:
    with TestPipeline(runner="FnApiRunner") as pipeline:
        crossed = (
            pipeline
            | beam.Create([batch])
            | beam.Map(_same).with_output_types(element)
            | beam.Reshuffle()
        )
        assert_that(crossed, equal_to([batch]))


def _same(batch: Any) -> Any:
    return batch


def test_formats_with_and_without_columns_stay_apart() -> None:
    forms = [
        JSON,
        RecordFormat("delimited", MOVIELENS_TABS),
        RecordFormat("delimited", MOVIELENS_COLONS),
        RecordFormat("datum", schema='"string"'),
        None,
    ]
    coder = RawBatchCoder()
    batches = [RawBatch("a:", [1], [b"x"], form) for form in forms]
    assert [coder.decode(coder.encode(one)).record_format for one in batches] == forms


@pytest.mark.parametrize(
    ("coder", "batch"),
    [
        (RawBatchCoder(), RawBatch("t-0-", range(500), [b"x" * 300] * 500, RecordFormat("json"))),
        (RatingBatchCoder(), RatingBatch([Rating("196", "242", 3.0, 881250949.0, "t-0-1")] * 500)),
        (RecommendationBatchCoder(), RecommendationBatch([LISTS.recommendations[0]] * 500)),
        (RecommendationBatchCoder(), RecommendationBatch([])),
    ],
)
def test_sizes_are_estimated_without_encoding_the_batch(coder: Coder, batch: Any) -> None:
    exact = len(coder.encode(batch))
    assert exact / 2 <= coder.estimate_size(batch) <= 2 * exact
