from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest
import requests
import uvicorn

from beam_pipeline.web.app import application
from beam_pipeline.web.ask import Asker
from beam_pipeline.web.follow import Topics
from beam_pipeline.web.live import Live
from tests.support import wait_until
from transforms.formats.json_lines import encode_recommendation
from transforms.formats.records import Recommendation, ScoredItem
from transforms.kafka.clients.factory import KafkaSettings

JSON = {"content-type": "application/json"}


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    live = Live()
    scored = [ScoredItem("242", 0.5), ScoredItem("50", 0.25)]
    value = encode_recommendation(Recommendation("196", scored, 881.0, "u.data:1"))
    live.add_list("196", "u.data:1", value, 0.0)
    asker = Asker(KafkaSettings("127.0.0.1:1"), "", live)
    topics = Topics("<b>lists</b>", "evals")
    app = application(live, asker, topics, {"242": "Kolya"}, ["127.0.0.1", "localhost"])
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        wait_until(lambda: server.started)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join()


def test_the_page_and_all_that_it_names_are_served(address: str) -> None:
    page = requests.get(address, timeout=10)
    assert page.status_code == 200
    assert "&lt;b&gt;lists&lt;/b&gt;" in page.text
    assert "evaluations of <b>evals</b>" in page.text
    for name in ("uPlot.min.css", "page.css", "uPlot.iife.min.js", "charts.js", "dashboard.js"):
        assert f'"/static/{name}"' in page.text
        assert requests.get(f"{address}/static/{name}", timeout=10).status_code == 200


def test_nothing_may_come_from_elsewhere(address: str) -> None:
    for path in ("/", "/state", "/static/page.css", "/not-there"):
        headers = requests.get(address + path, timeout=10).headers
        assert headers["content-security-policy"].startswith("default-src 'none'")
        assert "access-control-allow-origin" not in headers


def test_the_state_is_what_is_known(address: str) -> None:
    state = requests.get(f"{address}/state", timeout=10).json()
    assert (state["lists"], state["users"]) == (1, ["196"])


def test_a_list_has_titles(address: str) -> None:
    answer = requests.post(f"{address}/list", json={"user": "196"}, timeout=10)
    assert answer.json() == {
        "user": "196",
        "items": [
            {"item": "242", "title": "Kolya", "score": 0.5},
            {"item": "50", "title": "", "score": 0.25},
        ],
        "timestamp": 881.0,
        "origin": "u.data:1",
        "fallback": "",
        "seconds": None,
    }


def test_no_list_is_an_error_with_its_reason(address: str) -> None:
    answer = requests.post(f"{address}/list", json={"user": "nobody"}, timeout=10)
    assert answer.status_code == 404
    assert "no recommendation for user nobody" in answer.json()["error"]


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "10.0.0.1:8089"])
def test_another_host_is_refused(address: str, host: str) -> None:
    for path in ("/", "/state", "/static/page.css"):
        answer = requests.get(address + path, headers={"host": host}, timeout=10)
        assert answer.status_code == 400


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_what_a_foreign_form_can_send_is_refused(address: str, kind: str) -> None:
    headers = {"content-type": kind}
    answer = requests.post(f"{address}/list", b'{"user": "196"}', headers=headers, timeout=10)
    assert answer.status_code == 415


def test_a_foreign_page_gets_no_permission(address: str) -> None:
    headers = {
        "origin": "http://evil.example",
        "access-control-request-method": "POST",
        "access-control-request-headers": "content-type",
    }
    answer = requests.options(f"{address}/list", headers=headers, timeout=10)
    assert answer.status_code == 405
    assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b'{"user": 196}',
        b'{"user": ""}',
        b'{"user": "' + b"x" * 1001 + b'"}',
        b'{"user": "196", "more": "' + b"x" * 100_000 + b'"}',
    ],
)
def test_what_names_no_user_is_refused(address: str, body: bytes) -> None:
    answer = requests.post(f"{address}/list", body, headers=JSON, timeout=10)
    assert answer.status_code == 400
    assert "expected a user" in answer.json()["error"]


@pytest.mark.parametrize("path", ["/static/../pages.py", "/static/%2e%2e/pages.py", "/static/"])
def test_nothing_else_is_served(address: str, path: str) -> None:
    request = requests.Request("GET", address).prepare()
    request.url = address + path
    assert requests.Session().send(request, timeout=10).status_code in {404, 405}
