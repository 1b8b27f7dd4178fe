from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import read_rating
from transforms.errors import MalformedRecordError, UnsupportedFormatError
from transforms.formats.delimited import (
    MOVIELENS_COLONS,
    MOVIELENS_TABS,
    Columns,
    columns_of_header,
    decode,
)
from transforms.formats.detection import RecordFormat
from transforms.formats.records import Rating

CSV = columns_of_header("user,item,rating,timestamp", ",")
SHUFFLED = columns_of_header("timestamp,title,rating,item,user", ",")
TSV = columns_of_header("user_id:token\titem_id:token\trating:float\ttimestamp:float", "\t")
ALL_COLUMNS = [MOVIELENS_TABS, MOVIELENS_COLONS, CSV, SHUFFLED, TSV]


@pytest.mark.parametrize(
    ("header", "separator", "names"),
    [
        ("user,item", ",", ("user", "item")),
        ('"user","a, b"', ",", ("user", "a, b")),
        (" user ; item ;", ";", ("user", "item", "")),
        ("user_id:token\titem_id:token", "\t", ("user_id:token", "item_id:token")),
        ("", ",", ()),
    ],
)
def test_a_header_names_the_columns(header: str, separator: str, names: tuple[str, ...]) -> None:
    assert columns_of_header(header, separator) == Columns(separator, names, quoted=True)


def test_a_header_that_names_a_column_twice_is_quoted() -> None:
    with pytest.raises(UnsupportedFormatError) as raised:
        columns_of_header("user,item,user", ",")
    assert "'user,item,user' names the column 'user' twice" in str(raised.value)


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
    with pytest.raises(UnsupportedFormatError) as raised:
        columns_of_header("user,user," + "x," * 1000, ",")
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
    assert read_rating(line.encode(), RecordFormat("delimited", columns)) == rating


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"1,2,3", "3 column(s), expected at least 4"),
        (b"", "empty record"),
        (b"1\t2\t3\t4", "1 column(s), expected at least 4"),
        (b"caf\xe9,2,3,4", "invalid UTF-8 at byte 3"),
        (b",2,3,4", "user is empty"),
        (b"1,  ,3,4", "item is empty"),
        (b"1,2,good,4", "rating is 'good', expected a number"),
        (b"1,2,3,1997-13-04", "timestamp is '1997-13-04', expected a number or ISO 8601"),
        (b"1,2,1_000,4", "rating is '1_000', expected a number"),
        (b"1,2,3,881_250_949", "timestamp is '881_250_949', expected a number"),
        (b"1,2,0x10,4", "rating is '0x10', expected a number"),
        (b"1,2,nan,4", "rating is nan, expected a finite number"),
        (b"1,2,NaN,4", "rating is nan, expected a finite number"),
        (b"1,2,inf,4", "rating is inf, expected a finite number"),
        (b"1,2,-Infinity,4", "rating is -inf, expected a finite number"),
        (b"1,2,1e999,4", "rating is inf, expected a finite number"),
        (b"1,2,3,nan", "timestamp is 'nan', expected a number"),
        (b"1,2,3,1e999", "timestamp is inf"),
        (b"1,2,3,-1", "timestamp is -1.0"),
        (b'"1,2,3,4', "broken quoting: "),
        (b'"1"x,2,3,4', "broken quoting: "),
        (b'"' + b"x" * 200_000 + b'",2,3,4', "broken quoting: "),
    ],
)
def test_a_malformed_line_says_what_is_wrong(value: bytes, reason: str) -> None:
    with pytest.raises(MalformedRecordError) as raised:
        read_rating(value, RecordFormat("delimited", CSV))
    assert reason in str(raised.value)


def test_a_long_text_in_place_of_a_number_is_cut_in_the_reason() -> None:
    with pytest.raises(MalformedRecordError) as raised:
        read_rating(b"1,2," + b"x" * 10_000 + b",4", RecordFormat("delimited", CSV))
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
        rating = read_rating(value, RecordFormat("delimited", columns))
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
@given(user=PLAIN, item=PLAIN, rating=FINITE, timestamp=st.floats(0.0, 1e11, exclude_max=True))
def test_written_values_are_read_again(
    columns: Columns, user: str, item: str, rating: float, timestamp: float
) -> None:
    line = columns.separator.join([user, item, repr(rating), repr(timestamp)])
    read = read_rating(line.encode(), RecordFormat("delimited", columns))
    assert read == Rating(user, item, rating, timestamp, "o")


@settings(deadline=None, max_examples=100)
@given(st.text(st.characters(exclude_categories=["C"])))
def test_quotes_protect_everything_in_a_line(item: str) -> None:
    quoted = item.replace('"', '""')
    line = f'1,"x{quoted}x",3,4'
    assert decode(line.encode(), CSV)[1] == f"x{item}x".strip()
