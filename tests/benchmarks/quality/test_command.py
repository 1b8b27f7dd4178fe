from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.quality.__main__ import main
from tests.support import movielens_like


@pytest.fixture
def ratings(tmp_path: Path) -> Path:
    path = tmp_path / "u.data"
    rows = movielens_like(300, users=12, items=40)
    lines = [f"{one.user}\t{one.item}\t{one.rating:g}\t{one.timestamp:g}" for one in rows]
    path.write_text("\n".join(lines))
    return path


def _rows(table: str) -> dict[str, list[list[str]]]:
    """Returns the cells of each model's rows."""
    rows: dict[str, list[list[str]]] = {}
    for line in table.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if cells[0].startswith("`"):
            rows.setdefault(cells[0].strip("`"), []).append(cells[1:])
    return rows


def test_a_preset_is_the_prequential_protocol_with_its_lowest_rating(
    ratings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models = ["--models", "popular", "itemknn,half_life=2"]
    assert main(["--protocol=positives", f"--data={ratings}", *models]) == 0
    preset = capsys.readouterr()
    general = ["--protocol=prequential", f"--input={ratings}", "--min_rating=3", "--warm_up=0.3"]
    assert main([*general, *models]) == 0
    rows, same = _rows(preset.out), _rows(capsys.readouterr().out)
    assert list(rows) == ["popular", "itemknn,half_life=2"]
    assert [cells[0] for cells in rows.values()] == [cells[0] for cells in same.values()]
    # What the others are compared with is compared with nothing.
    assert rows["popular"][0][-2:] == ["", ""]
    assert "McNemar" in preset.out
    assert "read=300" in preset.err


def test_sessions_are_learned_from_one_file_and_tested_in_another(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "train.tsv").write_text("SessionId\tItemId\tTime\n1\ta\t1\n1\tb\t2\n")
    (tmp_path / "valid.tsv").write_text("SessionId\tItemId\tTime\n2\tb\t4\n2\tb\t5\n2\ta\t3\n")
    files = [f"--input={tmp_path}/train.tsv", f"--test={tmp_path}/valid.tsv"]
    mapping = "--fields=user=SessionId,item=ItemId,timestamp=Time"
    flags = ["--protocol=next_click", *files, mapping, "--repeats=allow", "--top_n=1"]
    assert main([*flags, "--models", "itemknn"]) == 0
    out = capsys.readouterr().out
    assert "5 positives, 2 tests; 2 of the lists could name items that the user had." in out
    assert "| model | recall@1 |" in out


def test_tuning_prints_a_line_for_each_variant(
    ratings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--protocol=positives", f"--data={ratings}", "--tune=mf"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("  mf")
    assert any(line.endswith("  mf,k=20") for line in lines)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--protocol=prequential"], "--protocol prequential needs --input"),
        (["--input=x"], "--protocol five_star reads --data"),
        (["--protocol=next_click", "--input=x"], "--test is for --protocol next_click"),
        (["--protocol=prequential", "--input=x", "--test=y"], "--test is for"),
        (["--protocol=prequential", "--input=x", "--top_n=0"], "--top_n 1 or more"),
        (["--protocol=prequential", "--input=x", "--warm_ip=0"], "unknown flag --warm_ip"),
        (["--models", "best"], "'best' is not a model"),
        (["--retrain=hourly"], "'hourly' is neither day nor a number of positives"),
    ],
)
def test_what_does_not_fit_together_is_said_in_one_line(
    flags: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(flags) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error
    assert error.count("\n") == 1


def test_a_missing_file_is_said_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--protocol=prequential", "--input=/no/such.csv"]) == 1
    assert capsys.readouterr().err == "error: no file matches '/no/such.csv'\n"
