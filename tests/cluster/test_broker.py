from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from cluster import broker
from cluster.children import children
from tests.support import ROOT


@pytest.mark.parametrize("port", ["-1", "65536"])
def test_a_port_out_of_range_is_said_to_be_one(
    port: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        broker.main([f"--port={port}"])
    assert f"--port: invalid port '{port}'" in capsys.readouterr().err


def test_it_does_not_wait_for_a_broker_that_has_ended() -> None:
    command = [sys.executable, "-m", "cluster.broker", "--port", str(broker.free_port())]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout
        assert "Kafka listens" in process.stdout.readline()
        (java,) = children(process.pid)
        os.kill(java, signal.SIGKILL)
        _, error = process.communicate(timeout=30)
    assert process.returncode == 1
    assert error.endswith("error: the broker has ended by itself; start it again\n")


def test_no_two_calls_return_the_same_port(monkeypatch: pytest.MonkeyPatch) -> None:
    first = broker.free_port()
    monkeypatch.setattr(broker, "_PORTS", [first, *range(9_000, 9_020)])
    others = {broker.free_port() for _ in range(10)}
    assert len(others) == 10
    assert first not in others
