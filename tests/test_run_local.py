"""run_local.sh on a machine that has nothing but Debian's base."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import ROOT

_NOT_IN_BASE = ("java", "mvn", "chrom", "python", "pip", "go", "apt-get", "id", "lint-imports")
# What a package brings, as far as the script sees.
_BRINGS = {
    "default-jdk-headless": ("java", "javac"),
    "maven": ("mvn",),
    "chromium": ("chromium",),
    "chromium-driver": ("chromedriver",),
    "python3-venv": ("venv-is-installed",),
}
_APT_GET = """#!/bin/sh
echo "apt-get $*" >> "$CALLS"
for one in "$@"; do
  if [ -d "$BRINGS/$one" ]; then cp "$BRINGS/$one"/* "$(dirname "$0")"; fi
done
"""
# Python without venv, as Debian's is, until that is installed.
_PYTHON = """#!/bin/sh
echo "python $*" >> "$CALLS"
case "$*" in
  *ensurepip*) exec [ -e "$(dirname "$0")/venv-is-installed" ] ;;
  "-m venv .venv")
    mkdir -p .venv/bin
    cp "$0" .venv/bin/python
    printf '#!/bin/sh\\n' > .venv/bin/lint-imports
    chmod +x .venv/bin/lint-imports
    echo "VIRTUAL_ENV=$PWD/.venv; PATH=$PWD/.venv/bin:$PATH" > .venv/bin/activate ;;
esac
"""
Run = Callable[..., subprocess.CompletedProcess[str]]


def executable(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


@pytest.fixture
def calls(tmp_path: Path) -> Path:
    """Where the stand-ins of apt-get and python write how they are called."""
    return tmp_path / "calls"


@pytest.fixture
def bare(tmp_path: Path, calls: Path) -> Run:
    """Runs the script in a copy of the project, as a user, with a path of its own."""
    programs, brings, project = (tmp_path / name for name in ("bin", "brings", "project"))
    programs.mkdir()
    for program in Path("/usr/bin").iterdir():
        if not program.name.startswith(_NOT_IN_BASE):
            (programs / program.name).symlink_to(program)
    for package, names in _BRINGS.items():
        (brings / package).mkdir(parents=True)
        for name in names:
            executable(brings / package / name, "#!/bin/sh\n")
    executable(programs / "apt-get", _APT_GET)
    executable(programs / "python3", _PYTHON)
    project.mkdir()
    for name in ("run_local.sh", "setup.py"):
        shutil.copy(ROOT / name, project / name)

    def run(*arguments: str, user: int = 0) -> subprocess.CompletedProcess[str]:
        executable(programs / "id", f"#!/bin/sh\necho {user}\n")
        return subprocess.run(
            [project / "run_local.sh", *arguments],
            env={"PATH": str(programs), "CALLS": str(calls), "BRINGS": str(brings)},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def test_on_bare_debian_one_command_does_all_the_set_up(bare: Run, calls: Path) -> None:
    done = bare("test", "-q", "tests/x.py")
    assert done.returncode == 0, done.stderr
    asked = [line for line in calls.read_text().splitlines() if line.startswith("apt-get")]
    flags = "apt-get install -y -qq --no-install-recommends"
    assert asked == [
        "apt-get update -qq",
        f"{flags} default-jdk-headless",
        f"{flags} maven",
        f"{flags} chromium chromium-driver fonts-dejavu-core",
        f"{flags} python3 python3-venv",
    ]
    assert (
        calls.read_text().splitlines()[-1]
        == "python -m pytest -n auto --maxprocesses 4 --dist loadfile -q tests/x.py"
    )


def test_the_second_time_nothing_is_installed(bare: Run, calls: Path) -> None:
    assert bare("test").returncode == 0
    calls.unlink()
    assert bare("test").returncode == 0
    assert "apt-get" not in calls.read_text()
    assert "pip install" not in calls.read_text()


@pytest.mark.parametrize("command", ["kafka", "flink"])
def test_a_cluster_needs_java_and_no_browser(bare: Run, calls: Path, command: str) -> None:
    assert bare(command).returncode == 0
    assert "default-jdk-headless" in calls.read_text()
    assert "maven" in calls.read_text()
    assert "chromium" not in calls.read_text()


def test_the_job_alone_needs_python_only(bare: Run, calls: Path) -> None:
    assert bare().returncode == 0
    assert "python3-venv" in calls.read_text()
    assert "maven" not in calls.read_text()


def test_who_may_not_install_is_told_in_one_line(bare: Run, calls: Path) -> None:
    done = bare("test", user=1000)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "error: a JDK, 17 or later, is missing" in line
    assert "default-jdk-headless" in line
    assert not calls.exists()


def test_a_package_that_can_not_be_installed_is_one_line(bare: Run, tmp_path: Path) -> None:
    executable(tmp_path / "bin" / "apt-get", '#!/bin/sh\n[ "$1" = update ]\n')
    done = bare("kafka")
    assert done.returncode == 1
    assert "apt-get cannot install default-jdk-headless" in done.stderr.splitlines()[-1]


def test_shellcheck_has_nothing_to_say() -> None:
    command = ["shellcheck", str(ROOT / "run_local.sh")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
