from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from beam_pipeline import settings
from beam_pipeline.start import Start, start_of
from beam_pipeline.usage import UsageError
from transforms.errors import IncompatibleModelError
from transforms.learning.state import ShardModel
from transforms.model_export import ModelExport, save
from transforms.recommenders.registry import RecommenderSpec

TOPIC = ["--kafka_bootstrap_servers=nobody:1", "--input_topic=clicks", "--output_topic=lists"]


def export(
    folder: Path,
    positions: Mapping[str, int],
    shard: tuple[int, int] = (0, 0),
    shards: tuple[int, int] = (1, 1),
) -> None:
    spec = RecommenderSpec("popular")
    # Where the topic starts is known before anything of it is learned.
    job = ModelExport(str(folder), starts={"clicks-0-": 0})
    save(job, shard, shards, spec, ShardModel(spec.build(), 1, positions))


def parsed(folder: Path, *flags: str) -> settings.Settings:
    return settings.parse(["--model=popular", f"--import_model={folder}", *flags])


def test_a_topic_goes_on_where_the_imported_model_stands(tmp_path: Path) -> None:
    export(tmp_path, {"clicks-0-": 70, "clicks-1-": 5})
    start = start_of(parsed(tmp_path, *TOPIC))
    assert start.offset == "exported"
    assert start.positions == {"clicks-0-": 70, "clicks-1-": 5}
    pattern = [*TOPIC, "--input_topic=^cl.*"]
    assert start_of(parsed(tmp_path, *pattern)).offset == "exported"


def test_a_model_of_other_data_says_nothing_of_a_topic(tmp_path: Path) -> None:
    spec = RecommenderSpec("popular")
    model = ShardModel(spec.build(), 1, {"orders-0-": 70})
    save(ModelExport(str(tmp_path)), (0, 0), (1, 1), spec, model)
    start = start_of(parsed(tmp_path, *TOPIC))
    assert (start.folder, start.offset, start.positions) == (str(tmp_path), "earliest", {})


def test_what_is_given_counts(tmp_path: Path) -> None:
    export(tmp_path, {"clicks-0-": 70})
    for given in ("earliest", "latest", "2026-11-25"):
        start = start_of(parsed(tmp_path, *TOPIC, f"--start_offset={given}"))
        assert (start.offset, start.positions) == (given, {})
    assert start_of(settings.parse(TOPIC)) == ("", "earliest", {}, [])


def test_the_first_of_all_starts_reads_everything(tmp_path: Path) -> None:
    folder = tmp_path / "models"
    for flags in (TOPIC, [*TOPIC, "--input=orders.csv"]):
        start = start_of(parsed(folder, *flags, f"--export_model={folder}"))
        assert start == Start("", "earliest", {}, [])
        assert not start.resumes


def test_files_are_not_learned_before_a_topic_that_was_learned(tmp_path: Path) -> None:
    files = [*TOPIC, "--input=orders.csv"]
    export(tmp_path, {"orders-0-": 70})
    assert not start_of(parsed(tmp_path, *files)).resumes
    export(tmp_path, {"clicks-0-": 70})
    with pytest.raises(UsageError, match="has learned from clicks: leave out --input"):
        start_of(parsed(tmp_path, *files))
    assert not start_of(parsed(tmp_path, *files, "--start_offset=earliest")).resumes


def test_one_command_line_serves_history_and_topic(tmp_path: Path) -> None:
    flags = [*TOPIC, "--input=orders.csv", f"--export_model={tmp_path}"]
    export(tmp_path, {"clicks-0-": 70})
    assert start_of(parsed(tmp_path, *flags)).resumes
    export(tmp_path, {})
    with pytest.raises(UsageError, match="may have been exported amid the files"):
        start_of(parsed(tmp_path, *flags))
    assert not start_of(parsed(tmp_path, *flags, "--start_offset=earliest")).resumes


def test_shards_go_on_where_the_last_of_them_stands(tmp_path: Path) -> None:
    export(tmp_path, {"clicks-0-": 70}, (0, 0), (2, 1))
    flags = [*TOPIC, "--user_blocks=2"]
    assert start_of(parsed(tmp_path, *flags)).positions == {"clicks-0-": 0}
    export(tmp_path, {"clicks-0-": 60}, (1, 0), (2, 1))
    assert start_of(parsed(tmp_path, *flags)).positions == {"clicks-0-": 60}


def test_a_shard_that_may_be_amid_the_files_does_not_go_on(tmp_path: Path) -> None:
    flags = [*TOPIC, "--input=orders.csv", f"--export_model={tmp_path}", "--user_blocks=2"]
    export(tmp_path, {"clicks-0-": 70}, (0, 0), (2, 1))
    for positions in ({}, {"orders-0-": 70}):
        with pytest.raises(UsageError, match="may have been exported amid the files"):
            start_of(parsed(tmp_path, *flags))
        export(tmp_path, positions, (1, 0), (2, 1))
        # Nor does it with another folder to export to.
        with pytest.raises(UsageError, match="may have been exported amid the files"):
            start_of(parsed(tmp_path, *TOPIC, "--input=orders.csv", "--user_blocks=2"))
    export(tmp_path, {"clicks-0-": 7}, (1, 0), (2, 1))
    assert start_of(parsed(tmp_path, *flags)).resumes


def test_on_flink_a_job_exports_elsewhere_unless_a_restart_does_no_harm(tmp_path: Path) -> None:
    flink = ["--runner=FlinkRunner", "--flink_master=nobody:1", f"--export_model={tmp_path}"]
    export(tmp_path, {"clicks-0-": 70})
    assert start_of(parsed(tmp_path, *TOPIC, *flink)).resumes
    for more in ("--replicas=2", "--start_offset=latest"):
        with pytest.raises(UsageError, match="name another folder with --export_model"):
            start_of(parsed(tmp_path, *TOPIC, *flink, more))


def test_a_job_that_learned_nothing_of_a_topic_goes_on_where_it_started(tmp_path: Path) -> None:
    export(tmp_path, {"orders-0-": 70})
    start = start_of(parsed(tmp_path, *TOPIC))
    assert (start.offset, start.positions["clicks-0-"]) == ("exported", 0)


def test_item_shards_have_to_stand_in_one_place(tmp_path: Path) -> None:
    flags = [*TOPIC, "--item_blocks=2"]
    export(tmp_path, {"clicks-0-": 70}, (0, 0), (1, 2))
    with pytest.raises(IncompatibleModelError, match="exported at different times"):
        start_of(parsed(tmp_path, *flags))
    export(tmp_path, {"clicks-0-": 70}, (0, 1), (1, 2))
    assert start_of(parsed(tmp_path, *flags)).positions == {"clicks-0-": 70}
    export(tmp_path, {"clicks-0-": 60}, (0, 1), (1, 2))
    with pytest.raises(IncompatibleModelError, match="exported at different times"):
        start_of(parsed(tmp_path, *flags))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([*TOPIC, "--start_offset=exported"], "name its folder"),
        (
            [*TOPIC, "--start_offset=exported", "--import_model=m", "--input=orders.csv"],
            "leave out --input",
        ),
    ],
)
def test_exported_needs_a_model_and_a_topic_alone(flags: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        settings.parse(flags)
