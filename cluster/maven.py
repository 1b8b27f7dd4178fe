"""Jars from Maven Central, once for each version of a pom."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path
from typing import Final

CACHE: Final = Path(__file__).resolve().parent.parent / ".cache"


def copy_dependencies(pom: Path) -> Path:
    """Returns a folder with the jars that `pom` depends on, downloaded if they are not there.

    Raises:
        subprocess.CalledProcessError: Maven can not get them; it has said why.
    """
    digest = hashlib.sha256(pom.read_bytes()).hexdigest()[:12]
    folder = CACHE / f"{pom.parent.name}-{digest}"
    if not folder.exists():
        partial = folder.with_suffix(".partial")
        command = ["mvn", "-q", "-B", "-f", str(pom), "dependency:copy-dependencies"]
        subprocess.run([*command, f"-DoutputDirectory={partial}"], check=True)
        partial.rename(folder)
    return folder
