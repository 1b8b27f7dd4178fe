"""A pool of Python workers for Flink that starts a worker again if it dies while it starts.

    flurs-beam-worker-pool --port 50000

Flink asks a pool for a worker and then waits for it without a limit. Beam's own pool
(`apache_beam.runners.worker.worker_pool_main`) forgets what it has started, so a worker that is
killed before it has connected leaves the job hanging for good. This pool watches each worker
until it has connected. One that ends or takes too long before that is started again under the
same name. One that dies later is Flink's to notice: it restarts the job.
"""

from __future__ import annotations

import argparse
import itertools
import logging
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import grpc
from apache_beam.portability.api import beam_fn_api_pb2, beam_fn_api_pb2_grpc

from beam_pipeline.port_flag import port_number

_LOG: Final = logging.getLogger("flurs-beam-worker-pool")
_START_SECONDS: Final = 300.0
_STOP_SECONDS: Final = 10.0
_LONGEST_PAUSE: Final = 30.0
_CONNECT_SECONDS: Final = 5.0


class Worker:
    """A worker process, started again until it has connected to Flink.

    Args:
        name: What the runner calls it.
        control_endpoint: Where it has to connect.
        start_seconds: How long one start may take.
    """

    def __init__(self, name: str, control_endpoint: str, start_seconds: float) -> None:
        self._name = name
        self._endpoint = control_endpoint
        self._start_seconds = start_seconds
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None

    def supervise(self) -> None:
        """Starts it, and again while that fails; returns when it has ended for good."""
        for attempt in itertools.count():
            if not self._start_once():
                return
            if not _accepts(self._endpoint):
                _LOG.warning("worker %s is not started again: its runner is gone", self._name)
                return
            self._stopped.wait(min(0.1 * 2**attempt, _LONGEST_PAUSE))

    def stop(self) -> None:
        """Ends it: with SIGTERM, and with SIGKILL if that takes too long."""
        with self._lock:
            self._stopped.set()
            process = self._process
        if process is None:
            return
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _start_once(self) -> bool:
        """Runs it once; returns whether it failed before it had connected."""
        reading, writing = os.pipe()
        try:
            with self._lock:
                if self._stopped.is_set():
                    return False
                process = self._process = self._spawn(writing)
        finally:
            os.close(writing)
        connected = _is_said(reading, self._start_seconds)
        os.close(reading)
        if not connected and process.poll() is None:
            process.kill()
        code = process.wait()
        if self._stopped.is_set():
            return False
        if connected:
            _LOG.warning("worker %s has ended: %s", self._name, _ending(code))
            return False
        _LOG.warning("worker %s did not connect (%s): starting it again", self._name, _ending(code))
        return True

    def _spawn(self, ready: int) -> subprocess.Popen[bytes]:
        flags = [f"--id={self._name}", f"--control_endpoint={self._endpoint}"]
        return subprocess.Popen(
            [sys.executable, "-m", "beam_pipeline.worker", *flags, f"--ready_fd={ready}"],
            stdin=subprocess.DEVNULL,
            pass_fds=(ready,),
        )


def _is_said(pipe: int, seconds: float) -> bool:
    """Whether the worker says in time that it has connected; its end closes the pipe."""
    readable, _, _ = select.select([pipe], [], [], seconds)
    return bool(readable) and os.read(pipe, 1) != b""


def _ending(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def _accepts(endpoint: str) -> bool:
    """Whether anything listens there."""
    host, _, port = endpoint.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), _CONNECT_SECONDS):
            return True
    except OSError:
        return False


class WorkerPool(beam_fn_api_pb2_grpc.BeamFnExternalWorkerPoolServicer):
    """What Flink asks for workers, and to end them.

    Args:
        start_seconds: How long the start of a worker may take.
    """

    def __init__(self, start_seconds: float = _START_SECONDS) -> None:
        self._start_seconds = start_seconds
        self._workers: dict[str, Worker] = {}

    def StartWorker(self, request: Any, context: Any) -> Any:
        """Starts a worker, and answers at once."""
        name = request.worker_id
        worker = Worker(name, request.control_endpoint.url, self._start_seconds)
        self._workers[name] = worker
        _LOG.info("starting worker %s", name)
        threading.Thread(target=self._supervise, args=(name, worker), daemon=True).start()
        return beam_fn_api_pb2.StartWorkerResponse()

    def StopWorker(self, request: Any, context: Any) -> Any:
        """Ends a worker, and answers when it has ended."""
        worker = self._workers.pop(request.worker_id, None)
        if worker:
            worker.stop()
        return beam_fn_api_pb2.StopWorkerResponse()

    def _supervise(self, name: str, worker: Worker) -> None:
        worker.supervise()
        self._workers.pop(name, None)

    def stop(self) -> None:
        """Ends all workers."""
        for worker in list(self._workers.values()):
            worker.stop()


def serve(pool: WorkerPool, host: str, port: int) -> tuple[grpc.Server, int]:
    """Returns a running server and its port; a free one is taken for 0.

    Raises:
        RuntimeError: The port is taken.
    """
    options = [("grpc.http2.max_ping_strikes", 0), ("grpc.so_reuseport", 0)]
    server = grpc.server(ThreadPoolExecutor(), options=options)
    beam_fn_api_pb2_grpc.add_BeamFnExternalWorkerPoolServicer_to_server(pool, server)
    found: int = server.add_insecure_port(f"{host}:{port}")
    server.start()
    return server, found


def main(argv: Sequence[str] | None = None) -> int:
    """Serves until SIGTERM or Ctrl-C, which end the workers too."""
    parser = argparse.ArgumentParser(
        prog="flurs-beam-worker-pool", description=__doc__.split("\n", maxsplit=1)[0]
    )
    parser.add_argument(
        "--port", type=port_number, default=50000, help="where it listens (default: 50000)"
    )
    parser.add_argument(
        "--host", default="localhost", help="at which address it listens (default: localhost)"
    )
    parser.add_argument(
        "--start_seconds",
        type=float,
        default=_START_SECONDS,
        metavar="SECONDS",
        help="how long the start of a worker may take (default: 300)",
    )
    given = parser.parse_args(argv)
    # Beam's import has set logging up already, for warnings only.
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s", force=True)
    pool = WorkerPool(given.start_seconds)
    try:
        server, port = serve(pool, given.host, given.port)
    except RuntimeError as e:
        print(f"error: cannot listen at {given.host}:{given.port}: {e}", file=sys.stderr)
        return 1
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    _LOG.info("listening at %s:%d", given.host, port)
    try:
        server.wait_for_termination()
    except KeyboardInterrupt:
        server.stop(None)
        pool.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
