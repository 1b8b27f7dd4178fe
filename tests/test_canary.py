"""The check that all tests are under: a password in an output, a log or an error is a failure."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.canary import MARK, PASSWORD, require_hidden, require_hidden_in_error
from tests.support import ROOT, run

LEAKS = """
import logging

import pytest

from tests.canary import PASSWORD


def test_nothing():
    logging.warning("nothing")


def test_print():
    print(PASSWORD)


def test_log():
    logging.getLogger("kafka").warning("got %s", PASSWORD)


def test_error():
    raise ValueError(PASSWORD)


@pytest.fixture
def late():
    yield
    print(PASSWORD)


def test_late(late):
    pass
"""


def test_a_test_that_shows_a_password_fails(tmp_path: Path) -> None:
    path = tmp_path / "test_leaks.py"
    path.write_text(LEAKS, encoding="utf-8")
    options = ["-q", "-p", "tests.conftest", "-p", "no:cacheprovider", "--rootdir", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(path)],
        cwd=ROOT,
        # What was asked of the outer pytest, as the slowest tests, would show here, too.
        env={**os.environ, "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "test_leaks.py::test_print (call) shows a password: Captured stdout" in done.stdout
    assert "test_leaks.py::test_log (call) shows a password: Captured" in done.stdout
    assert "test_leaks.py::test_error (call) shows a password: error" in done.stdout
    assert "test_leaks.py::test_late (teardown) shows a password: Captured" in done.stdout
    assert "test_nothing" not in done.stdout
    assert MARK not in done.stdout


def test_a_program_that_shows_a_password_fails() -> None:
    with pytest.raises(AssertionError, match="the program shows a password, behind"):
        # It says which file it does not find.
        broker = ("--kafka_bootstrap_servers", "127.0.0.1:1")
        run("--input", PASSWORD, "--topic=t", *broker, module="beam_pipeline.produce")


def test_an_error_that_came_from_one_with_a_password_is_found() -> None:
    def hidden() -> None:
        try:
            raise ValueError(PASSWORD)
        except ValueError:
            msg = "clean"
            raise RuntimeError(msg) from None

    with pytest.raises(RuntimeError) as raised:
        hidden()
    with pytest.raises(AssertionError, match="a ValueError shows a password"):
        require_hidden_in_error(raised.value)
    require_hidden_in_error(KeyError("clean"))
    require_hidden("clean", "nothing")
