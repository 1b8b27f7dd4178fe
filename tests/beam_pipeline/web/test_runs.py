from __future__ import annotations

from pathlib import Path

import pytest

from beam_pipeline.web.runs import POPULAR, Comparison, compare
from tests.evaluations import evaluations, write_evaluations
from transforms.errors import MalformedRecordError
from transforms.evaluation.prequential import Figures, McNemar
from transforms.formats.records import Evaluation


def compared(tmp_path: Path, *runs: list[Evaluation], warm_up: float = 0.0) -> Comparison:
    paths = [
        write_evaluations(tmp_path / f"run{number}.jsonl", run) for number, run in enumerate(runs)
    ]
    return compare(paths, warm_up=warm_up, window=50, top_n=10)


def test_a_run_has_the_figures_of_its_records(tmp_path: Path) -> None:
    records = evaluations(200)
    figures = Figures(10, 50)
    for record in records:
        figures.add(record)
    comparison = compared(tmp_path, records)
    [run] = comparison.runs
    assert (comparison.tests, comparison.warm_up, comparison.unpaired) == (200, 0, 0)
    assert run.total == figures.total
    assert run.points[-1] == (200, figures.recent)
    assert [point.tests for point in run.points] == list(range(1, 201))
    assert list(run.hits) == [record.rank <= 10 for record in records if record.rank]


def test_many_tests_give_a_bounded_number_of_points_and_the_last(tmp_path: Path) -> None:
    points = compared(tmp_path, evaluations(2005)).runs[0].points
    assert len(points) < 800
    assert points[-1].tests == 2005


def test_a_warm_up_is_learned_and_left_out(tmp_path: Path) -> None:
    records = evaluations(200)
    figures = Figures(10, 50)
    for record in records[:60]:
        figures.learn(record.item)
    for record in records[60:]:
        figures.add(record)
    comparison = compared(tmp_path, records, warm_up=0.3)
    assert (comparison.tests, comparison.warm_up) == (140, 60)
    assert comparison.runs[0].total == figures.total


def test_repeats_count_once(tmp_path: Path) -> None:
    records = evaluations(100)
    repeated = records[:60] + records[40:]
    comparison = compared(tmp_path, repeated)
    assert comparison.tests == 100
    assert comparison.runs[0].repeats == 20
    assert comparison.runs[0].total == compared(tmp_path, records).runs[0].total


def test_runs_are_paired_by_origin_whatever_their_order(tmp_path: Path) -> None:
    good, bad = evaluations(300, "good", 0.9), evaluations(300, "bad", 0.1, seed=2)
    shuffled = [*bad[150:], *bad[:120]]
    comparison = compared(tmp_path, good, shuffled)
    assert comparison.tests == 270
    assert comparison.unpaired == 30
    pairs = {record.origin: record for record in shuffled}
    test = McNemar(50)
    for record in good:
        if record.origin in pairs:
            test.add((record.rank or 99) <= 10, (pairs[record.origin].rank or 99) <= 10)
    duel = comparison.duels[0]
    assert (duel.first, duel.second) == ("good", "bad")
    assert duel.points[-1] == (270, test.statistic)
    assert duel.first_better > 0.8
    assert duel.second_better == 0


def test_every_pair_and_each_beside_most_popular(tmp_path: Path) -> None:
    runs = [evaluations(50, name, seed=seed) for seed, name in enumerate("abc")]
    duels = [(duel.first, duel.second) for duel in compared(tmp_path, *runs).duels]
    assert duels == [
        *[("a", "b"), ("a", "c"), ("b", "c")],
        *[("a", POPULAR), ("b", POPULAR), ("c", POPULAR)],
    ]


def test_runs_on_different_streams_are_refused(tmp_path: Path) -> None:
    first, second = evaluations(9, "a"), evaluations(9, "b")
    second[4] = second[4]._replace(user="somebody else")
    with pytest.raises(MalformedRecordError, match=r"different users or items at u\.data:5: "):
        compared(tmp_path, first, second)


def test_examples_are_the_same_tests_of_each_run(tmp_path: Path) -> None:
    first, second = compared(tmp_path, evaluations(90, "a"), evaluations(90, "b")[::-1]).runs
    assert [one.origin for one in first.examples] == [f"u.data:{n}" for n in (87, 88, 89, 90)]
    assert {one.origin for one in second.examples} == {one.origin for one in first.examples}
    assert {one.model for one in second.examples} == {"b"}


def test_runs_of_one_model_are_told_apart_by_their_files(tmp_path: Path) -> None:
    runs = [evaluations(20), evaluations(20, seed=2), evaluations(20, POPULAR)]
    names = [run.name for run in compared(tmp_path, *runs).runs]
    assert names == ["mf (run0)", "mf (run1)", f"{POPULAR} (run2)"]
    (tmp_path / "b").mkdir()
    paths = [write_evaluations(tmp_path / name, runs[0]) for name in ("x.jsonl", "b/x.jsonl")]
    comparison = compare(paths, warm_up=0, window=5, top_n=10)
    assert [run.name for run in comparison.runs] == [f"mf ({path})" for path in paths]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{}", r"run\.jsonl:4: origin is None.*expected what --evaluation writes"),
        (b"", r"run\.jsonl:4: invalid JSON"),
        (b'{"origin": "u.d', r"run\.jsonl:4: invalid JSON"),
    ],
)
def test_a_malformed_line_is_named(tmp_path: Path, line: bytes, reason: str) -> None:
    path = tmp_path / "run.jsonl"
    write_evaluations(path, evaluations(3))
    path.write_bytes(path.read_bytes() + line + b"\n")
    with pytest.raises(MalformedRecordError, match=reason):
        compare([str(path)], warm_up=0, window=5, top_n=10)


def test_a_file_of_two_models_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MalformedRecordError, match=r"run0\.jsonl:4: a record of 'fm'.* 'mf'"):
        compared(tmp_path, evaluations(3) + evaluations(3, "fm"))


def test_files_without_a_test_or_a_common_one_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MalformedRecordError, match=r"run0\.jsonl is empty"):
        compared(tmp_path, [])
    with pytest.raises(MalformedRecordError, match="no test in common"):
        compared(tmp_path, evaluations(5), evaluations(9)[5:])
