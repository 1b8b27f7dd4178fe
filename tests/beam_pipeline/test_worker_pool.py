from __future__ import annotations

import contextlib
import os
import queue
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from apache_beam.portability.api import beam_fn_api_pb2, beam_fn_api_pb2_grpc, endpoints_pb2

from beam_pipeline import worker_pool
from cluster.broker import free_port
from cluster.children import children
from tests import processes
from tests.support import ROOT, patience, wait_until


class Runner(beam_fn_api_pb2_grpc.BeamFnControlServicer):
    """Where workers connect; gives them nothing to do."""

    def __init__(self) -> None:
        self.connected: queue.Queue[str] = queue.Queue()
        self.endpoint = ""

    def Control(self, requests: Any, context: Any) -> Iterator[Any]:
        self.connected.put(dict(context.invocation_metadata())["worker_id"])
        yield from ()
        for _ in requests:
            pass


@pytest.fixture
def runner() -> Iterator[Runner]:
    runner = Runner()
    server = grpc.server(ThreadPoolExecutor(4))
    beam_fn_api_pb2_grpc.add_BeamFnControlServicer_to_server(runner, server)
    runner.endpoint = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    yield runner
    server.stop(None)


@contextlib.contextmanager
def served(pool: worker_pool.WorkerPool) -> Iterator[Any]:
    server, port = worker_pool.serve(pool, "127.0.0.1", 0)
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield beam_fn_api_pb2_grpc.BeamFnExternalWorkerPoolStub(channel)
    pool.stop()
    server.stop(None)


def start(pool: Any, endpoint: str, name: str = "1-1") -> None:
    url = endpoints_pb2.ApiServiceDescriptor(url=endpoint)
    request = beam_fn_api_pb2.StartWorkerRequest(worker_id=name, control_endpoint=url)
    assert pool.StartWorker(request).error == ""


def stop(pool: Any, name: str = "1-1") -> None:
    assert pool.StopWorker(beam_fn_api_pb2.StopWorkerRequest(worker_id=name)).error == ""


def workers_of(pid: int, name: str = "1-1") -> list[int]:
    """The processes of a worker, which has one at a time."""
    flags = f"beam_pipeline.worker --id={name} "
    return [child for child, line in children(pid).items() if flags in line]


def one_worker(pid: int) -> int:
    wait_until(lambda: len(workers_of(pid)) == 1)
    return workers_of(pid)[0]


def test_a_worker_that_is_killed_while_it_starts_is_started_again(
    runner: Runner, caplog: pytest.LogCaptureFixture
) -> None:
    with served(worker_pool.WorkerPool()) as pool:
        start(pool, runner.endpoint)
        first = one_worker(os.getpid())
        os.kill(first, signal.SIGKILL)
        assert runner.connected.get(timeout=patience(60)) == "1-1"
        assert workers_of(os.getpid()) != [first]
        assert "worker 1-1 did not connect (SIGKILL): starting it again" in caplog.messages


def test_a_worker_that_hangs_while_it_starts_is_started_again(
    runner: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program, started = tmp_path / "python", tmp_path / "started"
    program.write_text(
        f'#!/bin/sh\nif mkdir {started}; then exec sleep 1000; fi\nexec {sys.executable} "$@"\n'
    )
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    with served(worker_pool.WorkerPool(start_seconds=patience(3))) as pool:
        start(pool, runner.endpoint)
        assert runner.connected.get(timeout=patience(60)) == "1-1"


def test_a_worker_that_is_to_end_is_not_started_again(runner: Runner) -> None:
    pool = worker_pool.WorkerPool()
    with served(pool) as stub:
        start(stub, runner.endpoint)
        worker = pool._workers["1-1"]
        runner.connected.get(timeout=patience(60))
        stop(stub)
        assert workers_of(os.getpid()) == []
        wait_until(lambda: pool._workers == {})
        # Neither is one that has yet to connect, nor one that nobody knows.
        start(stub, runner.endpoint)
        one_worker(os.getpid())
        stop(stub)
        stop(stub, "never started")
        assert worker is not pool._workers.get("1-1")
        wait_until(lambda: workers_of(os.getpid()) == [])
        assert runner.connected.empty()


def test_a_worker_whose_runner_is_gone_is_given_up(caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as listener:
        # Accepts, and answers nothing, so the worker goes on trying.
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        endpoint = f"127.0.0.1:{listener.getsockname()[1]}"
        with served(worker_pool.WorkerPool()) as pool:
            start(pool, endpoint)
            first = one_worker(os.getpid())
            listener.close()
            os.kill(first, signal.SIGKILL)
            said = "worker 1-1 is not started again: its runner is gone"
            wait_until(lambda: said in caplog.messages)
            assert workers_of(os.getpid()) == []


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_workers_end_with_their_pool(runner: Runner, how: signal.Signals) -> None:
    port = free_port()
    flags = [f"--port={port}", "--host=127.0.0.1"]
    command = [sys.executable, "-m", "beam_pipeline.worker_pool", *flags]
    process = processes.start(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    try:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            grpc.channel_ready_future(channel).result(patience(30))
            pool = beam_fn_api_pb2_grpc.BeamFnExternalWorkerPoolStub(channel)
            start(pool, runner.endpoint)
            assert runner.connected.get(timeout=patience(60)) == "1-1"
            worker = one_worker(process.pid)
        process.send_signal(how)
        assert process.wait(patience(30)) == 0
        assert not Path(f"/proc/{worker}").exists()
        assert process.stderr is not None
        said = process.stderr.read()
        assert f"listening at 127.0.0.1:{port}" in said
        assert "starting worker 1-1" in said
    finally:
        processes.kill(process)


def test_a_port_that_is_taken_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert worker_pool.main([f"--port={port}", "--host=127.0.0.1"]) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith(f"error: cannot listen at 127.0.0.1:{port}")
