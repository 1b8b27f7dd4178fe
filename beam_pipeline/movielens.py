"""Gets MovieLens 100K for you: `python -m beam_pipeline.movielens [FOLDER]`.

The data set is for research, may not be redistributed, and asks to be cited: F. M. Harper,
J. A. Konstan. The MovieLens Datasets: History and Context. ACM TiiS 5 (4), 2015. It comes from
GroupLens, or, where that can not be reached, out of the wheel of `recbole`, whose copy has the
same rows. Either way the checksum of the ratings is verified. Beside `u.data` stands `titles.tsv`,
items and their titles, for the report and the dashboard.
"""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import requests

URL: Final = "https://files.grouplens.org/datasets/movielens/ml-100k.zip"
DEFAULT_FOLDER: Final = Path("data/ml-100k")
_RATINGS: Final = "u.data"
_TITLES: Final = "titles.tsv"
_MD5: Final = "6e47046882bad158b0efbb84cd5cb987"
_WHEEL: Final = "recbole==1.2.1"
_WHEEL_MEMBER: Final = "recbole/dataset_example/ml-100k/ml-100k"
_SECONDS: Final = 20


class DownloadError(RuntimeError):
    """Neither source gave the data set."""


def fetch(folder: Path = DEFAULT_FOLDER) -> Path:
    """Returns the path of `u.data` in `folder`, downloaded if it or the titles are not there.

    Raises:
        DownloadError: It can not be had, or is not what it should be.
    """
    path, titles_path = folder / _RATINGS, folder / _TITLES
    if path.exists() and titles_path.exists() and _is_it(path.read_bytes()):
        return path
    failures = []
    for source in (_from_grouplens, _from_wheel):
        try:
            content, titles = source()
        except (requests.RequestException, subprocess.SubprocessError, OSError, KeyError) as e:
            failures.append(f"{source.__name__.removeprefix('_from_')}: {type(e).__name__}")
            continue
        if _is_it(content):
            folder.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            titles_path.write_text(titles, encoding="utf-8")
            return path
        failures.append(f"{source.__name__.removeprefix('_from_')}: the checksum differs")
    msg = f"can not get MovieLens 100K ({'; '.join(failures)}); put its u.data at {path}"
    raise DownloadError(msg)


def _is_it(content: bytes) -> bool:
    return hashlib.md5(content, usedforsecurity=False).hexdigest() == _MD5


def _from_grouplens() -> tuple[bytes, str]:
    response = requests.get(URL, timeout=_SECONDS)
    response.raise_for_status()
    with zipfile.ZipFile(io.BytesIO(response.content)) as archive:
        items = archive.read("ml-100k/u.item").decode("latin-1")
        rows = (line.split("|") for line in items.split("\n") if line)
        titles = "".join(f"{row[0]}\t{row[1]}\n" for row in rows)
        return archive.read("ml-100k/u.data"), titles


def _from_wheel() -> tuple[bytes, str]:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", _WHEEL]
        subprocess.run([*command, "--dest", folder], check=True, capture_output=True)
        wheel = next(Path(folder).glob("*.whl"))
        with zipfile.ZipFile(wheel) as archive:
            ratings, items = (
                archive.read(f"{_WHEEL_MEMBER}.{kind}").decode("utf-8").splitlines()[1:]
                for kind in ("inter", "item")
            )
    titles = "".join("{}\t{} ({})\n".format(*line.split("\t")[:3]) for line in items)
    return "".join(_original(line) for line in ratings).encode(), titles


def _original(line: str) -> str:
    user, item, rating, timestamp = line.split("\t")
    return f"{user}\t{item}\t{float(rating):.0f}\t{float(timestamp):.0f}\n"


def main(argv: Sequence[str]) -> int:
    """Fetches into the folder given, and prints where the ratings are."""
    try:
        print(fetch(Path(argv[0]) if argv else DEFAULT_FOLDER))
    except DownloadError as e:
        print(f"error: {e}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
