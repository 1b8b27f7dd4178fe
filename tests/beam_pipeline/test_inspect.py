from __future__ import annotations

import re
from pathlib import Path

import pytest

from beam_pipeline import cli, inspect
from tests.support import ModelShards, movielens_like, tab_lines
from transforms.learning.state import ShardModel
from transforms.model_export import ModelExport, save
from transforms.recommenders.registry import RecommenderSpec

MODEL = ("--model=mf", "--k=6", "--seed=4")


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    path, folder = tmp_path / "u.data", tmp_path / "models"
    path.write_text(tab_lines(movielens_like(300)))
    arguments = ["--input", str(path), "--output", str(tmp_path / "out"), *MODEL]
    code = cli.main(["--runner=DirectRunner", *arguments, "--export_model", str(folder)])
    assert code == 0
    return folder


def test_it_says_what_is_in_a_folder_and_a_users_list(
    exported: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recommender = RecommenderSpec("mf", {"k": 6}, seed=4).build()
    positives = [rating for rating in movielens_like(300) if rating.rating >= 3]
    for rating in positives:
        recommender.update(rating)
    user = positives[0].user
    capsys.readouterr()
    assert inspect.main([str(exported), "--user", user, "--top_n", "3"]) == 0
    out = capsys.readouterr().out
    (row,) = (line for line in out.splitlines() if "0,0 of 1x1" in line)
    assert "mf k=6" in row
    counted = [len(positives), len(recommender.users), len(recommender.items)]
    assert [int(text) for text in re.findall(r"\d+", row)[-3:]] == counted
    listed = [line.split()[0] for line in out.splitlines()[-3:]]
    assert listed == [item for item, _ in recommender.recommend(user, 3)]


def test_it_says_where_a_job_would_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = RecommenderSpec("popular")
    for shard, positions in enumerate(({"t-0-": 7, "t-1-": 2}, {"t-0-": 5, "t-1-": 3})):
        model = ShardModel(spec.build(), 1, positions)
        save(ModelExport(str(tmp_path)), (shard, 0), (2, 1), spec, model)
    assert inspect.main([str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines()[-2:] == ["goes on at t-0-5", "goes on at t-1-2"]


def test_mistakes_are_one_line(
    exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert inspect.main([str(tmp_path / "nothing")]) == 1
    assert "no model in" in capsys.readouterr().err
    assert inspect.main([str(exported), "--user", "nobody"]) == 1
    assert "does not know user 'nobody'" in capsys.readouterr().err


def test_a_model_that_does_not_fit_is_one_line(
    exported: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    for flags, reason in (
        ([], "has model mf, this job itemknn"),
        (["--model=mf"], "has k 6, this job 40"),
    ):
        arguments = ["--runner=DirectRunner", "--import_model", str(exported), *flags]
        assert cli.main(arguments) == 1
        assert reason in capsys.readouterr().err.splitlines()[-1]


def test_a_users_list_of_a_grid_is_of_all_items(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, folder = tmp_path / "u.data", tmp_path / "models"
    path.write_text(tab_lines(movielens_like(300)))
    grid = ["--user_blocks=2", "--item_blocks=3", *MODEL]
    arguments = ["--input", str(path), "--output", str(tmp_path / "out"), *grid]
    assert cli.main(["--runner=DirectRunner", *arguments, "--export_model", str(folder)]) == 0
    shards = ModelShards(RecommenderSpec("mf", {"k": 6}, seed=4), 2, 3)
    positives = [rating for rating in movielens_like(300) if rating.rating >= 3]
    for rating in positives:
        shards.update(rating)
    user = positives[0].user
    capsys.readouterr()
    assert inspect.main([str(folder), "--user", user, "--top_n", "4"]) == 0
    listed = [line.split()[0] for line in capsys.readouterr().out.splitlines()[-4:]]
    assert listed == [item for item, _ in shards.recommend(user, 4)]


def test_it_says_by_what_itemknn_lists(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    path, folder = tmp_path / "u.data", tmp_path / "models"
    path.write_text(tab_lines(movielens_like(30)))
    arguments = ["--input", str(path), "--output", str(tmp_path / "out"), "--repeats=never"]
    code = cli.main(["--runner=DirectRunner", *arguments, "--export_model", str(folder)])
    assert code == 0
    capsys.readouterr()
    assert inspect.main([str(folder)]) == 0
    (row,) = (line for line in capsys.readouterr().out.splitlines() if "0,0 of 1x1" in line)
    assert "tune=auto" in row
    assert "half_life 3 " in row
