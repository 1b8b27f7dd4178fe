from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.common.by import By

from tests.dashboards import browsing, complaints, inked, requested, serving
from tests.evaluations import evaluations
from tests.letters import send_letters
from tests.support import Topics, movielens_like, running, wait_until
from transforms.evaluation.prequential import Figures
from transforms.formats.json_lines import (
    encode_evaluation,
    encode_recommendation,
)
from transforms.formats.records import DeadLetter, Recommendation, ScoredItem

EVIL = "<img src=x onerror=alert(1)>"


def list_of(user: str, item: str, origin: str = "o") -> bytes:
    return encode_recommendation(Recommendation(user, [ScoredItem(item, 0.5)], 1.0, origin))


def text(browser: webdriver.Chrome, name: str) -> str:
    return browser.find_element(By.ID, name).text


def ask(browser: webdriver.Chrome, user: str) -> None:
    field = browser.find_element(By.ID, "user")
    field.clear()
    field.send_keys(user)
    browser.find_element(By.CSS_SELECTOR, "button[type=submit]").click()


def eventually(browser: webdriver.Chrome, name: str, has: Callable[[str], bool]) -> None:
    wait_until(lambda: has(text(browser, name)))


def test_the_page_follows_the_topics(topics: Topics, tmp_path: Path) -> None:
    output, evals, dead = topics.create(), topics.create(), topics.create()
    titles = tmp_path / "titles.csv"
    titles.write_text(f"242,Kolya\n50,{EVIL}\n")
    arguments = (
        *("--output_topic", output, "--evaluation_topic", evals),
        *("--dead_letter_topic", dead, "--titles", titles, "--window", 200),
    )
    with serving(topics, *arguments) as address, browsing() as browser:
        browser.get(address)
        eventually(browser, "rate", lambda shown: shown == "Waiting for lists")
        assert text(browser, "recall") == "Waiting for evaluations"

        topics.send(output, [list_of("196", "242")] * 500)
        eventually(browser, "lists", lambda shown: shown == "500")
        eventually(browser, "rate", lambda shown: shown.endswith("lists a second"))

        figures = Figures(10, 200)
        for record in evaluations(900, "mf"):
            figures.add(record)
        topics.send(evals, map(encode_evaluation, evaluations(900, "mf")))
        expected = (
            f"Recall@10: mf {figures.recent.model.recall:.3f},"
            f" most popular {figures.recent.popular.recall:.3f}"
        )
        eventually(browser, "recall", lambda shown: shown == expected)
        assert len(inked(browser)) == 2
        assert min(inked(browser)) > 1000

        letter = DeadLetter(f"ratings-0-7{EVIL}", "parse", f"empty {EVIL}", EVIL.encode())
        send_letters(topics, dead, [letter])
        eventually(browser, "dead", lambda shown: shown == "1 dead letter")
        assert f"empty {EVIL}" in text(browser, "letters")

        ask(browser, "196")
        eventually(browser, "answer", lambda shown: "Kolya 242" in shown)
        topics.send(output, [list_of("196", "50")])
        eventually(browser, "lists", lambda shown: shown == "501")
        ask(browser, "196")
        eventually(browser, "answer", lambda shown: EVIL in shown)
        ask(browser, "nobody")
        eventually(browser, "answer", lambda shown: "no recommendation for user nobody" in shown)

        assert browser.find_elements(By.TAG_NAME, "img") == []
        outside = [one for one in requested(browser) if not one.startswith((address, "data:"))]
        assert outside == []
        # That there is no list is an answer of 404, which the console has too.
        assert [one for one in complaints(browser) if "404" not in one] == []
    assert topics.count(output) == 501


def test_the_page_asks_through_the_request_topic(topics: Topics) -> None:
    asks, output = topics.create(), topics.create()
    arguments = ("--output_topic", output, "--request_topic", asks)
    with serving(topics, *arguments) as address, browsing() as browser:
        browser.get(address)
        ask(browser, "196")
        wait_until(lambda: topics.count(asks) == 1)
        [request] = topics.read(asks)
        assert json.loads(request.value) == {"user": "196"}
        origin = f"{asks}-0-{request.offset}"
        answer = Recommendation("196", [ScoredItem("i1", 0.5)], 1.0, origin, "popular")
        topics.send(output, [encode_recommendation(answer)])
        eventually(browser, "answer", lambda shown: f"origin {origin}" in shown)
        assert "does not know user 196. Shown instead: the most popular" in text(browser, "answer")

        ask(browser, "197")
        eventually(browser, "answer", lambda shown: "no answer in 10 s: is the job run" in shown)


def test_the_page_beside_the_job(topics: Topics, tmp_path: Path) -> None:
    ratings, output, evals = topics.create(), topics.create(), topics.create()
    dead, asks = topics.create(), topics.create()
    topics.send_ratings(ratings, movielens_like(2000))
    topics.send(ratings, [b"what is this"])
    shared = (
        *("--output_topic", output, "--evaluation_topic", evals),
        *("--request_topic", asks, "--dead_letter_topic", dead),
    )
    job = (
        *("--runner=DirectRunner", "--kafka_bootstrap_servers", topics.settings.bootstrap_servers),
        *("--input_topic", ratings, *shared),
    )
    log = tmp_path / "job.log"
    with (
        running(log, *job) as process,
        serving(topics, *shared, "--window", 200) as address,
        browsing() as browser,
    ):
        browser.get(address)
        wait_until(lambda: topics.count(evals) > 0 or process.poll() is not None)
        assert process.poll() is None, log.read_text()
        eventually(browser, "recall", lambda shown: shown.startswith("Recall@10: itemknn 0."))
        eventually(browser, "dead", lambda shown: shown == "1 dead letter")
        positives = topics.count(evals)
        eventually(browser, "lists", lambda shown: shown == f"{positives:,}")

        user = movielens_like(2000)[0].user
        ask(browser, user)
        eventually(browser, "answer", lambda shown: f"origin {asks}-0-0" in shown)
        assert text(browser, "answer").startswith(f"User {user}\n")
        assert len(browser.find_elements(By.CSS_SELECTOR, "#answer li")) == 10

        ask(browser, "a stranger")
        eventually(browser, "answer", lambda shown: "does not know user a stranger" in shown)

        before = text(browser, "lists")
        topics.send_ratings(ratings, movielens_like(100, seed=2))
        eventually(browser, "lists", lambda shown: shown != before)
