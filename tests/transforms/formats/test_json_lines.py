from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import read_rating
from transforms.errors import MalformedRecordError
from transforms.formats.json_lines import (
    decode_evaluation,
    decode_recommendation,
    encode_evaluation,
    encode_rating,
    encode_recommendation,
)
from transforms.formats.records import (
    Evaluation,
    Features,
    Rating,
    Recommendation,
    ScoredItem,
)

FINITE = st.floats(allow_nan=False, allow_infinity=False)
SECONDS = st.floats(min_value=0.0, max_value=1e11, exclude_max=True)
RATINGS = st.builds(
    Rating,
    *[st.text(min_size=1), st.text(min_size=1), FINITE, SECONDS, st.just("t-0-7")],
    st.none() | st.builds(Features, *[st.lists(FINITE, max_size=3).map(tuple)] * 3),
    weight=st.just(1.0),
    headers=st.just(()),
)
SCORED = st.builds(ScoredItem, st.text(), FINITE)
RECOMMENDATIONS = st.builds(
    Recommendation, st.text(), st.lists(SCORED), SECONDS, st.text(), st.text(), headers=st.just(())
)
US = st.floats(min_value=0.0, max_value=1e9)
WORD = st.text(min_size=1)
RANK = st.none() | st.integers(1, 50)
EVALUATIONS = st.builds(
    Evaluation,
    *[WORD, WORD, WORD, RANK, st.integers(50, 2**40), WORD, SECONDS],
    *[st.lists(st.text()), RANK, st.lists(st.text()), US, US],
)
EVALUATION: dict[str, Any] = {
    "origin": "u.data:1",
    "user": "196",
    "item": "242",
    "rank": 3,
    "candidates": 1200,
    "model": "mf",
    "timestamp": 881250949.0,
    "items": ["50", "181"],
    "popular_rank": 7,
    "popular_items": ["50", "100"],
    "update_us": 6.1,
    "top_n_us": 31.0,
}
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)


def test_the_blog_posts_message_is_read_as_it_is() -> None:
    value = b'{"user": 196, "item": 242, "rating": 3.0, "timestamp": 881250949}'
    assert read_rating(value, origin="u-0-3") == Rating("196", "242", 3.0, 881250949.0, "u-0-3")


def test_string_ids_and_further_keys_are_read() -> None:
    value = '{"text": "good", "timestamp": 1.5, "rating": 4, "item": "b é", "user": "ü"}'
    assert read_rating(value.encode(), origin="o") == Rating("ü", "b é", 4.0, 1.5, "o")


def test_a_rating_is_written_without_its_origin() -> None:
    assert json.loads(encode_rating(Rating("196", "242", 3.0, 881250949.0, "here"))) == {
        "user": "196",
        "item": "242",
        "rating": 3.0,
        "timestamp": 881250949.0,
    }


@settings(deadline=None)
@given(RATINGS)
def test_ratings_round_trip(rating: Rating) -> None:
    assert read_rating(encode_rating(rating), origin=rating.origin) == rating


def test_a_recommendation_has_the_form_that_others_parse() -> None:
    recommendation = Recommendation("196", [ScoredItem("242", 0.97)], 881250949.0, "u.data:1")
    assert encode_recommendation(recommendation) == (
        b'{"user":"196","items":[{"item":"242","score":0.97}],'
        b'"timestamp":881250949.0,"origin":"u.data:1"}'
    )


@settings(deadline=None)
@given(RECOMMENDATIONS)
def test_recommendations_round_trip_on_one_line(recommendation: Recommendation) -> None:
    line = encode_recommendation(recommendation)
    assert b"\n" not in line
    assert decode_recommendation(line) == recommendation


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b'{"user": 196, "item": 242, "rat', "invalid JSON: "),
        (b"", "empty record"),
        (b"\xff\xfe{}", "invalid JSON: "),
        (b'{"user": "\xe9", "item": 242, "rating": 3, "timestamp": 1}', "invalid JSON: "),
        (b'{"user": "\\ud800", "item": 242, "rating": 3, "timestamp": 1}', "invalid JSON: "),
        (b'{"user": 1, "item": 2, "rating": NaN, "timestamp": 1}', "invalid JSON: "),
        (b'{"user": 1, "item": 2, "rating": -Infinity, "timestamp": 1}', "invalid JSON: "),
        (b'{"user": 1, "item": 2, "rating": 1e999, "timestamp": 1}', "infinit"),
        (b'{"user": 1, "item": 2, "rating": 3, "timestamp": 1e999}', "infinit"),
        (b'{"user": 1, "item": 2, "rating": 3, "timestamp": 1} {}', "invalid JSON: "),
        (b"[" * 100_000, "invalid JSON: "),
        (b"[1, 2, 3.0, 4]", "event 1 of 4: of type int, expected an object with fields"),
        (b"null", "of type NoneType, expected an object with fields"),
        (b'"text"', "of type str, expected an object with fields"),
        (b"{}", "user is missing"),
        (b'{"user": 1, "item": null, "rating": 3, "timestamp": 1}', "item is missing"),
        (b'{"user": true, "item": 2, "rating": 3, "timestamp": 1}', "user is of type bool"),
        (b'{"user": 1, "item": 2.5, "rating": 3, "timestamp": 1}', "item is of type float"),
        (b'{"user": "", "item": 2, "rating": 3, "timestamp": 1}', "user is empty"),
        (b'{"user": 1, "item": 2, "rating": "good", "timestamp": 1}', "rating is 'good'"),
        (b'{"user": 1, "item": 2, "rating": true, "timestamp": 1}', "rating is of type bool"),
        (b'{"user": 1, "item": 2, "rating": 3, "timestamp": []}', "timestamp is of type list"),
        (b'{"user": 1, "item": 2, "rating": 3, "timestamp": -1}', "timestamp is -1.0"),
    ],
)
def test_a_malformed_rating_says_what_is_wrong(value: bytes, reason: str) -> None:
    with pytest.raises(MalformedRecordError) as raised:
        read_rating(value, origin="o")
    assert reason in str(raised.value)


@settings(deadline=None, max_examples=300)
@given(st.binary())
def test_arbitrary_bytes_are_malformed_or_a_rating(value: bytes) -> None:
    _rating_or_malformed(value)


@settings(deadline=None, max_examples=300)
@given(JSON_VALUES)
def test_arbitrary_json_is_malformed_or_a_rating(value: Any) -> None:
    _rating_or_malformed(json.dumps(value).encode())


@settings(deadline=None, max_examples=500)
@given(JSON_VALUES, JSON_VALUES, JSON_VALUES, JSON_VALUES)
def test_arbitrary_fields_are_malformed_or_a_rating(
    user: Any, item: Any, rating: Any, timestamp: Any
) -> None:
    fields = {"user": user, "item": item, "rating": rating, "timestamp": timestamp}
    _rating_or_malformed(json.dumps(fields).encode())


@settings(deadline=None, max_examples=100)
@given(RATINGS, st.data())
def test_a_truncated_rating_is_malformed(rating: Rating, data: st.DataObject) -> None:
    value = encode_rating(rating)
    length = data.draw(st.integers(0, len(value) - 1))
    with pytest.raises(MalformedRecordError):
        read_rating(value[:length], origin="o")


def _rating_or_malformed(value: bytes) -> None:
    try:
        rating = read_rating(value, origin="o")
    except MalformedRecordError as e:
        assert str(e)
    else:
        assert orjson.loads(encode_rating(rating))["user"] == rating.user


def test_an_evaluation_has_the_form_that_others_parse() -> None:
    written = encode_evaluation(Evaluation(**EVALUATION))
    assert written == json.dumps(EVALUATION, separators=(",", ":")).encode()


@settings(deadline=None)
@given(EVALUATIONS)
def test_evaluations_round_trip_on_one_line(evaluation: Evaluation) -> None:
    line = encode_evaluation(evaluation)
    assert b"\n" not in line
    assert decode_evaluation(line) == evaluation


def test_a_miss_among_no_candidates_and_further_keys_are_read() -> None:
    miss: dict[str, Any] = {
        **{"rank": None, "popular_rank": None, "candidates": 0},
        **{"items": [], "popular_items": []},
    }
    fields = {**EVALUATION, **miss, "timestamp": 1}
    assert decode_evaluation(json.dumps({**fields, "later": 1}).encode()) == Evaluation(**fields)


@pytest.mark.parametrize("field", list(EVALUATION))
def test_a_missing_field_of_an_evaluation_is_named(field: str) -> None:
    fields = {name: value for name, value in EVALUATION.items() if name != field}
    with pytest.raises(MalformedRecordError, match=f"^{field} is "):
        decode_evaluation(json.dumps(fields).encode())


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("origin", "", "origin is ''"),
        ("user", 196, "user is 196, expected a string"),
        ("rank", 0, "rank is 0, expected null or 1 to 1200"),
        ("rank", 1201, "rank is 1201"),
        ("rank", True, "rank is True"),
        ("popular_rank", 2.0, r"popular_rank is 2\.0"),
        ("candidates", -1, "candidates is -1"),
        ("candidates", 2.5, r"candidates is 2\.5"),
        ("items", "50", "items is no list of strings"),
        ("popular_items", [50], "popular_items is no list of strings"),
        ("update_us", -1.0, r"update_us is -1\.0"),
        ("top_n_us", "fast", "top_n_us is of type str"),
        ("timestamp", None, "timestamp is missing"),
    ],
)
def test_a_malformed_evaluation_says_what_is_wrong(field: str, value: Any, reason: str) -> None:
    with pytest.raises(MalformedRecordError, match=f"^{reason}"):
        decode_evaluation(json.dumps({**EVALUATION, field: value}).encode())


@pytest.mark.parametrize("value", [b"", b"[]", b"{", b"null"])
def test_what_is_no_object_is_no_evaluation(value: bytes) -> None:
    with pytest.raises(MalformedRecordError, match=r"invalid JSON|expected an object"):
        decode_evaluation(value)


@settings(deadline=None, max_examples=300)
@given(st.dictionaries(st.sampled_from(list(EVALUATION)), JSON_VALUES))
def test_arbitrary_evaluations_are_malformed_or_sound(change: dict[str, Any]) -> None:
    try:
        evaluation = decode_evaluation(json.dumps({**EVALUATION, **change}).encode())
    except MalformedRecordError as e:
        assert str(e)
    else:
        assert decode_evaluation(encode_evaluation(evaluation)) == evaluation


@pytest.mark.parametrize(
    ("features", "reason"),
    [
        ('"context": {}', "context is of type dict"),
        ('"user_features": [1, null]', "user_features is missing"),
        ('"item_features": [1, "a"]', "item_features is of type str, expected a number"),
        ('"item_features": [1e999]', "not finite|invalid JSON"),
        ('"context": [' + "0," * 10_000 + "0]", "context has 10001 numbers"),
    ],
)
def test_malformed_features_say_what_is_wrong(features: str, reason: str) -> None:
    value = '{"user": 1, "item": 2, "rating": 3, "timestamp": 4, ' + features + "}"
    with pytest.raises(MalformedRecordError, match=reason):
        read_rating(value.encode(), origin="o")
