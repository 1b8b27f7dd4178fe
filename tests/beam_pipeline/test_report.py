from __future__ import annotations

import html
import json
import re
from pathlib import Path
from typing import Any

import pytest

from beam_pipeline import report
from tests.evaluations import evaluations, write_evaluations
from transforms.evaluation.prequential import Figures

EVIL = "</script><img src=x onerror=alert(1)>"


@pytest.fixture
def runs(tmp_path: Path) -> list[str]:
    return [
        write_evaluations(tmp_path / "good.jsonl", evaluations(400, "good", 0.9)),
        write_evaluations(tmp_path / "bad.jsonl", evaluations(400, "bad", 0.1, seed=2)),
    ]


def page_of(tmp_path: Path, *arguments: str) -> str:
    path = tmp_path / "page.html"
    assert report.main([*arguments, "--output", str(path)]) == 0
    return path.read_text(encoding="utf-8")


def charts_of(page: str) -> dict[str, Any]:
    [found] = re.findall(r'<script type="application/json" id="charts">(.*?)</script>', page)
    charts: dict[str, Any] = json.loads(found)
    return charts


def text_of(page: str) -> str:
    body = re.sub(r"<(script|style)\b.*?</\1>", "", page, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", body)).split())


def test_the_page_has_the_figures(tmp_path: Path, runs: list[str]) -> None:
    page = page_of(tmp_path, *runs, "--window", "100")
    figures = Figures(10, 100)
    for record in evaluations(400, "good", 0.9):
        figures.add(record)
    text = text_of(page)
    assert f"good hits most often: recall@10 {figures.total.model.recall:.3f}" in text
    row = figures.total.model
    assert f"good {row.recall:.3f} {row.ndcg:.3f} {row.mrr:.3f} {row.mpr:.1f} " in text
    assert "good beats bad at 99 % after" in text
    recall = charts_of(page)["recall"]
    assert [line["name"] for line in recall["series"]] == ["good", "bad", "most popular"]
    assert recall["x"][-1] == 400
    assert recall["series"][0]["values"][-1] == figures.recent.model.recall
    assert recall["series"][2]["values"][-1] == figures.recent.popular.recall
    assert [line["name"] for line in charts_of(page)["cost"]["series"]] == ["good", "bad"]
    assert charts_of(page)["cost"]["series"][0]["values"][-1] == 40.0


def test_the_page_needs_nothing_from_outside(tmp_path: Path, runs: list[str]) -> None:
    page = page_of(tmp_path, *runs)
    assert not re.findall(r"<(?:script|img|iframe|link)[^>]*(?:src|href)=(?!\"data:,\")", page)
    assert "@import" not in page
    assert "url(" not in page


def test_the_same_runs_give_the_same_page(tmp_path: Path, runs: list[str]) -> None:
    assert page_of(tmp_path, *runs) == page_of(tmp_path, *runs)


def test_titles_stand_in_for_items(tmp_path: Path, runs: list[str]) -> None:
    titles = tmp_path / "titles.csv"
    titles.write_text("item,title\nitem 0,The First\n")
    text = text_of(page_of(tmp_path, *runs, "--titles", str(titles)))
    assert "The First" in text
    assert "item 1 " in text


def test_what_others_wrote_is_text_and_nothing_else(tmp_path: Path) -> None:
    records = [
        one._replace(user=EVIL, item=EVIL, items=[EVIL], popular_items=[EVIL], model=EVIL)
        for one in evaluations(30)
    ]
    page = page_of(tmp_path, write_evaluations(tmp_path / "evil.jsonl", records))
    assert "<img" not in page
    assert f"User {EVIL} chose {EVIL}" in html.unescape(page)
    assert charts_of(page)["recall"]["series"][0]["name"] == EVIL


def test_what_was_left_out_is_said(tmp_path: Path) -> None:
    first, second = evaluations(100, "a"), evaluations(100, "b", seed=3)
    paths = [
        write_evaluations(tmp_path / "a.jsonl", first + first[:7]),
        write_evaluations(
            tmp_path / "b.jsonl", [one._replace(popular_rank=1) for one in second[:90]]
        ),
    ]
    text = text_of(page_of(tmp_path, *paths, "--warm_up", "0.5", "--top_n", "20"))
    assert "45 tests 45 before them only learned" in text
    assert "10 records without a partner in every run left out" in text
    assert "7 repeated records dropped" in text
    assert "recommendations have at most 10 items" in text
    assert "the runs' most popular differ" in text


def test_one_test_is_enough(tmp_path: Path) -> None:
    miss = evaluations(1)[0]._replace(rank=None, popular_rank=None, candidates=0, items=[])
    text = text_of(page_of(tmp_path, write_evaluations(tmp_path / "one.jsonl", [miss])))
    assert "mf and most popular hit equally often: recall@10 0.000" in text
    assert "never told apart" in text
    assert "nothing to show yet" in text


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (["RUN", "--warm_up", "1"], 2, "--warm_up is 1.0, expected a share"),
        (["RUN", "--warm_up", "nan"], 2, "--warm_up is nan"),
        (["RUN", "--window", "0"], 2, "must be 1 or more"),
        (["RUN", "--output", "RUN"], 2, "is one of the runs"),
        ([], 2, "required: RUN"),
        (["/not/there"], 1, "error: /not/there: No such file"),
        (["RUN", "--titles", "/not/there"], 1, "cannot read --titles /not/there: No such file"),
        (
            ["RUN", "--output", "/not/there/page.html"],
            1,
            "error: /not/there/page.html: No such file",
        ),
        (["/dev/null"], 1, "/dev/null is empty"),
    ],
)
def test_mistakes_are_one_line(
    runs: list[str],
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    reason: str,
) -> None:
    assert report.main([runs[0] if one == "RUN" else one for one in arguments]) == code
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1
    assert reason in error
