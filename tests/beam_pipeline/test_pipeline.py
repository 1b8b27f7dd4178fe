from __future__ import annotations

import re
from pathlib import Path

import pytest

from beam_pipeline import cli, inspect
from tests.support import movielens_like, tab_lines


def test_one_command_line_serves_the_first_start_and_the_next(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ratings = movielens_like(50)
    positives = sum(rating.rating >= 3 for rating in ratings)
    path, folder = tmp_path / "u.data", tmp_path / "models"
    path.write_text(tab_lines(ratings))
    files = ["--input", str(path), "--output", str(tmp_path / "lists.jsonl")]
    flags = [*files, "--model=popular", f"--export_model={folder}", f"--import_model={folder}"]
    for starts in (1, 2):
        assert cli.main(["--runner=DirectRunner", *flags]) == 0
        said = capsys.readouterr().err
        assert (f"no model in {folder} yet" in said) == (starts == 1)
        assert inspect.main([str(folder)]) == 0
        (row,) = (line for line in capsys.readouterr().out.splitlines() if "0,0 of 1x1" in line)
        assert int(re.findall(r"\d+", row)[-3]) == starts * positives


def test_another_folder_has_to_have_a_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "u.data"
    path.write_text(tab_lines(movielens_like(5)))
    folders = [f"--export_model={tmp_path / 'new'}", f"--import_model={tmp_path / 'old'}"]
    files = ["--input", str(path), "--output", str(tmp_path / "lists.jsonl")]
    assert cli.main(["--runner=DirectRunner", *files, *folders]) == 1
    assert f"no model in {tmp_path / 'old'}" in capsys.readouterr().err.splitlines()[-1]
