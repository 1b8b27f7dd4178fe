from __future__ import annotations

from pathlib import Path

import pytest

from tests.end_to_end.test_kafka import RUNNERS, reconciles, stop_in_order
from tests.support import (
    ModelShards,
    Topics,
    answer,
    movielens_like,
    run,
    running,
    tab_lines,
    wait_until,
)
from transforms.recommenders.registry import RecommenderSpec


@pytest.mark.parametrize(("runner", "grid"), [("FnApiRunner", (1, 1)), ("Prism", (2, 2))])
def test_files_are_learned_before_the_topic_and_nothing_is_missing(
    topics: Topics, tmp_path: Path, runner: str, grid: tuple[int, int]
) -> None:
    # More than one bundle reads.
    past, present = movielens_like(25_000, seed=1), movielens_like(1000, seed=2)
    path = tmp_path / "u.data"
    path.write_text(tab_lines(past))
    rated, lists = topics.create(), topics.create()
    topics.send_ratings(rated, present)
    done = run(
        *RUNNERS[runner],
        *("--kafka_bootstrap_servers", topics.settings.bootstrap_servers, "--stop_at_end"),
        *("--input", path, "--input_topic", rated, "--output_topic", lists),
        *(f"--user_blocks={grid[0]}", f"--item_blocks={grid[1]}"),
    )
    assert done.code == 0, done.err
    assert done.summary["read"] == 26_000
    shards = ModelShards(RecommenderSpec(), *grid)
    expected = {}
    origins = [f"u.data:{line}" for line in range(1, 25_001)]
    origins += [f"{rated}-0-{offset}" for offset in range(1000)]
    for rating, origin in zip([*past, *present], origins, strict=True):
        if rating.rating >= 3:
            shards.update(rating)
            best = shards.recommend(rating.user, 10)
            expected[origin] = answer(rating.user, best, rating.timestamp, origin)
    found = {one["origin"]: one for one in topics.read_json(lists)}
    assert list(found) == list(expected) or grid != (1, 1)
    assert found == expected


@pytest.mark.parametrize("runner", RUNNERS)
def test_the_topic_follows_for_ever_and_requests_are_answered(
    topics: Topics, tmp_path: Path, runner: str
) -> None:
    path = tmp_path / "u.data"
    path.write_text(tab_lines(r._replace(rating=5.0) for r in movielens_like(500)))
    rated, asked, lists = topics.create(2), topics.create(), topics.create()
    log = tmp_path / "log"
    with running(
        log,
        *RUNNERS[runner],
        *("--kafka_bootstrap_servers", topics.settings.bootstrap_servers, "--input", path),
        *("--input_topic", rated, "--request_topic", asked, "--output_topic", lists),
        "--start_offset=latest",
    ) as process:
        wait_until(lambda: topics.count(lists) == 500)
        topics.send(asked, [b'{"user": "7"}'])
        wait_until(lambda: topics.count(lists) == 501)
        # What comes after the start is read, although the files were read in between.
        present = [r._replace(rating=5.0) for r in movielens_like(100, seed=2)]
        topics.send_ratings(rated, present, partition=1)
        wait_until(lambda: topics.count(lists) == 601)
        summary = stop_in_order(process, log)
    assert summary["read"] == summary["positives"] == 600


def test_it_can_be_stopped_in_the_midst_of_the_files(topics: Topics, tmp_path: Path) -> None:
    path, log = tmp_path / "u.data", tmp_path / "log"
    path.write_text(tab_lines(movielens_like(400_000)))
    rated, lists = topics.create(), topics.create()
    topics.send_ratings(rated, movielens_like(100))
    with running(
        log,
        "--runner=FnApiRunner",
        *("--kafka_bootstrap_servers", topics.settings.bootstrap_servers, "--input", path),
        *("--input_topic", rated, "--output_topic", lists),
    ) as process:
        wait_until(lambda: topics.count(lists) > 1000)
        summary = stop_in_order(process, log)
    assert reconciles(summary)
    assert 1000 < summary["read"] < 400_000
    assert {one["origin"].split(":")[0] for one in topics.read_json(lists)} == {"u.data"}


def test_files_are_sorted_by_the_time_that_the_mapping_names(
    topics: Topics, tmp_path: Path
) -> None:
    path = tmp_path / "past.jsonl"
    path.write_text('{"who": "u", "what": "a", "at": 2}\n{"who": "u", "what": "b", "at": 1}\n')
    rated, lists = topics.create(), topics.create()
    done = run(
        "--runner=FnApiRunner",
        *("--kafka_bootstrap_servers", topics.settings.bootstrap_servers, "--stop_at_end"),
        *("--input", path, "--order_by_time", "--fields=user=who,item=what,timestamp=at"),
        *("--input_topic", rated, "--output_topic", lists),
    )
    assert done.code == 0, done.err
    origins = [one["origin"] for one in topics.read_json(lists)]
    assert origins == ["past.jsonl:2", "past.jsonl:1"]
