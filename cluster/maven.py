"""Jars from Maven Central, once for each version of a pom."""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

CACHE: Final = Path(__file__).resolve().parent.parent / ".cache"


def maven(pom: Path, *arguments: str) -> None:
    """Runs Maven quietly; its errors go to stderr.

    Args:
        pom: Of the project, or its folder.
        arguments: Goals and properties.

    Raises:
        subprocess.CalledProcessError: Maven failed; its output says why.
    """
    # Maven would reset the terminal's colors, whether it set any or not.
    options = f"{os.environ.get('MAVEN_OPTS', '')} -Djansi.noreset=true".strip()
    subprocess.run(
        ["mvn", "-q", "-B", "-f", str(pom), *arguments],
        check=True,
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr,
        env={**os.environ, "MAVEN_OPTS": options},
    )


def copy_dependencies(pom: Path, goal: str = "copy-dependencies") -> Path:
    """Returns a folder with the jars that `pom` depends on, downloaded if missing.

    Args:
        pom: Names them.
        goal: Of Maven's dependency plugin; `unpack-dependencies` for archives.

    Raises:
        subprocess.CalledProcessError: Maven failed; its output says why.
    """
    digest = hashlib.sha256(pom.read_bytes()).hexdigest()[:12]
    folder = CACHE / f"{pom.parent.name}-{digest}"
    CACHE.mkdir(exist_ok=True)
    # Tests run in several processes that may need the same jars at once.
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            print(f"downloading jars for {pom.parent.name} with Maven (once)", file=sys.stderr)
            partial = folder.with_suffix(".partial")
            maven(pom, f"dependency:{goal}", f"-DoutputDirectory={partial}")
            partial.rename(folder)
    return folder
