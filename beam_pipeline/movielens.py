"""Gets MovieLens 100K for you: `python -m beam_pipeline.movielens [FOLDER] [--features]`.

It writes `u.data` and, for the report and the dashboard, `titles.csv`; with `--features` also
`ratings.jsonl`, the same ratings with features of users, items and context.
`movielens_features` says what is in them.

The data set is for research, may not be redistributed, and asks to be cited: F. M. Harper,
J. A. Konstan. The MovieLens Datasets: History and Context. ACM TiiS 5 (4), 2015. It comes from
GroupLens, or, where that cannot be reached, out of the wheel of `recbole`, whose copy has the
same rows. Either way the checksum of the result is verified.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import requests

from beam_pipeline import movielens_features as features
from beam_pipeline.failures import one_line
from beam_pipeline.movielens_features import About

URL: Final = "https://files.grouplens.org/datasets/movielens/ml-100k.zip"
DEFAULT_FOLDER: Final = Path("data/ml-100k")
_MD5: Final = "6e47046882bad158b0efbb84cd5cb987"
_WHEEL: Final = "recbole==1.2.1"
_SECONDS: Final = 20


class DownloadError(RuntimeError):
    """Neither source gave the data set."""


class MovieLens(NamedTuple):
    """The data set: `u.data` as GroupLens has it, and what is told of users and items."""

    ratings: bytes
    about: About


def fetch(folder: Path = DEFAULT_FOLDER) -> Path:
    """Returns the path of `u.data` in `folder`, downloaded with the titles if it is not there.

    Raises:
        DownloadError: It cannot be had, or is not what it should be.
    """
    path = folder / "u.data"
    if not (path.exists() and _is_it(path.read_bytes())):
        _write_all(folder, download(path))
    return path


def fetch_features(folder: Path = DEFAULT_FOLDER) -> Path:
    """Writes `u.data`, `titles.csv` and `ratings.jsonl`; returns the path of the last.

    Raises:
        DownloadError: As `fetch`; what lies in the folder is no substitute, as `u.data` alone
            tells nothing of users and items.
    """
    data = download(folder / "u.data")
    _write_all(folder, data)
    path = folder / "ratings.jsonl"
    _write(path, b"".join(features.json_lines(data.ratings, data.about)))
    return path


def _write_all(folder: Path, data: MovieLens) -> None:
    _write(folder / "titles.csv", features.titles(data.about.movies.items()))
    _write(folder / "u.data", data.ratings)


def download(path: Path) -> MovieLens:
    """Returns the data set from the first source that has it.

    Args:
        path: Where a user could put `u.data` by hand, for the message.

    Raises:
        DownloadError: No source has it.
    """
    failures = []
    for source in (_from_grouplens, _from_wheel):
        name = source.__name__.removeprefix("_from_")
        try:
            data = source()
        except (requests.RequestException, subprocess.SubprocessError, OSError) as e:
            failures.append(f"{name}: {type(e).__name__}")
        except (zipfile.BadZipFile, KeyError, ValueError) as e:
            failures.append(f"{name}: not as expected, {e}")
        else:
            if _is_it(data.ratings):
                return data
            failures.append(f"{name}: the checksum differs")
    msg = f"cannot get MovieLens 100K ({'; '.join(failures)}); put its u.data at {path}"
    raise DownloadError(msg)


def _is_it(content: bytes) -> bool:
    return hashlib.md5(content, usedforsecurity=False).hexdigest() == _MD5


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(content)
    partial.replace(path)


def _from_grouplens() -> MovieLens:
    response = requests.get(URL, timeout=_SECONDS)
    response.raise_for_status()
    return read_grouplens(response.content)


def read_grouplens(archive: bytes) -> MovieLens:
    """Returns what is in `ml-100k.zip`.

    Raises:
        KeyError: A file is missing.
        ValueError: A line is not as expected.
    """
    with zipfile.ZipFile(io.BytesIO(archive)) as files:
        users, items = (files.read(f"ml-100k/{name}") for name in ("u.user", "u.item"))
        return MovieLens(files.read("ml-100k/u.data"), features.of_grouplens(users, items))


def _from_wheel() -> MovieLens:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", _WHEEL]
        subprocess.run([*command, "--dest", folder], check=True, capture_output=True)
        return read_wheel(next(Path(folder).glob("*.whl")).read_bytes())


def read_wheel(wheel: bytes) -> MovieLens:
    """Returns what is in the wheel of `recbole`.

    Raises:
        KeyError: A file is missing.
        ValueError: A line is not as expected.
    """
    with zipfile.ZipFile(io.BytesIO(wheel)) as files:
        stem = "recbole/dataset_example/ml-100k/ml-100k"
        ratings, users, items = (files.read(f"{stem}.{end}") for end in ("inter", "user", "item"))
    lines = ratings.decode("utf-8").splitlines()[1:]
    original = "".join(_original(line) for line in lines).encode()
    return MovieLens(original, features.of_wheel(users, items))


def _original(line: str) -> str:
    user, item, rating, timestamp = line.split("\t")
    return f"{user}\t{item}\t{float(rating):.0f}\t{float(timestamp):.0f}\n"


def main(argv: Sequence[str]) -> int:
    """Fetches into the folder given, and prints where the ratings are."""
    parser = argparse.ArgumentParser(
        prog="python -m beam_pipeline.movielens", description="Gets MovieLens 100K."
    )
    parser.add_argument("folder", metavar="FOLDER", nargs="?", type=Path, default=DEFAULT_FOLDER)
    parser.add_argument(
        "--features",
        action="store_true",
        help="write ratings.jsonl, with features of users, items and context, too",
    )
    arguments = parser.parse_args(argv)
    get = fetch_features if arguments.features else fetch
    try:
        print(get(arguments.folder))
    except (DownloadError, OSError) as e:
        print(f"error: {one_line(e)}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
