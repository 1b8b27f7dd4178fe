"""A standalone Flink cluster for Beam: `python -m cluster.flink_cluster` runs one until Ctrl-C."""

from __future__ import annotations

import argparse
import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from beam_pipeline.port_flag import port_number
from cluster.broker import free_port
from cluster.children import children
from cluster.flink_config import JOB_MANAGER_JVM, JVM_OPENS, TASK_MANAGER_JVM, write_configuration
from cluster.flink_jars import FLINK_VERSION, flink_jars
from cluster.flink_rest import FlinkRest

_ROOT: Final = Path(__file__).resolve().parent.parent
_UP_SECONDS: Final = 600
_SECONDS_BETWEEN_LOOKS: Final = 1.0
_ENTRYPOINT: Final = "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint"
_TASK_MANAGER: Final = "org.apache.flink.runtime.taskexecutor.TaskManagerRunner"
_ZOOKEEPER: Final = "org.apache.flink.runtime.zookeeper.FlinkZooKeeperQuorumPeer"
_WORKER_POOL: Final = "beam_pipeline.worker_pool"


class FlinkCluster:
    """A JobManager, TaskManagers and Beam's Python worker pool, each a process of its own.

    The JobManager's recovery is on: ZooKeeper, which Flink's jars contain, knows the leader,
    and `folder` keeps jobs and checkpoints, so after `kill_job_manager` and
    `start_job_manager` the jobs go on from their last checkpoint.

    A process that ends by itself is replaced when `replace_dead` is called, now and then.

    A job names one address for its SDK workers, which each TaskManager takes for its own
    machine's. Here all are on one machine, so one pool serves all TaskManagers; it starts a
    worker process for each of them.

    Args:
        folder: Where configuration, logs, checkpoints and all other files go.
        task_managers: How many to start.
        slots: Of each TaskManager; a job of parallelism N needs N.
        port: Of the REST API and the web UI; a free one if it is 0.
        properties: Further lines of Flink's configuration, which win over those made here.

    Attributes:
        address: What `--flink_master` takes, and where the web UI is.
        environment_config: What `--environment_config` takes.
        job_server_jar: What `--flink_job_server_jar` takes.
    """

    def __init__(
        self,
        folder: Path,
        task_managers: int = 2,
        slots: int = 1,
        port: int = 0,
        properties: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder.resolve()
        self.port = port or free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.rest = FlinkRest(self.address)
        self._pool_port = free_port()
        self.environment_config = f"127.0.0.1:{self._pool_port}"
        self._jars, self.job_server_jar = flink_jars()
        self._count = task_managers
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._task_managers: list[str] = []
        self._zookeeper_port = free_port()
        self._starts = {
            "jobmanager": self.start_job_manager,
            "taskmanager": self.start_task_manager,
            "workers": self.start_worker_pool,
            "zookeeper": self._start_zookeeper,
        }
        write_configuration(self.folder, self.port, self._zookeeper_port, slots, properties or {})

    def start(self) -> None:
        """Starts everything, and returns when all TaskManagers have registered.

        Raises:
            RuntimeError: It does not start; the text has the end of a log.
        """
        self._start_zookeeper()
        self.start_worker_pool()
        self.start_job_manager()
        for _ in range(self._count):
            self.start_task_manager()
        try:
            self.wait_for_task_managers(self._count)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Ends every process; the files stay."""
        for name in list(self._processes):
            self._end(name)
        self._task_managers.clear()

    def start_job_manager(self) -> None:
        """Starts the JobManager, which takes up the jobs that the last one had."""
        self._java("jobmanager", JOB_MANAGER_JVM, _ENTRYPOINT, "--configDir", ".")

    def kill_job_manager(self) -> None:
        """Ends the JobManager at once, as a crash does."""
        self._end("jobmanager")

    def start_task_manager(self) -> None:
        """Starts one more TaskManager."""
        number = len(self._task_managers)
        name = f"taskmanager-{number}"
        self._task_managers.append(name)
        resource = f"-Dtaskmanager.resource-id={name}"
        self._java(name, TASK_MANAGER_JVM, _TASK_MANAGER, "--configDir", ".", resource)

    def kill_task_manager(self, number: int) -> None:
        """Ends a TaskManager at once, as a crash does; its SDK workers go when they notice.

        Args:
            number: Counted from 0 in the order of their start, dead ones included.
        """
        self._end(self._task_managers[number])

    def replace_dead(self) -> list[str]:
        """Starts another process for each that has ended by itself; returns what to say of it."""
        said = []
        for name, process in list(self._processes.items()):
            code = process.poll()
            if code is not None:
                self._end(name)
                how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
                said.append(f"{name} has ended ({how}): starting another")
                kind = name.partition("-")[0]
                self._starts[kind]()
        return said

    def start_worker_pool(self) -> None:
        """Starts the pool that starts Python workers."""
        flags = [f"--port={self._pool_port}", "--host=127.0.0.1"]
        # Where the project is not installed, workers find it in the working folder.
        self._run("workers", [sys.executable, "-m", _WORKER_POOL, *flags], _ROOT)

    def kill_worker_pool(self) -> None:
        """Ends the pool and all its workers at once, as a container that ends does."""
        self._end("workers")

    def sdk_workers(self) -> list[int]:
        """Returns the process ids of the Python workers that the pool has now."""
        return list(children(self._processes["workers"].pid))

    def kill_sdk_workers(self) -> None:
        """Ends all Python workers at once, as a crash does; the pool stays."""
        for pid in self.sdk_workers():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def task_manager_of(self, job: str) -> int:
        """Returns the number of the TaskManager that runs a job's last step, for a kill.

        Raises:
            OSError: The JobManager does not answer, or knows no such job.
        """
        return self._task_managers.index(self.rest.task_manager_of(job))

    def wait_for_task_managers(self, count: int) -> None:
        """Returns when so many are registered.

        Raises:
            RuntimeError: They are not, after ten minutes.
        """
        self._wait_until(
            lambda: len(self.rest.get("/taskmanagers")["taskmanagers"]) >= count,
            f"{count} TaskManager(s)",
        )

    def wait_for_job(self) -> None:
        """Returns when a job runs.

        Raises:
            RuntimeError: None does, after ten minutes.
        """
        self._wait_until(
            lambda: any(j["state"] == "RUNNING" for j in self.rest.get("/jobs/overview")["jobs"]),
            "running job",
        )

    def processes(self) -> dict[str, int]:
        """Returns the process ids, each of which is also a session's, by name."""
        return {name: process.pid for name, process in self._processes.items()}

    def flags(self) -> list[str]:
        """Returns what a pipeline's command line needs to run here."""
        return [
            "--runner=FlinkRunner",
            f"--flink_master={self.address}",
            f"--flink_version={FLINK_VERSION}",
            f"--flink_job_server_jar={self.job_server_jar}",
            "--environment_type=EXTERNAL",
            f"--environment_config={self.environment_config}",
        ]

    def _start_zookeeper(self) -> None:
        flags = ("--zkConfigFile", "zookeeper.cfg", "--peerId", "1")
        self._java("zookeeper", ("-Xmx64m",), _ZOOKEEPER, *flags)

    def _java(self, name: str, jvm: Sequence[str], main: str, *arguments: str) -> None:
        log = f"-Dlog4j.configurationFile={self.folder / 'log4j.properties'}"
        classes = ["-cp", f"{self._jars}/*", main, *arguments]
        self._run(name, ["java", *jvm, *JVM_OPENS, log, *classes], self.folder)

    def _run(
        self, name: str, command: Sequence[str], cwd: Path, env: Mapping[str, str] | None = None
    ) -> None:
        with self._log(name).open("ab") as log:
            self._processes[name] = subprocess.Popen(
                command,
                cwd=cwd,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _end(self, name: str) -> None:
        process = self._processes.pop(name, None)
        if process:
            # The pool's workers are in its group.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(timeout=60)

    def _wait_until(self, reached: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + _UP_SECONDS
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                if reached():
                    return
            for name, process in self._processes.items():
                if process.poll() is not None:
                    msg = f"{name} ended:\n{self._log(name).read_text()[-2000:]}"
                    raise RuntimeError(msg)
            time.sleep(0.2)
        msg = f"no {what} in time:\n{self._log('jobmanager').read_text()[-2000:]}"
        raise RuntimeError(msg)

    def _log(self, name: str) -> Path:
        return self.folder / f"{name}.log"


def main(argv: Sequence[str]) -> int:
    """Runs a cluster until Ctrl-C; its files go with it."""
    parser = argparse.ArgumentParser(prog="python -m cluster.flink_cluster", description=__doc__)
    parser.add_argument(
        "--port", type=port_number, default=8081, help="of the web UI (default: 8081)"
    )
    parser.add_argument("--task_managers", type=int, default=2)
    parser.add_argument("--slots", type=int, default=1)
    given = parser.parse_args(argv)
    folder = Path(tempfile.mkdtemp(prefix="flurs-beam-flink-"))
    cluster = FlinkCluster(folder, given.task_managers, given.slots, given.port)
    try:
        cluster.start()
        print(f"Flink's web UI: http://{cluster.address}", f"logs: {folder}", sep="\n")
        print("to submit:", shlex.join(cluster.flags()), flush=True)
        print("Ctrl-C stops it and removes its files", flush=True)
        while True:
            time.sleep(_SECONDS_BETWEEN_LOOKS)
            for line in cluster.replace_dead():
                print(line, flush=True)
    except KeyboardInterrupt:
        pass
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    # A block instead would be inherited by workers, which are ended by SIGTERM.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main(sys.argv[1:]))
