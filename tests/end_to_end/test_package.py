from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import transforms
from tests.support import ROOT, environment


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    for package in ("beam_pipeline", "transforms"):
        shutil.copytree(ROOT / package, source / package)
    command = [sys.executable, "-m", "build", "--wheel", "--outdir", str(target), str(source)]
    subprocess.run(command, check=True, capture_output=True)
    return next(target.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("installed")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture(scope="module")
def mypy_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mypy_cache")


def readme_examples() -> list[str]:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    examples = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    assert examples
    return examples


def strict_mypy(files: dict[str, str], folder: Path, installed: Path, cache: Path) -> str:
    """Checks a user's files outside of the repository, and returns what mypy prints."""
    for name, code in files.items():
        (folder / name).write_text(code, encoding="utf-8")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "mypy", "--strict", "--config-file=", f"--cache-dir={cache}"),
            # Beam has py.typed, but Create, Map and the like have no annotations.
            *("--untyped-calls-exclude=apache_beam", *files),
        ],
        cwd=folder,
        # mypy takes what is on PYTHONPATH for installed: it needs py.typed there.
        env={**os.environ, "PYTHONPATH": str(installed), "MYPYPATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    return done.stdout


def test_a_wheel_has_every_module_the_sample_and_what_pages_are_made_of(wheel: Path) -> None:
    inside = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info" not in name}
    expected = {
        path.relative_to(ROOT).as_posix()
        for package in ("beam_pipeline", "transforms")
        for path in (ROOT / package).rglob("*")
        if path.is_file() and path.parent.name != "__pycache__"
    }
    assert inside == expected


def test_the_program_runs_from_the_wheel_alone(installed: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "beam_pipeline", "--runner=DirectRunner"],
        cwd=tmp_path,
        env={**environment(), "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "read=5000" in done.stderr.splitlines()[-1]


def test_the_readmes_examples_run(tmp_path: Path) -> None:
    (tmp_path / "u.data").write_text("196\t242\t3\t881250949\n186\t302\t3\t891717742\n")
    for example in readme_examples():
        done = subprocess.run(
            [sys.executable, "-c", example],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert "242" in done.stdout


def test_the_readmes_examples_pass_a_users_strict_mypy(
    installed: Path, mypy_cache: Path, tmp_path: Path
) -> None:
    files = {f"example_{number}.py": code for number, code in enumerate(readme_examples())}
    printed = strict_mypy(files, tmp_path, installed, mypy_cache)
    assert printed == f"Success: no issues found in {len(files)} source files\n"


def test_a_user_sees_the_type_of_every_public_name(
    installed: Path, mypy_cache: Path, tmp_path: Path
) -> None:
    reveals = "".join(f"reveal_type(tf.{name})\n" for name in transforms.__all__)
    files = {"names.py": f"import transforms as tf\n{reveals}"}
    printed = strict_mypy(files, tmp_path, installed, mypy_cache)
    revealed = re.findall(r'note: Revealed type is "(.*)"', printed)
    unseen = [
        (name, shown)
        for name, shown in zip(transforms.__all__, revealed, strict=True)
        if not re.search(rf"transforms\.[\w.]+\.{name}\b", shown)
    ]
    assert unseen == []


def test_the_readme_is_short_and_its_links_lead_somewhere() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) < 250
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for link in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert "://" in link or (page.parent / link).exists(), f"{page.name}: {link}"
