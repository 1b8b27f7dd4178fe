from __future__ import annotations

from pathlib import Path

from beam_pipeline.movielens import fetch
from beam_pipeline.web.titles import read_titles


def test_the_ratings_come_with_titles(tmp_path: Path) -> None:
    path = fetch(tmp_path / "ml-100k")
    assert path.name == "u.data"
    titles = read_titles(str(path.with_name("titles.tsv")))
    assert len(titles) == 1682
    assert titles["50"] == "Star Wars (1977)"
    # Whole already, so nothing is downloaded.
    before = path.stat().st_mtime_ns
    assert fetch(path.parent).stat().st_mtime_ns == before
