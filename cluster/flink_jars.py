"""Flink's jars and Beam's job server: `python -m cluster.flink_jars` prints where they are."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from pathlib import Path
from typing import Final, NamedTuple

from cluster.maven import CACHE, maven

FLINK_VERSION: Final = "1.19"
"""What `--flink_version` has to be with these jars."""

_PROJECT: Final = Path(__file__).parent / "flink"


class FlinkJars(NamedTuple):
    """What the Maven project makes.

    Attributes:
        runtime: Folder with the jars of JobManager and TaskManagers.
        job_server: Beam's job server, for `--flink_job_server_jar`.
    """

    runtime: Path
    job_server: Path


def flink_jars() -> FlinkJars:
    """Returns the jars, made if they are not there: the first time takes a minute or two.

    Raises:
        subprocess.CalledProcessError: Maven failed; its output says why.
    """
    digest = hashlib.sha256()
    for source in sorted([*_PROJECT.rglob("pom.xml"), *_PROJECT.rglob("*.java")]):
        digest.update(source.read_bytes())
    folder = CACHE / f"flink-{digest.hexdigest()[:12]}"
    if not folder.exists():
        partial = folder.with_suffix(f".partial-{os.getpid()}")
        try:
            maven(_PROJECT, "package", f"-Doutput={partial}")
            # Another process may have been faster.
            with contextlib.suppress(OSError):
                partial.rename(folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return FlinkJars(folder / "runtime" / "jars", folder / "job-server" / "flink-job-server.jar")


if __name__ == "__main__":
    for path in flink_jars():
        print(path)
