from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.files import (
    CONTENTS,
    CSV,
    JSON,
    TABS,
    VALUES,
    StoredFiles,
    avro_file,
    expected_ratings,
    files_of,
    make_files,
    parsed,
    read_content,
)
from tests.support import movielens_like, tab_lines
from transforms.batches import RawBatch
from transforms.file_reader import (
    FileReader,
    Files,
    match_files,
    read_batches,
)
from transforms.formats.records import Rating
from transforms.splittable_read import END

# Patterns and the names that origins start with.


@pytest.mark.parametrize(
    ("present", "pattern", "names"),
    [
        (["u.data"], "u.data", ["u.data"]),
        (["a/b/u.data"], "a/b/u.data", ["u.data"]),
        (["a/b/u.data"], "a/*/u.data", ["u.data"]),
        (["b.csv", "a.csv", "c.txt"], "*.csv", ["a.csv", "b.csv"]),
        (["x/b.csv", "x/a.csv"], "x/*", ["a.csv", "b.csv"]),
        (["2024/a.csv", "2025/a.csv", "2025/b.csv"], "*/a.csv", ["2024/a.csv", "2025/a.csv"]),
        (["x/aa/f.csv", "x/ab/f.csv"], "x/a*/f.csv", ["aa/f.csv", "ab/f.csv"]),
        (["x/f.csv", "x/sub/f.csv"], "x/**.csv", ["f.csv", "sub/f.csv"]),
        (["x/y/f.csv", "xy/f.csv"], "x**.csv", ["x/y/f.csv", "xy/f.csv"]),
    ],
)
def test_names_are_paths_below_the_folder_that_all_have_in_common(
    tmp_path: Path, present: list[str], pattern: str, names: list[str]
) -> None:
    make_files(tmp_path, *present)
    paths, found = match_files(str(tmp_path / pattern))
    assert sorted(found) == names
    assert list(paths) == sorted(paths)
    for path, name in zip(paths, found, strict=True):
        assert path.endswith("/" + name)
        assert Path(path).is_file()


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("u.data", ["u.data"]),
        ("./u.data", ["u.data"]),
        ("sub/a.csv", ["a.csv"]),
        ("sub/*.csv", ["a.csv", "b.csv"]),
        ("./sub/*.csv", ["a.csv", "b.csv"]),
        ("*.data", ["u.data", "v.data"]),
        ("./*.data", ["u.data", "v.data"]),
        ("*/a.csv", ["a.csv"]),
    ],
)
def test_patterns_may_be_relative_to_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pattern: str, names: list[str]
) -> None:
    make_files(tmp_path, "u.data", "v.data", "sub/a.csv", "sub/b.csv")
    monkeypatch.chdir(tmp_path)
    paths, found = match_files(pattern)
    assert list(found) == names
    for path, name in zip(paths, found, strict=True):
        assert path.endswith(name)
        assert Path(path).is_file()


def test_any_of_beams_filesystems_will_do() -> None:
    # Beam knows a filesystem as soon as its class is defined.
    assert len(StoredFiles.contents) == 3
    assert match_files("stored://bucket/ratings/a.csv") == (
        ("stored://bucket/ratings/a.csv",),
        ("a.csv",),
    )
    paths, names = match_files("stored://bucket/ratings/**.csv")
    assert paths == ("stored://bucket/ratings/a.csv", "stored://bucket/ratings/more/b.csv")
    assert names == ("a.csv", "more/b.csv")
    ratings, dead = parsed(Files(paths, names, "auto", order_by_time=False))
    assert [rating[:4] for rating in ratings] == VALUES * 2
    assert dead == []


# In the order of time.


def test_ratings_come_in_the_order_of_their_time_ties_as_they_stand(tmp_path: Path) -> None:
    ratings, dead = read_content(tmp_path, TABS, order_by_time=True)
    expected = expected_ratings()
    assert ratings == [expected[2], expected[0], expected[3], expected[1]]
    assert dead == []


@pytest.mark.parametrize("kind", CONTENTS)
def test_every_format_can_be_ordered(tmp_path: Path, kind: str) -> None:
    content, first_line = CONTENTS[kind]
    ratings, dead = read_content(tmp_path, content, order_by_time=True)
    lines = [int(rating.origin.removeprefix("f:")) - first_line for rating in ratings]
    assert (lines, dead) == ([2, 0, 3, 1], [])


def test_times_are_compared_across_files_of_different_formats(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(JSON)
    (tmp_path / "b.csv").write_bytes(CSV)
    (tmp_path / "c.gz").write_bytes(gzip.compress(TABS))
    (tmp_path / "d.json").write_bytes(JSON)
    names = ("a.json", "b.csv", "c.gz", "d.json")
    files = Files(tuple(str(tmp_path / name) for name in names), names, "auto", order_by_time=True)
    ratings, dead = parsed(files)
    assert dead == []
    lines = [(2, name) for name in names]
    lines += [(line, name) for name in names for line in (0, 3)]
    lines += [(1, name) for name in names]
    assert [rating.origin for rating in ratings] == [
        f"{name}:{line + (2 if name == 'b.csv' else 1)}" for line, name in lines
    ]


def test_a_large_file_is_ordered_as_a_whole(tmp_path: Path) -> None:
    ratings = movielens_like(2500)
    path = tmp_path / "u.data"
    path.write_text(tab_lines(ratings))
    found, _ = parsed(files_of(path, order_by_time=True, name="u.data"))
    assert found == sorted(ratings, key=lambda rating: rating.timestamp)


def _origins_in_order(files: Files) -> list[str]:
    return [f"{b.source}{position}" for b in read_batches(files) for position in b.positions]


def test_what_has_no_time_stays_behind_what_it_stood_behind(tmp_path: Path) -> None:
    path = tmp_path / "file.gz"
    lines = [b"no time", b"1\t2\t3\t50", b"", b"1\t2\tnan\t99", b"1\t2\t3\t10", b"1\t2\t3\t50"]
    path.write_bytes(gzip.compress(b"\n".join(lines) + b"\nlast\n")[:-4])
    files = files_of(path, "movielens", order_by_time=True)
    assert _origins_in_order(files) == [
        "f:1",  # before all, as it was
        "f:5",
        "f:2",
        "f:3",
        "f:4",
        "f:6",
        "f:7",
        "f:8",  # the rest that cannot be read
    ]
    dead = parsed(files)[1]
    assert [letter.stage for letter in dead] == ["parse"] * 4 + ["read"]
    assert dead[-1].reason.startswith("the rest of the file cannot be read: EOFError: ")


@settings(deadline=None, max_examples=100)
@given(st.lists(st.none() | st.integers(0, 5), max_size=40))
def test_ordering_is_a_stable_sort(
    tmp_path_factory: pytest.TempPathFactory, times: list[int | None]
) -> None:
    path = tmp_path_factory.getbasetemp() / "ordered"
    path.write_text("".join("broken\n" if t is None else f"1\t2\t3\t{t}\n" for t in times))
    keys, latest = [], 0
    for time in times:
        latest = latest if time is None else time
        keys.append(latest)
    expected = sorted(range(len(times)), key=lambda line: keys[line])
    files = files_of(path, "movielens", order_by_time=True)
    assert _origins_in_order(files) == [f"f:{line + 1}" for line in expected]


# Going on from a record number.


Record = tuple[str, bytes | None, Any, str]


def _records(batches: list[RawBatch]) -> list[Record]:
    return [
        (f"{batch.source}{position}", value, batch.record_format, batch.failure)
        for batch in batches
        for position, value in zip(batch.positions, batch.values, strict=True)
    ]


def _rest(files: Files, position: int) -> list[RawBatch]:
    reader = FileReader(files, position)
    batches: list[RawBatch] = []
    while True:
        chunk = reader.read(position, END, 0.0)
        if chunk.exhausted:
            assert len(chunk.batch) == 0
            assert chunk.next_position == position
            return batches
        assert len(chunk.batch) > 0
        assert chunk.next_position == position + len(chunk.batch)
        batches.append(chunk.batch)
        position = chunk.next_position


@pytest.fixture
def mixed(tmp_path: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    contents = {
        "a.csv": CSV + b"\nbroken\n",
        "b.gz": gzip.compress(TABS * 3)[:-4],
        "c.avro": avro_file(
            [Rating(*values)._asdict() for values in VALUES * 5], sync_interval=100
        ),
        "d.json": b"",
        "e.json": JSON + b"{",
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    return tuple(str(tmp_path / name) for name in contents), tuple(contents)


@pytest.mark.parametrize("order_by_time", [False, True])
@pytest.mark.parametrize("size", [1, 3, 4, 1000])
def test_reading_goes_on_from_any_record(
    mixed: tuple[tuple[str, ...], tuple[str, ...]],
    monkeypatch: pytest.MonkeyPatch,
    size: int,
    order_by_time: bool,
) -> None:
    monkeypatch.setattr("transforms.file_reader.BATCH_RECORDS", size)
    files = Files(*mixed, "auto", order_by_time)
    everything = _records(list(read_batches(files)))
    assert len(everything) == 6 + 13 + 20 + 0 + 5
    for position in range(len(everything) + 1):
        assert _records(_rest(files, position)) == everything[position:]


def test_a_reader_goes_forward_only(tmp_path: Path) -> None:
    make_files(tmp_path, "u.data")
    reader = FileReader(files_of(tmp_path / "u.data"), 2)
    with pytest.raises(ValueError, match="the reader stands at 2, not at 0"):
        reader.read(0, END, 0.0)
    assert list(reader.read(2, END, 0.0).batch.positions) == [3, 4]
