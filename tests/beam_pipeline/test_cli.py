from __future__ import annotations

import os
from pathlib import Path
from unittest import mock

import pytest
from apache_beam.options.pipeline_options import PortableOptions
from apache_beam.runners.portability.portable_runner import JobServiceHandle

from beam_pipeline import cli
from beam_pipeline.settings import parse
from cluster.broker import free_port
from tests.support import RUNNERS, Topics, movielens_like, run, tab_lines
from transforms import file_reader, model_export, read_files
from transforms.splittable_read import Limits


def fails_with(
    capsys: pytest.CaptureFixture[str], code: int, reason: str, *arguments: object
) -> None:
    assert cli.main(["--runner=DirectRunner", *map(str, arguments)]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.splitlines()
    assert len(lines) == 1, captured.err
    assert lines[0].startswith("error: ")
    assert reason in lines[0]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--inptu", "x"], "unknown flag --inptu; did you mean --input?"),
        (["--qwertyuiop=1"], "unknown flag --qwertyuiop; see --help"),
        (["--model=mf", "--k=0"], "--k is 0, expected at least 1"),
        (["--k", "40"], "--k is no hyperparameter of --model itemknn; it has --history"),
        (["--k", "many"], "--k: invalid int value: 'many'"),
        (["--model=mf", "--learn_rate=nan"], "--learn_rate is nan"),
        (
            ["--model=popular", "--learn_rate=0.1"],
            "--learn_rate is no hyperparameter of --model popular; it has none",
        ),
        (
            ["--model=userknn", "--l2_reg=0.1"],
            "--l2_reg is no hyperparameter of --model userknn; it has --k",
        ),
        (["--model=sketch", "--proj=Cooked"], "--proj: invalid choice: 'Cooked'"),
        (["--model=userknn", "--k=0"], "--k is 0, expected at least 1"),
        (["--seed", "-1"], "--seed is -1"),
        (["--top_n", "-1"], "--top_n"),
        (["--user_blocks", "0"], "--user_blocks"),
        (["--min_rating", "nan"], "min_rating is NaN"),
        (["--model", "magic"], "--model: invalid choice: 'magic'"),
        (["--export_seconds", "nan"], "--export_seconds is nan, expected 0 or more"),
        (["--max_record_bytes", "0"], "--max_record_bytes is 0"),
        (["--fields", "user"], "--fields: 'user' is not of the form FIELD=SOURCE"),
        (["--fields", "usr=a"], "--fields: 'usr' is not a field, expected one of user, item"),
        (["--fields", "user=a..b"], "--fields: 'a..b' is no path"),
        (["--envelope", "soap"], "--envelope: invalid choice: 'soap'"),
        (["--timestamp_unit", "m"], "--timestamp_unit: invalid choice: 'm'"),
        (["--event_weights", "view"], "--event_weights: 'view' is not of the form TYPE=WEIGHT"),
        (["--event_weights", "view=x"], "--event_weights: the weight of 'view' is 'x', expected"),
        (["--event_weights", "view=inf"], "the weight of 'view' is inf, expected a finite"),
        (["--event_field", "kind"], "--event_field needs --event_weights"),
        (["--event_field", "a.", "--event_weights", "a=1"], "--event_field: 'a.' is no path"),
        (
            ["--input", "a", "--input_topic", "b", "--idle_timeout=5"],
            "--idle_timeout does not work with --input beside --input_topic",
        ),
        (["--output", "a", "--output_topic", "b"], "exclude each other"),
        (["--dead_letters", "a", "--dead_letter_topic", "b"], "exclude each other"),
        (["--input_topic", "b"], "add --kafka_bootstrap_servers"),
        (["--kafka_bootstrap_servers", "h:1"], "add --input_topic"),
        (["--stop_at_end"], "--stop_at_end needs --input_topic"),
        (["--input_topic", "b", "--order_by_time"], "--order_by_time needs --input"),
        (["--input_topic", "b", "--input_format", "csv"], "a topic takes auto, json, avro"),
        (["--item_blocks", "0"], "--item_blocks"),
        (["--replicas", "0"], "--item_blocks and --replicas 1 or more"),
        (
            ["--replicas=2", "--item_blocks=3"],
            "--replicas 2 and --item_blocks 3 do not go together",
        ),
        (
            ["--model=vmisknn", "--item_blocks=2"],
            "--model vmisknn compares whole sessions, so its items cannot be split",
        ),
        (["--max_users", "-1"], "--max_users is -1"),
        (["--kafka_client", "java"], "--kafka_client: invalid choice"),
        (["--requests", "a", "--input_topic", "b"], "use --request_topic"),
        (["--request_topic", "a"], "use --requests"),
        (["--request_topic", "a", "--input_topic", "a"], "are both a"),
        (["--request_topic", "a", "--input_topic", "b,a"], "are both a"),
        (["--input_topic", "a,a"], "--input_topic: 'a,a' selects no topics, expected a name"),
        (["--input_topic", "^("], "--input_topic: the topic pattern '^(' is no regular"),
        (["--start_offset", "noon"], "--start_offset is 'noon', expected earliest, latest, comm"),
        (["--idle_timeout", "-1"], "--idle_timeout is -1.0, expected 0 or more seconds"),
        (["--idle_timeout", "9"], "--idle_timeout needs --input_topic"),
        (["--requests", "a", "--top_n", "0"], "--top_n must be 1 or more"),
        (["--evaluation", "a", "--evaluation_topic", "b"], "exclude each other"),
        (["--output", "-", "--output_format", "avro"], "prints json only"),
        (["--direct_running_mode=multi_threading"], "--direct_running_mode=multi_threading"),
        (["--direct_running_mode=multi_processing"], "--direct_running_mode=multi_processing"),
        (["--direct_num_workers=2"], "--direct_num_workers=2"),
        (["--direct_num_workers=0"], "use --runner FlinkRunner"),
        (["--direct_runner_bundle_repeat=1"], "--direct_runner_bundle_repeat=1"),
        (
            ["--input_topic=t", "--kafka_bootstrap_servers=h:1", "--kafka_config=/not/there"],
            "cannot read --kafka_config",
        ),
    ],
)
def test_wrong_flags_are_one_line_and_exit_code_2(
    capsys: pytest.CaptureFixture[str], arguments: list[str], reason: str
) -> None:
    fails_with(capsys, 2, reason, *arguments)


def test_wrong_kafka_settings_are_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "kafka.properties"
    path.write_text("no.such.setting=1\n")
    fails_with(
        capsys,
        2,
        "'no.such.setting' in the Kafka settings is no setting",
        *("--input_topic=t", "--kafka_bootstrap_servers=h:1", "--kafka_config", path),
    )


def test_another_runner_has_to_be_told_where_lists_go(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(["--runner=FlinkRunner", "--input=x"]) == 2
    assert "say where FlinkRunner is to write" in capsys.readouterr().err


def test_a_missing_file(capsys: pytest.CaptureFixture[str]) -> None:
    fails_with(capsys, 1, "no file matches '/not/there*'", "--input", "/not/there*")


def test_a_folder_instead_of_a_file(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    fails_with(capsys, 1, "Is a directory", "--input", tmp_path)


def test_a_file_of_no_known_format(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "poem.txt"
    path.write_text("Shall I compare thee to a summer's day?\n")
    fails_with(capsys, 1, "is of no known format; say which with --input_format", "--input", path)


@pytest.mark.parametrize("flag", ["output", "dead_letters", "evaluation", "summary"])
@pytest.mark.parametrize(
    ("path", "reason"), [("/proc/nope", "No such file or directory"), ("/proc", "Is a directory")]
)
def test_each_file_that_can_not_be_written_is_told_before_the_run(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, flag: str, path: str, reason: str
) -> None:
    rated = tmp_path / "u.data"
    rated.write_text(tab_lines(movielens_like(5)))
    told = f"cannot write --{flag} {path}: {reason}"
    fails_with(capsys, 1, told, "--input", rated, f"--{flag}={path}")


def test_a_folder_that_can_not_take_the_model_is_told_before_the_run(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path, output = tmp_path / "u.data", tmp_path / "lists"
    path.write_text(tab_lines(movielens_like(5)))
    for folder, reason in (("/proc/nope", "No such file"), (path, "File exists")):
        told = f"cannot write --export_model {folder}: {reason}"
        arguments = ("--input", path, "--output", output, "--export_model", folder)
        fails_with(capsys, 1, told, *arguments)
    assert not output.exists()


@pytest.mark.parametrize("runner", RUNNERS)
def test_a_disk_that_is_full_in_the_midst_of_a_run_is_one_line(tmp_path: Path, runner: str) -> None:
    path = tmp_path / "u.data"
    path.write_text(tab_lines(movielens_like(50)))
    done = run(*RUNNERS[runner](), "--input", path, "--output=/dev/full")
    assert done.code == 1
    lines = [line for line in done.err.splitlines() if "apitools" not in line]
    assert lines == ["error: [Errno 28] No space left on device: '/dev/full'"]


def test_an_input_of_which_nothing_can_be_used_fails_and_says_why(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text('{"user": 1, "rating": 3, "timestamp": 1}\n' * 1500)
    arguments = ["--runner=FnApiRunner", f"--input={path}", f"--output={tmp_path / 'out'}"]
    assert cli.main(arguments) == 1
    why, _, error, summary = capsys.readouterr().err.splitlines()
    assert "none of the first 1000 record(s)" in why
    assert "1000 time(s): item is missing: no usual name for it among 'user, rating" in why
    assert "; say where with --fields item=PATH (for example in.jsonl:1)" in why
    assert error == "error: no record could be used; the log says why"
    assert summary.startswith("read=1500 positives=0 filtered=0 dead=1500 ")


def test_an_input_of_which_something_can_be_used_does_not_fail(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "in.jsonl"
    low = '{"user": 1, "item": 2, "rating": 1, "timestamp": 1}\n'
    path.write_text("{}\n" * 1500 + low)
    arguments = ["--runner=FnApiRunner", f"--input={path}", f"--output={tmp_path / 'out'}"]
    assert cli.main(arguments) == 0
    assert "none of the first 1000" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "user,item,rating,timestamp\n"])
def test_an_empty_input_is_told(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, text: str
) -> None:
    path = tmp_path / "in.csv"
    path.write_text(text)
    arguments = ["--runner=FnApiRunner", f"--input={path}", f"--output={tmp_path / 'out'}"]
    assert cli.main(arguments) == 0
    assert "warning: there was no record to read" in capsys.readouterr().err.splitlines()


def test_an_unreachable_broker(capsys: pytest.CaptureFixture[str]) -> None:
    address = f"127.0.0.1:{free_port()}"
    fails_with(
        capsys,
        1,
        f"cannot reach Kafka at {address}",
        *("--input_topic=t", "--kafka_bootstrap_servers", address),
    )


def test_a_missing_topic(capsys: pytest.CaptureFixture[str], topics: Topics) -> None:
    arguments = ("--kafka_bootstrap_servers", topics.settings.bootstrap_servers)
    fails_with(capsys, 1, "topic 'nope' does not exist", "--input_topic=nope", *arguments)
    fails_with(
        capsys,
        1,
        "check its name, or create it with --create_topics",
        *("--input_topic", topics.create(), "--output_topic=nope-out"),
        *arguments,
    )


def test_an_input_is_never_written_over(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path, other = tmp_path / "u.data", tmp_path / "out"
    path.write_text(tab_lines(movielens_like(5)))
    fails_with(capsys, 2, "is also the input", "--input", path, "--output", path)
    fails_with(
        capsys, 2, "another output", "--input", path, "--output", other, "--dead_letters", other
    )
    assert path.read_text() == tab_lines(movielens_like(5))


def test_a_runner_that_there_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--runner=Foo", "--output=x"]) == 2
    assert "Foo" in capsys.readouterr().err.splitlines()[-1]


def test_beams_spelling_of_a_runner_does_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "u.data"
    path.write_text(tab_lines(movielens_like(5)))
    arguments = ["--input", str(path), "--output", str(tmp_path / "out")]
    assert cli.main(["--runner=directrunner", *arguments]) == 0


def test_nothing_is_written_when_the_command_line_is_wrong(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    output = tmp_path / "lists.jsonl"
    output.write_text("precious\n")
    fails_with(capsys, 1, "no file matches", "--input=/not/there", "--output", output)
    assert output.read_text() == "precious\n"


def test_a_path_that_needs_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("u.data").write_text(tab_lines(movielens_like(30)))
    assert cli.main(["--runner=DirectRunner", "--input=u.data", "--output=lists.jsonl"]) == 0
    assert os.path.getsize("lists.jsonl") > 0


def test_a_run_of_many_bundles_ends_with_its_summary_and_one_export(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    exports = []
    monkeypatch.setattr(file_reader, "BATCH_RECORDS", 1)
    monkeypatch.setattr(read_files, "Limits", lambda: Limits(records=1))
    monkeypatch.setattr(model_export, "save", lambda *args: exports.append(args))
    path = tmp_path / "u.data"
    # Of a thousand bundles and more, Beam itself cannot give the metrics.
    path.write_text(tab_lines(movielens_like(1200)))
    output = tmp_path / "lists.jsonl"
    code = cli.main(
        [
            *("--runner=FnApiRunner", f"--input={path}", f"--output={output}"),
            *(f"--export_model={tmp_path / 'model'}", "--export_seconds=3600"),
        ]
    )
    assert code == 0
    assert "read=1200 " in capsys.readouterr().err.splitlines()[-1]
    assert len(exports) == 1


@pytest.mark.parametrize(
    ("arguments", "seconds"),
    [
        (["--runner=DirectRunner"], 10 * 365 * 24 * 3600),
        (["--runner=PrismRunner"], 10 * 365 * 24 * 3600),
        (["--runner=PrismRunner", "--job_server_timeout=7"], 7),
        (["--runner=FlinkRunner", "--output=x"], 300),
    ],
)
def test_a_run_on_prism_may_take_longer_than_a_job_server_its_answer(
    arguments: list[str], seconds: int
) -> None:
    settings = parse(arguments)
    cli._suit_prism(settings)
    options = settings.beam.view_as(PortableOptions)
    assert options.job_server_timeout == seconds
    # Beam gives the stream that tells of the run's end the same time: when it no longer does,
    # `_suit_prism` can do without.
    service = mock.Mock(**{"GetStateStream.return_value": iter(["running"])})
    JobServiceHandle(service, options).run("a job")
    assert service.GetStateStream.call_args.kwargs == {"timeout": seconds}


def test_help_shows_our_groups(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_code:
        cli.main(["--help"])
    assert exit_code.value.code == 0
    text = capsys.readouterr().out
    for group in ("input", "Kafka", "model", "output", "scale", "Beam: Standard"):
        assert f"\n{group}:\n" in text
