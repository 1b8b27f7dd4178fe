"""A schema registry with Confluent's API (Apicurio), which keeps its schemas in memory."""

from __future__ import annotations

import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Final

from cluster.broker import free_port
from cluster.maven import copy_dependencies

_POM: Final = Path(__file__).parent / "registry" / "pom.xml"
_UP_SECONDS: Final = 300


class SchemaRegistry:
    """A registry process.

    Args:
        folder: Where its log goes.

    Attributes:
        url: Of its API.
    """

    def __init__(self, folder: Path) -> None:
        self._home = copy_dependencies(_POM, "unpack-dependencies")
        self._port = free_port()
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"http://127.0.0.1:{self._port}/apis/ccompat/v7"

    def start(self) -> None:
        """Starts it without a schema, and returns when it answers.

        Raises:
            RuntimeError: It does not come up; the text has the end of its log.
        """
        (jar,) = self._home.glob("apicurio-registry-app-*-runner.jar")
        self._folder.mkdir(parents=True, exist_ok=True)
        log = self._folder / "registry.log"
        with log.open("ab") as file:
            self._process = subprocess.Popen(
                [
                    *("java", "-Xmx400m", "-Dquarkus.http.host=127.0.0.1"),
                    *(f"-Dquarkus.http.port={self._port}", "-jar", str(jar)),
                ],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + _UP_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            if self._answers():
                return
            time.sleep(0.1)
        self.stop()
        msg = f"the registry does not come up:\n{log.read_text()[-2000:]}"
        raise RuntimeError(msg)

    def stop(self) -> None:
        """Ends it at once; its schemas are gone."""
        if self._process:
            self._process.kill()
            self._process.wait(timeout=60)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/subjects", timeout=5) as answer:
                return bool(answer.status == 200)
        except (OSError, urllib.error.URLError):
            return False
