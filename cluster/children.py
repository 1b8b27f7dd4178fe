"""The processes that a process has started."""

from __future__ import annotations

import contextlib
from pathlib import Path


def children(pid: int) -> dict[int, str]:
    """Returns the ids and command lines of the processes that a process has started and not lost.

    One that has ended and that nobody has waited for has no command line, and is left out.
    """
    found = {}
    for listed in Path(f"/proc/{pid}/task").glob("*/children"):
        # Either may end meanwhile.
        with contextlib.suppress(OSError):
            for child in map(int, listed.read_text().split()):
                if line := _command_line(child):
                    found[child] = line
    return found


def _command_line(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8")
    return ""
