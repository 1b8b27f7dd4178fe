from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By

from beam_pipeline import report
from tests.dashboards import browsing, complaints, inked, requested
from tests.evaluations import evaluations, write_evaluations
from tests.support import wait_until

EVIL = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("report")
    runs = [
        write_evaluations(
            folder / f"{model}.jsonl",
            [one._replace(user=EVIL) for one in evaluations(3000, model, skill, seed)],
        )
        for seed, (model, skill) in enumerate([("good", 0.6), (f"bad {EVIL}", 0.1)])
    ]
    output = folder / "report.html"
    assert report.main([*runs, "--window", "500", "--output", str(output)]) == 0
    return Path(output).as_uri()


@pytest.fixture(scope="module")
def browser(page: str) -> Iterator[webdriver.Chrome]:
    with browsing() as browser:
        browser.get(page)
        yield browser


def test_it_draws_its_charts_and_asks_for_nothing(browser: webdriver.Chrome, page: str) -> None:
    ink = inked(browser)
    assert len(ink) == 4
    assert min(ink) > 1000
    assert {url for url in requested(browser) if not url.startswith("data:")} == {page}
    assert complaints(browser) == []


def test_what_others_wrote_is_text(browser: webdriver.Chrome) -> None:
    assert browser.find_elements(By.TAG_NAME, "img") == []
    assert f"User {EVIL} chose" in browser.find_element(By.TAG_NAME, "body").text
    legend = browser.find_element(By.CSS_SELECTOR, "[data-chart=recall] .u-legend").text
    assert f"bad {EVIL}" in legend


def test_the_pointer_tells_values(browser: webdriver.Chrome) -> None:
    chart = browser.find_element(By.CSS_SELECTOR, "[data-chart=recall]")
    value = chart.find_element(By.CSS_SELECTOR, ".u-legend .u-value")
    assert value.text == "3,000"
    ActionChains(browser).move_to_element(chart.find_element(By.CLASS_NAME, "u-over")).perform()
    assert value.text != "3,000"


def test_a_phone_need_not_scroll_sideways(page: str) -> None:
    with browsing(width=500) as browser:
        browser.get(page)
        assert browser.execute_script("return document.documentElement.scrollWidth") <= 500
        assert min(inked(browser)) > 1000


def test_the_dark_has_colors_of_its_own(browser: webdriver.Chrome) -> None:
    # Of the paper, and of a line as its legend has it; at once, as charts are drawn anew.
    script = """
        const line = document.querySelectorAll("[data-chart=recall] .u-marker")[1];
        return [document.body, line].map((one) => {
          const style = getComputedStyle(one);
          return one === line ? style.borderTopColor : style.backgroundColor;
        });
    """

    def colors() -> list[str]:
        found: list[str] = browser.execute_script(script)
        return found

    def turn(scheme: str) -> None:
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    turn("light")
    wait_until(lambda: colors() == ["rgb(255, 255, 255)", "rgb(11, 98, 176)"])
    turn("dark")
    wait_until(lambda: colors() == ["rgb(20, 23, 26)", "rgb(98, 174, 251)"])
