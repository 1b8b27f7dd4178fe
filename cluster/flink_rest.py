"""Flink's REST API."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Mapping
from typing import Any, Final

_TIMEOUT_SECONDS: Final = 10


class FlinkRest:
    """Calls a JobManager's REST API.

    Every method raises OSError if the JobManager does not answer or answers with an error.

    Args:
        address: `HOST:PORT` of the API.
    """

    def __init__(self, address: str) -> None:
        self._root = f"http://{address}"

    def get(self, path: str) -> Any:
        """Returns the answer to a GET of a path such as `/jobs/overview`."""
        return self._call(path)

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """Returns the answer to a POST of a JSON document."""
        return self._call(path, "POST", json.dumps(body).encode())

    def cancel(self, job: str) -> None:
        """Cancels a job."""
        self._call(f"/jobs/{job}", "PATCH")

    def task_manager_of(self, job: str) -> str:
        """Returns the resource id of a TaskManager that runs a job's last step."""
        vertex = self.get(f"/jobs/{job}")["vertices"][-1]["id"]
        found = self.get(f"/jobs/{job}/vertices/{vertex}/taskmanagers")["taskmanagers"]
        return str(found[0]["taskmanager-id"])

    def _call(self, path: str, method: str = "GET", data: bytes | None = None) -> Any:
        headers = {"Content-Type": "application/json"} if data else {}
        request = urllib.request.Request(self._root + path, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as answer:
            return json.load(answer)
