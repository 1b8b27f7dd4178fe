from __future__ import annotations

from pathlib import Path

import pytest

from beam_pipeline import replay
from cluster.broker import Broker
from tests.letters import send_letters
from tests.support import Topics
from transforms.formats.dead_letters import encode_dead_letter, letter_headers
from transforms.formats.records import DeadLetter, Header
from transforms.kafka.clients.factory import CLIENTS, KafkaSettings, producer
from transforms.kafka.clients.protocols import Message

TRACE = Header("traceparent", b"00-1")
LETTERS = [
    DeadLetter("r-0-1", "parse", "rating is missing", b'{"user":1}', b"k", (TRACE,), 881250949.5),
    DeadLetter("r-0-2", "parse", "invalid JSON: at 7", b"{", None),
    DeadLetter("r-0-3", "write", "too large", b"a list", b"196"),
    DeadLetter("r-0-4", "read", "5 offset(s) from here on were deleted", b""),
    DeadLetter("r-0-5", "parse", "invalid JSON: at 9", b"", b"empty"),
]


@pytest.fixture(params=CLIENTS)
def topics(broker: Broker, request: pytest.FixtureRequest) -> Topics:
    return Topics(KafkaSettings(broker.address, client=request.param))


def replayed(topics: Topics, source: str, to: str, *more: str) -> int:
    broker = topics.settings.bootstrap_servers
    return replay.main(
        [
            *(f"--from_topic={source}", f"--to_topic={to}", f"--kafka_bootstrap_servers={broker}"),
            *(f"--kafka_client={topics.settings.client}", *more),
        ]
    )


def test_records_come_back_as_they_were(topics: Topics, capsys: pytest.CaptureFixture[str]) -> None:
    dead, to = topics.create(), topics.create()
    send_letters(topics, dead, LETTERS)
    assert replayed(topics, dead, to) == 0
    first, second, third = topics.read(to)
    assert (first.key, first.value, first.timestamp) == (b"k", b'{"user":1}', 881250949500)
    assert first.headers == [TRACE]
    assert (second.key, second.value, second.headers) == (None, b"{", [])
    assert (third.key, third.value) == (b"empty", b"")
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == "read=5 sent=3 other=2 cut=0 refused=0 unreadable=0"


@pytest.mark.parametrize(
    ("flags", "values"),
    [
        (["--reason=JSON: at [7]"], [b"{"]),
        (["--reason=^rating is"], [b'{"user":1}']),
        (["--stage=write"], [b"a list"]),
        (["--stage=write", "--reason=JSON"], []),
        (["--dry_run"], []),
    ],
)
def test_what_is_sent_is_chosen(topics: Topics, flags: list[str], values: list[bytes]) -> None:
    dead, to = topics.create(), topics.create()
    send_letters(topics, dead, LETTERS)
    assert replayed(topics, dead, to, *flags) == 0
    assert [record.value for record in topics.read(to)] == values


def test_a_letter_that_was_cut_is_not_sent(
    topics: Topics, capsys: pytest.CaptureFixture[str]
) -> None:
    dead, to = topics.create(partitions=3), topics.create()
    client = producer(topics.settings)
    sender = client.sender(dead)
    sender.send([Message(b"k", b"abc", "", letter_headers(LETTERS[0], 3_000_000))])
    sender.send([Message(b"k", b"no letter")])
    sender.flush()
    client.close()
    send_letters(topics, dead, LETTERS)
    assert replayed(topics, dead, to) == 1
    assert topics.count(to) == 3
    *problems, last = capsys.readouterr().err.splitlines()
    assert "not sent: r-0-1: only 3 of 3000000 bytes were kept" in problems
    assert any("not a dead letter" in problem for problem in problems)
    assert last == "read=7 sent=3 other=2 cut=1 refused=0 unreadable=1"


def test_what_the_topic_refuses_is_counted(
    topics: Topics, capsys: pytest.CaptureFixture[str]
) -> None:
    dead, to = topics.create(), topics.create(max_message_bytes="5000")
    send_letters(topics, dead, [*LETTERS, LETTERS[0]._replace(value=b"x" * 6000)])
    assert replayed(topics, dead, to) == 1
    assert "read=6 sent=3 other=2 cut=0 refused=1" in capsys.readouterr().err
    assert topics.count(to) >= 3


def test_letters_come_from_files_too(
    topics: Topics, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    to = topics.create()
    lines = [encode_dead_letter(letter) for letter in LETTERS]
    (tmp_path / "1.jsonl").write_bytes(b"\n".join([*lines[:2], b"{}", b""]))
    (tmp_path / "2.jsonl").write_bytes(b"\n".join(lines[2:]))
    broker = topics.settings.bootstrap_servers
    code = replay.main(
        [
            *("--from_file", str(tmp_path / "*.jsonl"), "--to_topic", to),
            *("--kafka_bootstrap_servers", broker, "--kafka_client", topics.settings.client),
        ]
    )
    assert code == 1
    first, *rest = topics.read(to)
    assert (first.key, first.value, first.timestamp) == (b"k", b'{"user":1}', 881250949500)
    assert first.headers == [TRACE]
    assert [record.value for record in rest] == [b"{", b""]
    err = capsys.readouterr().err
    assert "not sent: 1.jsonl:3: not a dead letter" in err
    assert err.splitlines()[-1] == "read=6 sent=3 other=2 cut=0 refused=0 unreadable=1"


@pytest.mark.parametrize(
    ("flags", "code", "said"),
    [
        (["--from_topic=a", "--to_topic=a"], 2, "are both a"),
        (["--from_topic=a", "--to_topic=b", "--reason=("], 2, "is no regular expression"),
        (["--to_topic=b"], 2, "one of the arguments --from_topic --from_file is required"),
        (["--from_topic=a", "--to_topic=not-there"], 1, "'not-there' does not exist"),
        (["--from_file=/not/there", "--to_topic=b"], 1, "no file matches"),
    ],
)
def test_what_is_wrong_is_one_line(
    broker: Broker,
    flags: list[str],
    code: int,
    said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    topics = Topics(KafkaSettings(broker.address))
    flags = [flag.replace("=b", f"={topics.create()}") for flag in flags]
    assert replay.main([*flags, "--kafka_bootstrap_servers", broker.address]) == code
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
