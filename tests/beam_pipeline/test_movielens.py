"""Made-up rows in the two sources' formats: MovieLens itself may not be redistributed."""

from __future__ import annotations

import csv
import hashlib
import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from beam_pipeline import movielens
from beam_pipeline.movielens_features import GENRES, OCCUPATIONS
from tests.support import features_of, read_rating

Read = Callable[[bytes], movielens.MovieLens]

RATINGS = "7\t2\t3\t881250949\n9\t1\t5\t891717742\n7\t3\t1\t878887116\n7\t4\t4\t878887116\n"
GROUPLENS = {
    "ml-100k/u.data": RATINGS.encode(),
    "ml-100k/u.user": b"7|24|M|technician|85711\n9|53|F|none|T8H1N\n",
    "ml-100k/u.item": "".join(
        f"{item}|{title}|01-Jan-1995||http://example.org|{'|'.join(flags)}\n"
        for item, title, flags in (
            ("1", "Été, L' (1987)", "0001000000000000001"),
            ("2", "Noon, at (Mittag) (2001)", "0100000000000010000"),
            ("3", "unknown", "1000000000000000000"),
            ("4", "Dusk  (1995) (V)", "0000100000000000000"),
        )
    ).encode("latin-1"),
}
STEM = "recbole/dataset_example/ml-100k/ml-100k"
WHEEL = {
    f"{STEM}.inter": (
        "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
        + RATINGS.replace("\t881250949", ".0\t881250949.0")
    ).encode(),
    f"{STEM}.user": (
        b"user_id:token\tage:token\tgender:token\toccupation:token\tzip_code:token\n"
        b"7\t24\tM\ttechnician\t85711\n9\t53\tF\tnone\tT8H1N\n"
    ),
    f"{STEM}.item": (
        "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n"
        "1\tÉté, L'\t1987\tAnimation Western\n"
        "2\tNoon, at (Mittag)\t2001\tAction Romance\n"
        "3\tunkonwn\tunkonwn\tunknown\n"
        "4\tDusk (1995)\tV\tChildren's\n"
    ).encode(),
}


def _archive(files: dict[str, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, value in files.items():
            archive.writestr(name, value)
    return content.getvalue()


@pytest.fixture(autouse=True)
def these_are_the_ratings(monkeypatch: pytest.MonkeyPatch) -> None:
    checksum = hashlib.md5(RATINGS.encode(), usedforsecurity=False).hexdigest()
    monkeypatch.setattr(movielens, "_MD5", checksum)


def _offline() -> movielens.MovieLens:
    raise requests.ConnectionError


def _sources(monkeypatch: pytest.MonkeyPatch, grouplens: bytes | None, wheel: bytes | None) -> None:
    sources: list[tuple[str, bytes | None, Read]] = [
        ("_from_grouplens", grouplens, movielens.read_grouplens),
        ("_from_wheel", wheel, movielens.read_wheel),
    ]
    for name, content, read in sources:

        def source(content: bytes | None = content, read: Read = read) -> movielens.MovieLens:
            return read(content) if content else _offline()

        source.__name__ = name
        monkeypatch.setattr(movielens, name, source)


@pytest.fixture(params=["grouplens", "wheel"])
def folder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    archives = {"grouplens": _archive(GROUPLENS), "wheel": _archive(WHEEL)}
    given = {name: archives[name] if name == request.param else None for name in archives}
    _sources(monkeypatch, **given)
    return tmp_path / "data" / "ml-100k"


def test_both_sources_give_the_ratings(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert movielens.main([str(folder)]) == 0
    assert capsys.readouterr().out == f"{folder / 'u.data'}\n"
    assert (folder / "u.data").read_text() == RATINGS
    assert {path.name for path in folder.iterdir()} == {"u.data", "titles.csv"}


def test_both_sources_give_the_same_features(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert movielens.main([str(folder), "--features"]) == 0
    path = folder / "ratings.jsonl"
    assert capsys.readouterr().out == f"{path}\n"
    assert (folder / "u.data").read_text() == RATINGS
    lines = path.read_bytes().splitlines()
    ratings = [read_rating(line, origin="") for line in lines]
    plain = ["\t".join([r.user, r.item, f"{r.rating:.0f}", f"{r.timestamp:.0f}"]) for r in ratings]
    assert plain == RATINGS.splitlines()

    technician, none = OCCUPATIONS.index("technician"), OCCUPATIONS.index("none")
    users = [list(features_of(rating).user) for rating in ratings]
    assert users[0] == users[2] == [0.0, 0.24, *(float(i == technician) for i in range(21))]
    assert users[1] == [1.0, 0.53, *(float(i == none) for i in range(21))]

    items = {rating.item: list(features_of(rating).item) for rating in ratings}
    years = {"1": 0.87, "2": 1.01, "3": 0.0, "4": 0.95}
    genres = {"1": {"Animation", "Western"}, "2": {"Action", "Romance"}, "4": {"Children's"}}
    for item, vector in items.items():
        own = genres.get(item, set())
        assert vector == [years[item], *(float(genre in own) for genre in GENRES)]

    days = [features_of(rating).context.index(1.0) for rating in ratings]
    assert days == [3, 5, 4, 4]
    assert all(sum(features_of(rating).context) == 1.0 for rating in ratings)


def test_both_sources_give_the_same_titles(folder: Path) -> None:
    movielens.fetch_features(folder)
    with (folder / "titles.csv").open(encoding="utf-8", newline="") as file:
        assert list(csv.reader(file)) == [
            ["item", "title"],
            ["1", "Été, L' (1987)"],
            ["2", "Noon, at (Mittag) (2001)"],
            ["3", "unknown"],
            ["4", "Dusk (1995) (V)"],
        ]


def test_ratings_that_are_there_are_not_fetched_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _sources(monkeypatch, None, None)
    (tmp_path / "u.data").write_text(RATINGS)
    assert movielens.fetch(tmp_path) == tmp_path / "u.data"


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        (None, "grouplens: ConnectionError; wheel: ConnectionError"),
        ({**GROUPLENS, "ml-100k/u.data": b"1\t1\t1\t1\n"}, "grouplens: the checksum differs"),
        ({"ml-100k/u.data": b""}, 'grouplens: not as expected, "There is no item named'),
        ({**GROUPLENS, "ml-100k/u.user": b"7|24\n"}, "grouplens: not as expected"),
        ({**GROUPLENS, "ml-100k/u.item": b"1|A||||||\n"}, "grouplens: not as expected"),
    ],
)
def test_what_can_not_be_had_is_one_line(
    files: dict[str, bytes] | None,
    reason: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    _sources(monkeypatch, _archive(files) if files else None, None)
    for arguments in ([], ["--features"]):
        assert movielens.main([str(tmp_path), *arguments]) == 1
        captured = capsys.readouterr()
        assert captured.out == ""
        assert len(captured.err.splitlines()) == 1
        assert reason in captured.err
        assert f"put its u.data at {tmp_path / 'u.data'}" in captured.err
    assert list(tmp_path.iterdir()) == []
