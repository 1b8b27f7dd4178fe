from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from beam_pipeline.movielens import fetch
from tests.support import (
    ROOT,
    ModelShards,
    answer,
    movielens_like,
    patience,
    prism_arguments,
    run,
    running,
    tab_lines,
    wait_until,
)
from transforms.evaluation.prequential import Figures
from transforms.formats.json_lines import decode_evaluation
from transforms.recommenders.registry import RecommenderSpec

RUNNERS = {
    "DirectRunner": ["--runner", "DirectRunner"],
    "Prism": ["--runner", "PrismRunner", *prism_arguments()],
}


@pytest.fixture
def ratings_file(tmp_path: Path) -> Path:
    path = tmp_path / "u.data"
    path.write_text(tab_lines(movielens_like(3000)))
    return path


def test_two_runs_of_a_file_give_the_same_bytes_on_every_runner(
    ratings_file: Path, tmp_path: Path
) -> None:
    outputs = []
    for name, arguments in [*RUNNERS.items(), ("again", RUNNERS["DirectRunner"])]:
        path = tmp_path / f"{name}.jsonl"
        done = run(*arguments, "--input", ratings_file, "--output", path)
        assert done.code == 0, done.err
        outputs.append(path.read_bytes())
    assert outputs[0] == outputs[1] == outputs[2]
    assert outputs[0].count(b"\n") == sum(r.rating >= 3 for r in movielens_like(3000))


def test_lists_in_a_file_are_those_of_a_plain_loop(ratings_file: Path, tmp_path: Path) -> None:
    output = tmp_path / "lists.jsonl"
    done = run("--runner=DirectRunner", "--input", ratings_file, "--output", output, "--top_n=4")
    assert done.code == 0, done.err
    recommender = RecommenderSpec().build()
    expected = []
    for rating in movielens_like(3000):
        if rating.rating >= 3:
            recommender.update(rating)
            best = recommender.recommend(rating.user, 4)
            expected.append(
                {
                    "user": rating.user,
                    "items": [{"item": item, "score": score} for item, score in best],
                    "timestamp": rating.timestamp,
                    "origin": rating.origin,
                }
            )
    assert [json.loads(line) for line in output.read_text().splitlines()] == expected


def _shop_file(folder: Path) -> Path:
    path = folder / "events.jsonl"
    events = ["view", "purchase", "scroll", "hide"]
    path.write_text(
        "".join(
            f'{{"customer_id": "c{n % 7}", "sku": "x{n % 11}", "event": "{events[n % 4]}",'
            f' "ts": "2026-11-25T10:00:{n % 60:02}Z"}}\n'
            for n in range(60)
        )
    )
    return path


def test_a_shops_events_work_without_flags(tmp_path: Path) -> None:
    output = tmp_path / "lists.jsonl"
    done = run("--runner=DirectRunner", "--input", _shop_file(tmp_path), "--output", output)
    assert done.code == 0, done.err
    assert done.err.count("user from 'customer_id', item from 'sku', timestamp from 'ts'") == 1
    assert done.err.splitlines()[-1].startswith("read=60 positives=60 filtered=0 dead=0 users=7 ")
    first = json.loads(output.read_text().splitlines()[0])
    assert (first["user"], first["timestamp"]) == ("c0", 1795600800.0)


def test_event_types_have_weights_or_are_filtered_and_named(tmp_path: Path) -> None:
    tests = tmp_path / "tests.jsonl"
    done = run(
        "--runner=DirectRunner",
        *("--input", _shop_file(tmp_path), "--output", tmp_path / "lists.jsonl"),
        *("--event_weights", "view=0.2,purchase=1,hide=-1", "--evaluation", tests),
    )
    assert done.code == 0, done.err
    assert "filtered, not among --event_weights: scroll 15" in done.err
    assert done.err.splitlines()[-1].startswith("read=60 positives=45 filtered=15 dead=0 ")
    # What is not wanted is no test.
    assert len(tests.read_text().splitlines()) == 30


def test_movielens_100k_whole(tmp_path: Path) -> None:
    path = fetch(ROOT / "data" / "ml-100k")
    output, summary = tmp_path / "lists.jsonl", tmp_path / "summary.json"
    done = run(
        "--runner=DirectRunner",
        *("--input", path, "--output", output, "--summary", summary, "--order_by_time"),
    )
    assert done.code == 0, done.err
    expected = {
        "read": 100_000,
        "positives": 82_520,
        "filtered": 17_480,
        "dead": 0,
        "users": 943,
        "items": 1574,
    }
    assert done.summary == expected
    assert json.loads(summary.read_text()) == {**expected, "tombstones": 0}
    lists = [json.loads(line) for line in output.read_text().splitlines()]
    assert len(lists) == len({one["origin"] for one in lists}) == 82_520
    times = [one["timestamp"] for one in lists]
    assert times == sorted(times)
    assert lists[0]["origin"] == "u.data:215"


def test_bad_records_are_dead_letters_and_the_rest_goes_on(tmp_path: Path) -> None:
    lines = [
        b'{"user": 1, "item": 2, "rating": 3.0, "timestamp": 4}',
        b'{"user": 1, "item": 2, "rating"',
        b'{"user": true, "item": 2, "rating": 3, "timestamp": 4}',
        b'{"user": 1, "item": 2, "rating": NaN, "timestamp": 4}',
        b'{"user": 1, "item": 2, "rating": 1e999, "timestamp": 4}',
        b'{"user": 1, "item": 2, "rating": 3, "timestamp": -4}',
        b'{"item": 2, "rating": 3, "timestamp": 4}',
        b"",
        b"\xff\xfe\x00",
        b"x" * (10 << 20),
        b"null",
        b'{"user": "u", "item": "i", "rating": 5, "timestamp": 9, "more": [1]}',
        b'{"user": "u", "item": "j", "rating": 1, "timestamp": 9}',
    ]
    path, dead = tmp_path / "in.jsonl", tmp_path / "dead.jsonl"
    path.write_bytes(b"\n".join(lines))
    done = run(
        "--runner=DirectRunner",
        *("--input", path, "--output", tmp_path / "out.jsonl", "--dead_letters", dead),
    )
    assert done.code == 0, done.err
    assert done.summary == {
        "read": 13,
        "positives": 2,
        "filtered": 1,
        "dead": 10,
        "users": 2,
        "items": 2,
    }
    letters = [json.loads(line) for line in dead.read_text().splitlines()]
    assert [letter["origin"] for letter in letters] == [f"in.jsonl:{n}" for n in range(2, 12)]
    assert {letter["stage"] for letter in letters} == {"parse"}
    assert {letter["exception"] for letter in letters} == {"transforms.errors.MalformedRecordError"}
    reasons = [letter["reason"] for letter in letters]
    hints = ["JSON", "bool", "JSON", "JSON", "-4", "user is missing", "empty", "UTF-8", "10485760"]
    for reason, hint in zip(reasons, [*hints, "NoneType"], strict=True):
        assert hint in reason


def test_without_an_input_it_runs_on_the_sample() -> None:
    done = run("--runner", "DirectRunner")
    assert done.code == 0, done.err
    assert "synthetic" in done.err
    assert done.out.count("user") >= 6
    assert done.summary["read"] == 5000
    assert done.summary["dead"] == 0


def test_lists_can_be_printed(ratings_file: Path) -> None:
    done = run("--runner=DirectRunner", "--input", ratings_file, "--output", "-")
    lists = [json.loads(line) for line in done.out.splitlines()]
    assert len(lists) == done.summary["positives"]


def test_avro_out_is_a_container_file(ratings_file: Path, tmp_path: Path) -> None:
    import fastavro

    output = tmp_path / "lists.avro"
    done = run(
        "--runner=DirectRunner",
        *("--input", ratings_file, "--output", output, "--output_format=avro"),
    )
    with output.open("rb") as file:
        lists = list(fastavro.reader(file))
    assert len(lists) == done.summary["positives"]
    assert lists[0] == {"user": lists[0]["user"], "items": [], **_rest(lists[0])}


def _rest(one: dict[str, object]) -> dict[str, object]:
    return {"timestamp": one["timestamp"], "origin": one["origin"], "fallback": ""}


@pytest.mark.parametrize("runner", RUNNERS)
@pytest.mark.parametrize("grid", [(1, 1), (2, 3)])
def test_requests_in_a_file_are_answered_when_all_is_learned(
    ratings_file: Path, tmp_path: Path, runner: str, grid: tuple[int, int]
) -> None:
    ratings = [rating for rating in movielens_like(3000) if rating.rating >= 3]
    asks, output = tmp_path / "asks.jsonl", tmp_path / "lists.jsonl"
    asks.write_text('{"user": "7", "timestamp": 5}\nbroken\n{"user": "nobody"}\n')
    done = run(
        *RUNNERS[runner],
        *("--input", ratings_file, "--requests", asks, "--output", output, "--top_n=4"),
        *(f"--user_blocks={grid[0]}", f"--item_blocks={grid[1]}"),
    )
    assert done.code == 0, done.err
    assert "2 requests answered" in done.err
    assert (done.summary["read"], done.summary["dead"]) == (3001, 1)
    shards = ModelShards(RecommenderSpec(), *grid)
    expected = []
    for rating in ratings:
        shards.update(rating)
        best = shards.recommend(rating.user, 4)
        expected.append(answer(rating.user, best, rating.timestamp, rating.origin))
    expected.append(answer("7", shards.recommend("7", 4), 5.0, "asks.jsonl:1"))
    popular = answer("nobody", shards.recommend("nobody", 4), 0.0, "asks.jsonl:3")
    expected.append({**popular, "fallback": "popular"})
    found = [json.loads(line) for line in output.read_text().splitlines()]
    if grid == (1, 1):
        assert found == expected
    by_origin = {one["origin"]: one for one in found}
    assert len(found) == len(by_origin) == len(expected)
    assert by_origin == {one["origin"]: one for one in expected}


@pytest.mark.parametrize("runner", RUNNERS)
def test_each_positive_is_tested_before_it_is_learned(
    ratings_file: Path, tmp_path: Path, runner: str
) -> None:
    output, tests = tmp_path / "lists.jsonl", tmp_path / "tests.jsonl"
    done = run(
        *RUNNERS[runner],
        *("--input", ratings_file, "--output", output, "--evaluation", tests, "--top_n=4"),
    )
    assert done.code == 0, done.err
    found = [decode_evaluation(line) for line in tests.read_bytes().splitlines()]
    ratings = [rating for rating in movielens_like(3000) if rating.rating >= 3]
    recommender = RecommenderSpec().build()
    figures = Figures(4)
    for rating, one in zip(ratings, found, strict=True):
        everything = [item for item, _ in recommender.recommend(rating.user, 10_000)]
        rank = everything.index(rating.item) + 1 if rating.item in everything else None
        assert (one.origin, one.user, one.item) == (rating.origin, rating.user, rating.item)
        assert (one.rank, one.candidates, one.items) == (rank, len(everything), everything[:4])
        recommender.update(rating)
        figures.add(one)
    recall, popular = figures.total.model.recall, figures.total.popular.recall
    said = f"recall {recall:.4f} in {len(ratings)} tests, most popular {popular:.4f}"
    assert said in done.err.splitlines()
    assert len(output.read_bytes().splitlines()) == len(ratings)


def test_a_file_that_was_not_read_to_its_end_is_a_failure(tmp_path: Path) -> None:
    path, output, log = (tmp_path / name for name in ("u.data", "recs.jsonl", "log"))
    path.write_text(tab_lines(movielens_like(400_000, users=3000, items=2000)))
    flags = ("--runner=FnApiRunner", "--input", path, "--output", output, "--evaluate")
    with running(log, *flags) as process:
        wait_until(lambda: output.exists() and output.stat().st_size > 0)
        process.send_signal(signal.SIGTERM)
        assert process.wait(patience(60)) == 1, log.read_text()
    *_, said, last = log.read_text().splitlines()
    assert said == "error: stopped before the end of the input"
    assert 0 < int(last.split()[0].removeprefix("read=")) < 400_000
