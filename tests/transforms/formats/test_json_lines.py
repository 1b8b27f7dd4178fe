from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.errors import MalformedRecordError
from transforms.formats.json_lines import (
    decode_dead_letter,
    decode_rating,
    decode_recommendation,
    encode_dead_letter,
    encode_rating,
    encode_recommendation,
)
from transforms.formats.records import DeadLetter, Rating, Recommendation, ScoredItem

FINITE = st.floats(allow_nan=False, allow_infinity=False)
SECONDS = st.floats(min_value=0.0, allow_nan=False, allow_infinity=False)
RATINGS = st.builds(
    Rating, st.text(min_size=1), st.text(min_size=1), FINITE, SECONDS, st.just("t-0-7")
)
SCORED = st.builds(ScoredItem, st.text(), FINITE)
RECOMMENDATIONS = st.builds(Recommendation, st.text(), st.lists(SCORED), SECONDS, st.text())
DEAD_LETTERS = st.builds(DeadLetter, st.text(), st.text(), st.text(), st.binary())
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)


def test_the_blog_posts_message_is_read_as_it_is() -> None:
    value = b'{"user": 196, "item": 242, "rating": 3.0, "timestamp": 881250949}'
    assert decode_rating(value, "u-0-3") == Rating("196", "242", 3.0, 881250949.0, "u-0-3")


def test_string_ids_and_further_keys_are_read() -> None:
    value = '{"text": "good", "timestamp": 1.5, "rating": 4, "item": "b é", "user": "ü"}'
    assert decode_rating(value.encode(), "o") == Rating("ü", "b é", 4.0, 1.5, "o")


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
    assert decode_rating(encode_rating(rating), rating.origin) == rating


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


def test_a_dead_letter_has_the_form_that_others_parse() -> None:
    letter = DeadLetter("u.data:2", "parse", "empty record", b"\xff\n")
    assert encode_dead_letter(letter) == (
        b'{"origin":"u.data:2","stage":"parse","reason":"empty record","value":"/wo="}'
    )


@settings(deadline=None)
@given(DEAD_LETTERS)
def test_dead_letters_round_trip_on_one_line(letter: DeadLetter) -> None:
    line = encode_dead_letter(letter)
    assert b"\n" not in line
    assert decode_dead_letter(line) == letter


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b'{"user": 196, "item": 242, "rat', "invalid JSON: "),
        (b"", "invalid JSON: "),
        (b"\xff\xfe{}", "invalid JSON: "),
        (b'{"user": "\xe9", "item": 242, "rating": 3, "timestamp": 1}', "invalid JSON: "),
        (b'{"user": "\\ud800", "item": 242, "rating": 3, "timestamp": 1}', "invalid JSON: "),
        (b'{"user": 1, "item": 2, "rating": NaN, "timestamp": 1}', "invalid JSON: "),
        (b'{"user": 1, "item": 2, "rating": -Infinity, "timestamp": 1}', "invalid JSON: "),
        (b'{"user": 1, "item": 2, "rating": 1e999, "timestamp": 1}', "infinit"),
        (b'{"user": 1, "item": 2, "rating": 3, "timestamp": 1e999}', "infinit"),
        (b'{"user": 1, "item": 2, "rating": 3, "timestamp": 1} {}', "invalid JSON: "),
        (b"[" * 100_000, "invalid JSON: "),
        (b"[1, 2, 3.0, 4]", "a JSON list, expected an object"),
        (b"null", "a JSON NoneType, expected an object"),
        (b'"text"', "a JSON str, expected an object"),
        (b"{}", "user is missing"),
        (b'{"user": 1, "item": 2, "timestamp": 1}', "rating is missing"),
        (b'{"user": 1, "item": 2, "rating": 3}', "timestamp is missing"),
        (b'{"user": 1, "item": null, "rating": 3, "timestamp": 1}', "item is missing"),
        (b'{"user": true, "item": 2, "rating": 3, "timestamp": 1}', "user is of type bool"),
        (b'{"user": 1, "item": 2.5, "rating": 3, "timestamp": 1}', "item is of type float"),
        (b'{"user": "", "item": 2, "rating": 3, "timestamp": 1}', "user is empty"),
        (b'{"user": 1, "item": 2, "rating": "3", "timestamp": 1}', "rating is of type str"),
        (b'{"user": 1, "item": 2, "rating": true, "timestamp": 1}', "rating is of type bool"),
        (b'{"user": 1, "item": 2, "rating": 3, "timestamp": []}', "timestamp is of type list"),
        (b'{"user": 1, "item": 2, "rating": 3, "timestamp": -1}', "timestamp is -1.0"),
    ],
)
def test_a_malformed_rating_says_what_is_wrong(value: bytes, reason: str) -> None:
    with pytest.raises(MalformedRecordError) as raised:
        decode_rating(value, "o")
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
        decode_rating(value[:length], "o")


def _rating_or_malformed(value: bytes) -> None:
    try:
        rating = decode_rating(value, "o")
    except MalformedRecordError as e:
        assert str(e)
    else:
        assert orjson.loads(encode_rating(rating))["user"] == rating.user
