from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.errors import MalformedRecordError
from transforms.formats.records import (
    Features,
    Rating,
    Request,
)
from transforms.formats.validation import checked_rating, validated_rating, validated_request

GOOD: dict[str, Any] = {"user": "196", "item": "242", "rating": 3.0, "timestamp": 881250949.0}


def test_ids_that_no_list_could_carry_are_refused() -> None:
    with pytest.raises(MalformedRecordError, match="1001 characters"):
        checked_rating("u" * 1001, "i", 1.0, 1.0, "")
    assert checked_rating("u" * 1000, "i", 1.0, 1.0, "").user == "u" * 1000


def test_a_rating_keeps_its_values_and_its_origin() -> None:
    assert checked_rating(**GOOD, origin="u.data:1") == Rating(
        "196", "242", 3.0, 881250949.0, "u.data:1"
    )


def test_whole_numbers_become_decimal_ids() -> None:
    numbers = checked_rating(196, -242, 3.0, 1.0, "")
    assert (numbers.user, numbers.item) == ("196", "-242")
    assert type(numbers.user) is str


def test_whole_ratings_and_timestamps_become_floats() -> None:
    rating = checked_rating("u", "i", 3, 881250949, "")
    assert rating == Rating("u", "i", 3.0, 881250949.0, "")
    assert type(rating.rating) is float
    assert type(rating.timestamp) is float


@pytest.mark.parametrize("number", [0.0, -5.0, 1e308, 5e-324])
def test_any_finite_rating_is_taken(number: float) -> None:
    assert checked_rating("u", "i", number, 0.0, "").rating == number


def test_time_starts_with_the_epoch() -> None:
    assert checked_rating("u", "i", 1.0, 0, "").timestamp == 0.0


@pytest.mark.parametrize("field", ["user", "item", "rating", "timestamp"])
def test_a_missing_value_is_named(field: str) -> None:
    with pytest.raises(MalformedRecordError, match=f"^{field} is missing$"):
        checked_rating(**{**GOOD, field: None}, origin="")


@pytest.mark.parametrize("field", ["user", "item"])
@pytest.mark.parametrize("value", [True, 1.5, 196.0, b"196", ["196"]])
def test_an_id_of_a_wrong_type_is_named(field: str, value: object) -> None:
    reason = f"^{field} is of type {type(value).__name__}, expected a string or a whole number$"
    with pytest.raises(MalformedRecordError, match=reason):
        checked_rating(**{**GOOD, field: value}, origin="")


def test_an_object_in_place_of_an_id_says_what_to_do() -> None:
    reason = "user is of type dict, .* name the path of its id, as in --fields user=user.id"
    with pytest.raises(MalformedRecordError, match=reason):
        checked_rating(**{**GOOD, "user": {"id": 1}}, origin="")


@pytest.mark.parametrize("field", ["user", "item"])
def test_an_empty_id_is_named(field: str) -> None:
    with pytest.raises(MalformedRecordError, match=f"^{field} is empty$"):
        checked_rating(**{**GOOD, field: ""}, origin="")


@pytest.mark.parametrize("field", ["rating", "timestamp"])
@pytest.mark.parametrize("value", [True, False, "3", "", b"3", [3], {}])
def test_a_number_of_a_wrong_type_is_named(field: str, value: object) -> None:
    reason = f"^{field} is of type {type(value).__name__}, expected a number$"
    with pytest.raises(MalformedRecordError, match=reason):
        checked_rating(**{**GOOD, field: value}, origin="")


@pytest.mark.parametrize("field", ["rating", "timestamp"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite_is_named(field: str, value: float) -> None:
    with pytest.raises(MalformedRecordError, match=f"^{field} is {value}, expected "):
        checked_rating(**{**GOOD, field: value}, origin="")


@pytest.mark.parametrize("field", ["rating", "timestamp"])
def test_a_whole_number_beyond_floats_is_named(field: str) -> None:
    with pytest.raises(MalformedRecordError, match=f"^{field} is too large a number$"):
        checked_rating(**{**GOOD, field: 10**400}, origin="")


@pytest.mark.parametrize("value", [-1, -0.001, -1e300])
def test_a_negative_timestamp_is_named(value: float) -> None:
    with pytest.raises(MalformedRecordError, match=r"^timestamp is -.*, 0 or later$"):
        checked_rating(**{**GOOD, "timestamp": value}, origin="")


ANYTHING = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.binary(max_size=5),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=2), st.none(), max_size=2),
)


@settings(deadline=None, max_examples=500)
@given(ANYTHING, ANYTHING, ANYTHING, ANYTHING)
def test_whatever_comes_is_a_sound_rating_or_malformed(
    user: object, item: object, rating: object, timestamp: object
) -> None:
    try:
        made = checked_rating(user, item, rating, timestamp, "o")
    except MalformedRecordError as e:
        assert str(e)
        return
    assert type(made.user) is str
    assert made.user == str(user) != ""
    assert type(made.item) is str
    assert made.item == str(item) != ""
    assert type(made.rating) is float
    assert math.isfinite(made.rating)
    assert type(made.timestamp) is float
    assert 0 <= made.timestamp < math.inf


LONG = "x" * 1001
# Not declared a Rating, so that its fields can be replaced by values of wrong types.
VALID: Any = Rating("u", "i", 3.0, 1.0, "o")


@pytest.mark.parametrize(
    ("rating", "message"),
    [
        (VALID._replace(user=196), "user is 196 of type int, expected a string"),
        (VALID._replace(item=242), "item is 242 of type int, expected a string"),
        (VALID._replace(item=None), "item is None of type NoneType, expected a string"),
        (VALID._replace(user=""), "user is empty"),
        (VALID._replace(user=LONG), "an id of 1001 characters, expected at most 1000"),
        (VALID._replace(item="\ud800"), r"item is '\\ud800', expected a string that UTF-8"),
        (VALID._replace(origin=7), "origin is 7 of type int, expected a string"),
        (VALID._replace(rating=math.nan), "rating is nan, expected a finite number"),
        (VALID._replace(rating=-math.inf), "rating is -inf, expected a finite number"),
        (VALID._replace(rating="3"), "rating is of type str, expected a number"),
        (VALID._replace(timestamp=math.inf), "timestamp is inf, expected finite seconds"),
        (VALID._replace(timestamp=-1.0), "timestamp is -1.0, expected finite seconds"),
        (
            VALID._replace(features=Features((math.nan,))),
            "user_features holds a number that is not",
        ),
        (VALID._replace(features=(1.0,)), r"\(1.0,\) is of type tuple, expected a Features"),
        ({"user": "u", "item": "i"}, "of type dict, expected a Rating"),
        (("u", "i", 3.0, 1.0), "of type tuple, expected a Rating"),
    ],
)
def test_a_rating_that_a_parser_would_refuse_is_refused(rating: Any, message: str) -> None:
    with pytest.raises(MalformedRecordError, match=message):
        validated_rating(rating)


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (Request(196), "user is 196 of type int, expected a string"),  # type: ignore[arg-type]
        (Request(LONG), "an id of 1001 characters, expected at most 1000"),
        (Request("u", math.nan), "timestamp is nan, expected finite seconds"),
        (Request("u", 1.0, "o", (math.inf,)), "context holds a number that is not finite"),
        (VALID, "of type Rating, expected a Request"),
    ],
)
def test_a_request_that_a_parser_would_refuse_is_refused(request_: Any, message: str) -> None:
    with pytest.raises(MalformedRecordError, match=message):
        validated_request(request_)
