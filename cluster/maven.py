"""Jars from Maven Central, once for each version of a pom."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Final

CACHE: Final = Path(__file__).resolve().parent.parent / ".cache"


def copy_dependencies(pom: Path) -> Path:
    """Returns a folder with the jars that `pom` depends on, downloaded if missing.

    Raises:
        subprocess.CalledProcessError: Maven failed; its output says why.
    """
    digest = hashlib.sha256(pom.read_bytes()).hexdigest()[:12]
    folder = CACHE / f"{pom.parent.name}-{digest}"
    if not folder.exists():
        print(f"downloading jars for {pom.parent.name} with Maven (once)", file=sys.stderr)
        partial = folder.with_suffix(".partial")
        command = ["mvn", "-q", "-B", "-f", str(pom), "dependency:copy-dependencies"]
        subprocess.run([*command, f"-DoutputDirectory={partial}"], check=True)
        partial.rename(folder)
    return folder
