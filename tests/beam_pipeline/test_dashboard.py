from __future__ import annotations

import socket
from pathlib import Path

import pytest
import requests

from beam_pipeline import dashboard
from cluster.broker import free_port
from tests.dashboards import serving
from tests.support import Topics, wait_until
from transforms.formats.json_lines import encode_recommendation
from transforms.formats.records import Recommendation, ScoredItem


def test_it_serves_on_loopback_until_ctrl_c(topics: Topics, tmp_path: Path) -> None:
    output = topics.create()
    titles = tmp_path / "titles.csv"
    titles.write_text("242,Kolya\n")
    value = encode_recommendation(Recommendation("196", [ScoredItem("242", 0.5)], 1.0, "o"))
    topics.send(output, [value])
    with serving(topics, "--output_topic", output, "--titles", titles) as address:
        assert address.startswith("http://127.0.0.1:")
        wait_until(lambda: requests.get(f"{address}/state", timeout=10).json()["lists"] == 1)
        answer = requests.get(f"{address}/state", headers={"host": "evil.example"}, timeout=10)
        assert answer.status_code == 400


def test_a_port_that_is_taken_is_said(topics: Topics, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert dashboard.main(arguments(topics, topics.create(), "--port", str(port))) == 1
    error = capsys.readouterr().err
    assert f"cannot listen at 127.0.0.1:{port}" in error
    assert len(error.splitlines()) == 1


def arguments(topics: Topics, output: str, *more: str) -> list[str]:
    broker = topics.settings.bootstrap_servers
    return ["--kafka_bootstrap_servers", broker, "--output_topic", output, *more]


@pytest.mark.parametrize(
    ("change", "code", "reason"),
    [
        (["--output_topic", "not-there"], 1, "'not-there' does not exist"),
        (["--evaluation_topic", "not-there"], 1, "'not-there' does not exist"),
        (["--dead_letter_topic", "not-there"], 1, "'not-there' does not exist"),
        (["--request_topic", "not-there"], 1, "'not-there' does not exist"),
        (["--kafka_bootstrap_servers", f"127.0.0.1:{free_port()}"], 1, "cannot reach Kafka"),
        (
            ["--kafka_config", "/not/there"],
            2,
            "cannot read --kafka_config /not/there: No such file",
        ),
        (["--titles", "/not/there"], 1, "cannot read --titles /not/there: No such file"),
        (["--port", "70000"], 2, "--port: invalid port '70000', expected a number"),
        (["--window", "0"], 2, "must be 1 or more"),
        (["--port", "web"], 2, "--port: invalid port 'web'"),
        (["--topic", "lists"], 2, "unrecognized arguments: --topic"),
    ],
)
def test_mistakes_are_one_line(
    topics: Topics,
    capsys: pytest.CaptureFixture[str],
    change: list[str],
    code: int,
    reason: str,
) -> None:
    assert dashboard.main(arguments(topics, topics.create(), *change)) == code
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1
    assert reason in error
