from __future__ import annotations

import contextlib
import json
import os
import signal
import urllib.request
from pathlib import Path
from typing import Any

from cluster.broker import free_port
from cluster.children import children
from tests.support import patience, running, wait_until


def test_it_shows_lists_replaces_what_is_killed_and_ends_with_all_it_started(
    tmp_path: Path,
) -> None:
    log, port = tmp_path / "log", free_port()

    def get(path: str) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return json.load(answer)

    def runs_on() -> set[str]:
        """The TaskManagers on which the job's last step runs."""
        with contextlib.suppress(OSError):
            (job,) = get("/jobs")["jobs"]
            step = get(f"/jobs/{job['id']}")["vertices"][-1]["id"]
            found = get(f"/jobs/{job['id']}/vertices/{step}/taskmanagers")["taskmanagers"]
            return {one["taskmanager-id"] for one in found if one["status"] == "RUNNING"}
        return set()

    with running(log, "--port", port, module="cluster.demo") as demo:
        wait_until(lambda: "\nratings-" in log.read_text() or demo.poll() is not None, 180)
        assert demo.poll() is None, log.read_text()
        assert runs_on() == {"taskmanager-0", "taskmanager-1"}
        started = children(demo.pid).items()
        (pid,) = (pid for pid, line in started if "resource-id=taskmanager-1" in line)
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: runs_on() == {"taskmanager-0", "taskmanager-2"})
        assert "taskmanager-1 has ended (SIGKILL): starting another" in log.read_text()
        demo.send_signal(signal.SIGINT)
        assert demo.wait(patience(60)) == 0
