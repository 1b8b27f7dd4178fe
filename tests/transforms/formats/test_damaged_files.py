from __future__ import annotations

import bz2
import gzip
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.files import (
    AVRO,
    COMPRESS,
    TABS,
    TSV,
    VALUES,
    avro_file,
    expected_ratings,
    files_of,
    parsed,
    read_content,
)
from tests.support import movielens_like, tab_lines
from transforms.errors import UnsupportedFormatError
from transforms.file_reader import (
    Files,
)
from transforms.formats.records import DeadLetter, Rating

LONG = movielens_like(2500)
LONG_TABS = tab_lines(LONG).encode()


def _is_a_start_and_one_dead_letter(
    found: tuple[list[Rating], list[DeadLetter]], whole: list[Rating]
) -> int:
    ratings, dead = found
    count = len(ratings)
    assert [rating[:4] for rating in ratings] == [rating[:4] for rating in whole[:count]]
    assert [(letter.origin, letter.stage, letter.value) for letter in dead] == [
        (f"f:{count + 1}", "read", b"")
    ]
    assert "the rest of the file cannot be read: " in dead[0].reason
    return count


@pytest.mark.parametrize("compress", COMPRESS.values(), ids=COMPRESS)
@pytest.mark.parametrize("part", [0.5, 0.9, 0.999])
def test_a_truncated_file_gives_what_is_there_and_one_dead_letter(
    tmp_path: Path, compress: Callable[[bytes], bytes], part: float
) -> None:
    compressed = compress(LONG_TABS)
    found = read_content(tmp_path, compressed[: int(len(compressed) * part)])
    count = _is_a_start_and_one_dead_letter(found, LONG)
    # bz2 has only whole blocks, and this is one.
    assert count > 0 or compress is not gzip.compress


@pytest.mark.parametrize(
    ("kind", "length"),
    [
        (kind, length)
        for kind, known_by in (("gz", 3), ("bz2", 3), ("xz", 6), ("zst", 4))
        for length in (known_by, 7, 9, 12, 20)
    ],
)
def test_a_file_that_breaks_off_at_its_start_is_one_dead_letter(
    tmp_path: Path, kind: str, length: int
) -> None:
    ratings, dead = read_content(tmp_path, COMPRESS[kind](TABS)[:length])
    assert ratings == []
    assert [(letter.origin, letter.stage) for letter in dead] == [("f:1", "read")]


def test_a_truncated_trailer_costs_no_record(tmp_path: Path) -> None:
    found = read_content(tmp_path, gzip.compress(LONG_TABS)[:-4])
    assert _is_a_start_and_one_dead_letter(found, LONG) == len(LONG)


def test_a_wrong_checksum_is_told(tmp_path: Path) -> None:
    compressed = bytearray(gzip.compress(TABS))
    compressed[-6] ^= 0xFF
    found = read_content(tmp_path, bytes(compressed))
    assert _is_a_start_and_one_dead_letter(found, expected_ratings()) == len(VALUES)
    assert "CRC check failed" in found[1][0].reason


@pytest.mark.parametrize("good", [b"", LONG_TABS], ids=["at once", "later"])
def test_gz_with_bytes_that_can_not_be_inflated(tmp_path: Path, good: bytes) -> None:
    compressor = zlib.compressobj(wbits=31)
    start = compressor.compress(good) + compressor.flush(zlib.Z_FULL_FLUSH)
    # Ones from here on are a block of the type that there is not.
    found = read_content(tmp_path, start + b"\xff" * 50)
    count = _is_a_start_and_one_dead_letter(found, LONG)
    assert (count > 0) == bool(good)


def test_bz2_with_a_broken_block(tmp_path: Path) -> None:
    ratings = movielens_like(6000)
    compressed = bytearray(bz2.compress(tab_lines(ratings).encode(), compresslevel=1))
    compressed[-1000] ^= 0xFF  # in the second of two blocks
    found = read_content(tmp_path, bytes(compressed))
    assert 0 < _is_a_start_and_one_dead_letter(found, ratings) < len(ratings)


@pytest.mark.parametrize("codec", ["null", "deflate", "bzip2"])
def test_a_container_that_is_truncated(tmp_path: Path, codec: str) -> None:
    content = avro_file([rating._asdict() for rating in LONG], codec, sync_interval=4000)
    found = read_content(tmp_path, content[: len(content) // 2])
    assert 0 < _is_a_start_and_one_dead_letter(found, LONG) < len(LONG)


@pytest.mark.parametrize("codec", ["null", "deflate", "bzip2"])
def test_a_container_with_a_broken_sync_marker(tmp_path: Path, codec: str) -> None:
    content = avro_file([rating._asdict() for rating in LONG], codec, sync_interval=4000)
    blocks = content.split(b"0123456789abcdef")
    blocks[5] += b"0123456789abcdeX" + blocks.pop(6)
    found = read_content(tmp_path, b"0123456789abcdef".join(blocks))
    assert 0 < _is_a_start_and_one_dead_letter(found, LONG) < len(LONG)


@pytest.mark.parametrize("codec", ["deflate", "bzip2"])
def test_a_container_with_a_block_that_can_not_be_decompressed(tmp_path: Path, codec: str) -> None:
    content = avro_file([rating._asdict() for rating in LONG], codec, sync_interval=4000)
    blocks = content.split(b"0123456789abcdef")
    # Behind the block's count and size, two bytes each, its data.
    blocks[5] = blocks[5][:4] + b"\xff" * (len(blocks[5]) - 4)
    found = read_content(tmp_path, b"0123456789abcdef".join(blocks))
    assert 0 < _is_a_start_and_one_dead_letter(found, LONG) < len(LONG)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"name": "user"', b'"nane": "user"'),  # a field without a name
        (b'"type": "double"', b'"type": "duoble"'),  # a type that there is not
        (b'"type": "record"', b'"type": "recor}"'),
        (b'{"type"', b'["type"'),  # no JSON
        (b"avro.schema", b"avro.schemX"),
        (b"avro.codec", b"avro.codeX"),
        (b"\x08null", b"\x08nulX"),
    ],
)
def test_a_container_with_a_broken_header_is_one_dead_letter(
    tmp_path: Path, old: bytes, new: bytes
) -> None:
    assert old in AVRO
    ratings, dead = read_content(tmp_path, AVRO.replace(old, new, 1))
    if old == b"avro.codec":  # the codec may be left out
        assert (ratings, dead) == (expected_ratings(), [])
        return
    assert ratings == []
    assert [(letter.origin, letter.stage) for letter in dead] == [("f:1", "read")]


def test_a_file_that_breaks_off_does_not_stop_the_files_behind_it(tmp_path: Path) -> None:
    (tmp_path / "a.gz").write_bytes(gzip.compress(TABS)[:-4])
    (tmp_path / "b.tsv").write_bytes(TSV)
    paths = tuple(str(tmp_path / name) for name in ("a.gz", "b.tsv"))
    ratings, dead = parsed(Files(paths, ("a.gz", "b.tsv"), "auto", order_by_time=False))
    assert [rating.origin for rating in ratings] == [
        *(f"a.gz:{line}" for line in range(1, 5)),
        *(f"b.tsv:{line}" for line in range(2, 6)),
    ]
    assert [letter.origin for letter in dead] == ["a.gz:5"]


SMALL_TABS = b"1\t2\t3\t4\n" * 30


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_no_damage_to_a_file_makes_it_fail(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    content = bytearray(
        data.draw(
            st.sampled_from(
                [
                    AVRO,
                    avro_file([Rating(*values)._asdict() for values in VALUES] * 9, "deflate"),
                    gzip.compress(SMALL_TABS),
                    bz2.compress(SMALL_TABS),
                ]
            )
        )
    )
    # The first bytes say what the file is.
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(4, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "damaged"
    path.write_bytes(content[: data.draw(st.integers(4, len(content)))])
    try:
        _, dead = parsed(files_of(path))
    except UnsupportedFormatError:
        return
    assert sum(letter.stage == "read" for letter in dead) <= 1
