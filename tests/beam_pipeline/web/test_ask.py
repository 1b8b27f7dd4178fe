from __future__ import annotations

import json
import threading
from collections.abc import Iterator

import pytest

from beam_pipeline.web.ask import Asker, NoListError
from beam_pipeline.web.follow import Follower, Topics
from beam_pipeline.web.live import Live
from tests import support
from tests.support import wait_until
from transforms.errors import KafkaSetupError
from transforms.formats.json_lines import encode_recommendation
from transforms.formats.records import Recommendation, ScoredItem
from transforms.kafka.clients.factory import KafkaSettings

NOWHERE = KafkaSettings("127.0.0.1:1")


def value_of(user: str, origin: str) -> bytes:
    return encode_recommendation(Recommendation(user, [ScoredItem("i", 0.5)], 1.0, origin))


def test_without_a_request_topic_it_is_the_last_list_seen() -> None:
    live = Live()
    asker = Asker(NOWHERE, "", live)
    with pytest.raises(NoListError, match="no recommendation for user 196 has been seen"):
        asker.list_of("196")
    live.add_list("196", "o", value_of("196", "o"), 0.0)
    found, seconds = asker.list_of("196")
    assert (found.user, found.origin, seconds) == ("196", "o", None)
    asker.close()


def test_a_list_that_can_not_be_read_is_said() -> None:
    live = Live()
    live.add_list("196", "o", b"{", 0.0)
    with pytest.raises(NoListError, match="the recommendation of user 196 cannot be decoded"):
        Asker(NOWHERE, "", live).list_of("196")


def test_a_missing_request_topic_is_said(topics: support.Topics) -> None:
    with pytest.raises(KafkaSetupError, match="'not-there' does not exist"):
        Asker(topics.settings, "not-there", Live())


@pytest.fixture
def asking(topics: support.Topics) -> Iterator[tuple[Asker, str, str]]:
    asks, output = topics.create(2), topics.create()
    live = Live(asking=f"{asks}-")
    follower = Follower(topics.settings, Topics(output), live)
    follower.start()
    asker = Asker(topics.settings, asks, live, seconds=3.0)
    yield asker, asks, output
    asker.close()
    follower.stop()


def test_the_answer_is_the_list_whose_origin_is_the_requests(
    topics: support.Topics, asking: tuple[Asker, str, str]
) -> None:
    asker, asks, output = asking
    answers = []
    asked = threading.Thread(target=lambda: answers.append(asker.list_of("196")))
    asked.start()
    wait_until(lambda: topics.count(asks) == 1)
    [request] = topics.read(asks)
    assert json.loads(request.value) == {"user": "196"}
    assert request.key == b"196"
    origin = f"{asks}-{request.partition}-{request.offset}"
    topics.send(output, [value_of("196", f"{asks}-0-99"), value_of("196", origin)])
    asked.join()
    [(found, seconds)] = answers
    assert found.origin == origin
    assert seconds is not None


def test_no_answer_is_said(asking: tuple[Asker, str, str]) -> None:
    asker, asks, _ = asking
    with pytest.raises(NoListError, match=rf"no answer in 3 s: .*--request_topic {asks}"):
        asker.list_of("196")
