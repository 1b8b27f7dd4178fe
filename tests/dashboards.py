"""The dashboard and a browser, for tests."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator

from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from tests import processes
from tests.support import Topics, command, environment, patience

_FLAGS = (
    "headless",
    "no-sandbox",
    "disable-gpu",
    "disable-quic",
    "no-first-run",
    "disable-background-networking",
    "disable-component-update",
    "disable-sync",
)


@contextlib.contextmanager
def serving(topics: Topics, *arguments: object) -> Iterator[str]:
    """The dashboard in a process of its own; gives its address, and ends it by Ctrl-C."""
    broker = ("--kafka_bootstrap_servers", topics.settings.bootstrap_servers)
    process = processes.start(
        command([*broker, *arguments, "--port", 0], "beam_pipeline.dashboard"),
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    try:
        assert process.stderr is not None
        said = process.stderr.readline()
        found = re.search(r"http://[\w.]+:\d+", said)
        assert found, said + process.stderr.read()
        yield found[0]
        process.send_signal(signal.SIGINT)
        assert process.wait(patience(30)) == 0
        assert process.stderr.read() == ""
    finally:
        processes.kill(process)


@contextlib.contextmanager
def browsing(width: int = 1200, height: int = 1000) -> Iterator[webdriver.Chrome]:
    """Debian's chromium, new and without any network of its own."""
    options = webdriver.ChromeOptions()
    options.binary_location = str(shutil.which("chromium"))
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    with tempfile.TemporaryDirectory() as profile:
        for flag in (*_FLAGS, f"user-data-dir={profile}", f"window-size={width},{height}"):
            options.add_argument(f"--{flag}")
        service = Service(shutil.which("chromedriver"))
        browser = webdriver.Chrome(options=options, service=service)
        try:
            # What the browser's own first page asks for is no page's.
            browser.get("about:blank")
            browser.get_log("performance")
            yield browser
        finally:
            browser.quit()


def requested(browser: webdriver.Chrome) -> set[str]:
    """All addresses that pages asked for since the last call."""
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    return {
        event["params"]["request"]["url"]
        for event in events
        if event["method"] == "Network.requestWillBeSent"
    }


def complaints(browser: webdriver.Chrome) -> list[str]:
    """The console's errors, refusals of the content policy among them."""
    entries = browser.get_log("browser")
    return [str(entry["message"]) for entry in entries if entry["level"] == "SEVERE"]


def inked(browser: webdriver.Chrome) -> list[int]:
    """How many pixels are drawn in each of the page's charts."""
    script = """
        return [...document.querySelectorAll("canvas")].map((canvas) => {
          const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
          return data.filter((value, i) => i % 4 === 3 && value > 0).length;
        });
    """
    found: list[int] = browser.execute_script(script)
    return found
