from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests import processes
from tests.support import ROOT, wait_until

# A program with a job server: a child in a session of its own, which the program's end leaves.
PROGRAM = """
import subprocess, sys, time
child = subprocess.Popen(["sleep", "1000"], start_new_session=True)
print(child.pid, flush=True)
time.sleep(1000)
"""
# A session of tests in which such a program runs and no test ends.
TESTS = f"""
import subprocess, sys, time
from tests import processes
with processes.watched():
    program = processes.start([sys.executable, "-c", {PROGRAM!r}], stdout=subprocess.PIPE)
    print(program.stdout.readline().decode(), flush=True)
    time.sleep(1000)
"""


def runs(pid: int) -> bool:
    """Whether it does, and is not merely waited for."""
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nothing_outlives_tests_that_are_killed(how: signal.Signals) -> None:
    tests = processes.start([sys.executable, "-c", TESTS], stdout=subprocess.PIPE, cwd=ROOT)
    assert tests.stdout is not None
    grandchild = int(tests.stdout.readline())
    assert runs(grandchild)
    tests.send_signal(how)
    wait_until(lambda: not runs(grandchild))
    processes.kill(tests)


def test_what_a_program_leaves_is_found_and_its_group_ends_with_it() -> None:
    program = processes.start(["sh", "-c", "sleep 1000 & echo $!; exit 0"], stdout=subprocess.PIPE)
    assert program.stdout is not None
    child = int(program.stdout.readline())
    program.wait()
    # While it becomes `sleep`, the kernel shows no environment of it.
    wait_until(lambda: "sleep 1000" in processes.left().get(child, ""))
    processes.kill(program)
    wait_until(lambda: child not in processes.left())
