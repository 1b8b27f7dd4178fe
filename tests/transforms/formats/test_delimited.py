from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.errors import MalformedRecordError, UnsupportedFormatError
from transforms.formats.delimited import (
    MOVIELENS_COLONS,
    MOVIELENS_TABS,
    Columns,
    columns_of_header,
    decode_rating,
)
from transforms.formats.records import Rating

CSV = columns_of_header("user,item,rating,timestamp", ",")
SHUFFLED = columns_of_header("timestamp,title,rating,item,user", ",")
TSV = columns_of_header("user_id:token\titem_id:token\trating:float\ttimestamp:float", "\t")
ALL_COLUMNS = [MOVIELENS_TABS, MOVIELENS_COLONS, CSV, SHUFFLED, TSV]


@pytest.mark.parametrize(
    ("header", "separator", "positions"),
    [
        ("user,item,rating,timestamp", ",", (0, 1, 2, 3)),
        ("userId,movieId,rating,timestamp", ",", (0, 1, 2, 3)),
        ("timestamp,title,Rating,MOVIE_ID,User_Id", ",", (4, 3, 2, 0)),
        ('"userId","movieId","rating","timestamp"', ",", (0, 1, 2, 3)),
        (" user , movie , rating , timestamp ", ",", (0, 1, 2, 3)),
        ("user_id:token\titem_id:token\trating:float\ttimestamp:float", "\t", (0, 1, 2, 3)),
    ],
)
def test_a_header_tells_where_the_fields_stand(
    header: str, separator: str, positions: tuple[int, int, int, int]
) -> None:
    assert columns_of_header(header, separator) == Columns(separator, positions, quoted=True)


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ("user,item,rating", "has no column for timestamp"),
        ("a,b", "has no column for user, item, rating, timestamp"),
        ("", "has no column for user, item, rating, timestamp"),
        ("user,userId,item,rating,timestamp", "names two columns for the user"),
        ("user,item,movieId,rating,timestamp", "names two columns for the item"),
    ],
)
def test_a_header_that_will_not_do_is_quoted(header: str, reason: str) -> None:
    with pytest.raises(UnsupportedFormatError) as raised:
        columns_of_header(header, ",")
    assert reason in str(raised.value)
    assert repr(header) in str(raised.value)


@pytest.mark.parametrize(
    "header",
    [
        pytest.param("user,item,rating,timestamp\r1,2,3,4", id="line ends of old Macs"),
        pytest.param("user,item,rating,timestamp," + "x" * 200_000, id="beyond csv's field limit"),
    ],
)
def test_a_header_that_is_no_csv_is_unsupported(header: str) -> None:
    with pytest.raises(UnsupportedFormatError):
        columns_of_header(header, ",")


def test_a_long_header_is_cut_in_the_reason() -> None:
    header = '[{"user": 196, "item": 242, "rating": 3, "timestamp": 881250949}' * 1000
    with pytest.raises(UnsupportedFormatError) as raised:
        columns_of_header(header, ",")
    assert len(str(raised.value)) < 1000


@pytest.mark.parametrize(
    ("line", "columns", "rating"),
    [
        ("196\t242\t3\t881250949", MOVIELENS_TABS, Rating("196", "242", 3.0, 881250949.0, "o")),
        ("1::1193::5::978300760", MOVIELENS_COLONS, Rating("1", "1193", 5.0, 978300760.0, "o")),
        ("1,31,2.5,1260759144", CSV, Rating("1", "31", 2.5, 1260759144.0, "o")),
        ("9,Heat (1995),4,b,a", SHUFFLED, Rating("a", "b", 4.0, 9.0, "o")),
        ("a\tb\t1.0\t2.5", TSV, Rating("a", "b", 1.0, 2.5, "o")),
        (" ü , b c , 1 , 2 ", CSV, Rating("ü", "b c", 1.0, 2.0, "o")),
        ('"1","a,b","3.5","12"', CSV, Rating("1", "a,b", 3.5, 12.0, "o")),
        ('1,"say ""hi""",3,12', CSV, Rating("1", 'say "hi"', 3.0, 12.0, "o")),
        ('1\t"2"\t3\t4', MOVIELENS_TABS, Rating("1", '"2"', 3.0, 4.0, "o")),
        ("1,2,-3e0,4,further,columns", CSV, Rating("1", "2", -3.0, 4.0, "o")),
    ],
)
def test_lines_are_read(line: str, columns: Columns, rating: Rating) -> None:
    assert decode_rating(line.encode(), "o", columns) == rating


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"1,2,3", "3 column(s), expected at least 4"),
        (b"", "1 column(s), expected at least 4"),
        (b"1\t2\t3\t4", "1 column(s), expected at least 4"),
        (b"caf\xe9,2,3,4", "invalid UTF-8 at byte 3"),
        (b",2,3,4", "user is empty"),
        (b"1,  ,3,4", "item is empty"),
        (b"1,2,,4", "rating is '', expected a number"),
        (b"1,2,good,4", "rating is 'good', expected a number"),
        (b"1,2,3,1997-12-04", "timestamp is '1997-12-04', expected a number"),
        (b"1,2,1_000,4", "rating is '1_000', expected a number"),
        (b"1,2,3,881_250_949", "timestamp is '881_250_949', expected a number"),
        (b"1,2,0x10,4", "rating is '0x10', expected a number"),
        (b"1,2,nan,4", "rating is nan, expected a finite number"),
        (b"1,2,NaN,4", "rating is nan, expected a finite number"),
        (b"1,2,inf,4", "rating is inf, expected a finite number"),
        (b"1,2,-Infinity,4", "rating is -inf, expected a finite number"),
        (b"1,2,1e999,4", "rating is inf, expected a finite number"),
        (b"1,2,3,nan", "timestamp is nan"),
        (b"1,2,3,1e999", "timestamp is inf"),
        (b"1,2,3,-1", "timestamp is -1.0"),
        (b'"1,2,3,4', "broken quoting: "),
        (b'"1"x,2,3,4', "broken quoting: "),
        (b'"' + b"x" * 200_000 + b'",2,3,4', "broken quoting: "),
    ],
)
def test_a_malformed_line_says_what_is_wrong(value: bytes, reason: str) -> None:
    with pytest.raises(MalformedRecordError) as raised:
        decode_rating(value, "o", CSV)
    assert reason in str(raised.value)


def test_a_long_text_in_place_of_a_number_is_cut_in_the_reason() -> None:
    with pytest.raises(MalformedRecordError) as raised:
        decode_rating(b"1,2," + b"x" * 10_000 + b",4", "o", CSV)
    assert len(str(raised.value)) < 100


# Bytes of which lines are made, so that more than the first check is met.
SEPARATORS = st.sampled_from([b"\t", b"::", b",", b":", b'"', b'""', b"\r", b"\n", b"\0"])
CELLS = st.sampled_from([b"1", b"-", b"e9", b".", b"nan", b"_", b" ", b"\xff", "é".encode()])
LINES = st.lists(SEPARATORS | CELLS, max_size=20).map(b"".join)


@pytest.mark.parametrize("columns", ALL_COLUMNS)
@settings(deadline=None, max_examples=200)
@given(value=st.binary() | LINES)
def test_arbitrary_bytes_are_malformed_or_a_rating(columns: Columns, value: bytes) -> None:
    try:
        rating = decode_rating(value, "o", columns)
    except MalformedRecordError as e:
        assert str(e)
    else:
        assert rating.user
        assert rating.item
        assert math.isfinite(rating.rating)
        assert 0 <= rating.timestamp < math.inf


PLAIN = st.text(st.characters(exclude_characters='"\t:,', exclude_categories=["C", "Z"])).filter(
    lambda text: text and text.strip() == text
)
FINITE = st.floats(allow_nan=False, allow_infinity=False)


@pytest.mark.parametrize("columns", [MOVIELENS_TABS, MOVIELENS_COLONS, CSV, TSV])
@settings(deadline=None, max_examples=50)
@given(user=PLAIN, item=PLAIN, rating=FINITE, timestamp=FINITE.map(abs))
def test_written_values_are_read_again(
    columns: Columns, user: str, item: str, rating: float, timestamp: float
) -> None:
    line = columns.separator.join([user, item, repr(rating), repr(timestamp)])
    read = decode_rating(line.encode(), "o", columns)
    assert read == Rating(user, item, rating, timestamp, "o")


@settings(deadline=None, max_examples=100)
@given(st.text(st.characters(exclude_categories=["C"])))
def test_quotes_protect_everything_in_a_line(item: str) -> None:
    quoted = item.replace('"', '""')
    line = f'1,"x{quoted}x",3,4'
    assert decode_rating(line.encode(), "o", CSV).item == f"x{item}x"
