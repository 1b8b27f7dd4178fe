"""The programs that tests start, none of which may outlive the tests, however those end.

What a program starts itself, such as Beam's job server, is in the program's process group, and
has a mark of the tests' in its environment, wherever it moves.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

_MARK = "FLURS_BEAM_TESTS"
_HERE = os.getpid()


def start(command: Sequence[object], **options: Any) -> subprocess.Popen[Any]:
    """Starts a program in a process group of its own."""
    return subprocess.Popen(list(map(str, command)), start_new_session=True, **options)


def end(process: subprocess.Popen[Any], seconds: float) -> None:
    """Ends a program that has that long to end what it has started, and what it has left."""
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
    kill(process)


def kill(process: subprocess.Popen[Any]) -> None:
    """Ends a program and all of its group at once."""
    # The group is there as long as any of it is, and its id is no other's until then.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@contextlib.contextmanager
def watched() -> Iterator[None]:
    """Marks what is started from now on; ends it when this process has ended, even by SIGKILL."""
    os.environ[_MARK] = uuid.uuid4().hex
    janitor = subprocess.Popen(
        [sys.executable, __file__, os.environ[_MARK]],
        stdin=subprocess.PIPE,
        start_new_session=True,
        env={},
    )
    try:
        yield
    finally:
        # The end of its input is what it waits for.
        janitor.communicate()


def left() -> dict[int, str]:
    """Returns the command lines of marked processes that run.

    Prism servers of pipelines of this very process are none of them: Beam ends those at exit.
    """
    found = _marked(os.environ[_MARK])
    return {
        pid: line for pid, line in found.items() if "/prism " not in line or _parent(pid) != _HERE
    }


def _parent(pid: int) -> int:
    with contextlib.suppress(OSError):
        # After the name, which is in brackets and may be anything: the state, then the parent.
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return 0


def _marked(mark: str) -> dict[int, str]:
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        # It may have ended meanwhile, or be another user's.
        with contextlib.suppress(OSError):
            if f"{_MARK}={mark}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ")
                found[int(folder.name)] = command.decode(errors="replace")[:300]
    return found


def _clean_up(mark: str) -> None:
    sys.stdin.read()
    while found := _marked(mark):
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    _clean_up(sys.argv[1])
