"""Ratings a second, ours and the rivals', in one run and in turn.

    python -m benchmarks.against_rivals --rounds 3 --output build/rivals

starts a broker, fills topics with ratings of MovieLens' shape as the blog post's JSON, and gives
them to each program in turn: learn each rating of 3 or more, and send the user's top-10 (`list`)
or not (`learn`). A program has one core, the broker the other; each has an environment of its
own. What counts is in `measure.py`. Writes a table and a plot, with the machine and versions.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import orjson

from benchmarks.measure import (
    MARK,
    File,
    Topic,
    add_flink_flag,
    rate_from_file,
    rate_from_topic,
)
from benchmarks.programs import (
    LEARN,
    LIST,
    PROGRAMS,
    environment_of,
    is_available,
    versions_of,
)
from benchmarks.report import plot, table
from benchmarks.rivals.flurs_loop import MIN_RATING
from cluster.broker import Broker
from transforms.kafka.clients.factory import KafkaSettings, producer, require_topics
from transforms.kafka.clients.protocols import Message

_USERS: Final = 943
_ITEMS: Final = 1682
_SHARES: Final = (0.061, 0.114, 0.271, 0.342, 0.212)
_SHORT: Final = 2_000
_MOVIELENS: Final = Path("data/ml-100k/u.data")
_WARM: Final = 0.2
_QUESTIONS: Final = {
    "topic-list": "topic to topic, a list for each learned rating",
    "topic-list-8": "the same from a topic of eight partitions",
    "topic-learn": "from a topic, learning only",
    "file-list": "file to file, a list for each learned rating",
}

Row = Sequence[int]


def movielens_like(count: int) -> list[Row]:
    """Returns user, item, rating, time with MovieLens 100K's counts of users, items and values."""
    random = np.random.default_rng(0)
    weights = 1 / np.arange(10, _ITEMS + 10)
    items = random.choice(_ITEMS, count, p=weights / weights.sum()) + 1
    users = random.integers(1, _USERS + 1, count)
    values = random.choice(5, count, p=_SHARES) + 1
    times = np.arange(881_250_949, 881_250_949 + count)
    return list(zip(users.tolist(), items.tolist(), values.tolist(), times.tolist(), strict=True))


def fill(settings: KafkaSettings, topic: str, rows: Sequence[Row], partitions: int = 1) -> None:
    """Sends ratings to a new topic as the blog post does."""
    _send(settings, topic, map(message, rows), partitions)


def message(row: Row) -> Message:
    """Returns a rating as the blog post sends it, with its user as the key."""
    user, item, value, time = row
    rating = {"user": user, "item": item, "rating": float(value), "timestamp": time}
    return Message(b"%d" % user, orjson.dumps(rating))


def _send(
    settings: KafkaSettings, topic: str, messages: Iterable[Message], partitions: int = 1
) -> None:
    require_topics(settings, {topic: partitions}, create=True)
    client = producer(settings)
    sender = client.sender(topic)
    sender.send(messages)
    sender.flush()
    client.close()


def _topic_with_lists(broker: str, count: int, partitions: int = 1) -> Topic:
    rows = movielens_like(count)
    name = f"list-{partitions}"
    fill(KafkaSettings(broker), name, rows, partitions)
    lists = sum(row[2] >= MIN_RATING for row in rows)
    warm = int(lists * _WARM)
    return Topic(broker, name, lists, warm, round((lists - 1 - warm) / lists * count))


def _topic_with_marks(broker: str, count: int) -> Topic:
    messages = [message(row) for row in movielens_like(count)]
    mark = Message(b"", MARK)
    warm = int(count * _WARM)
    _send(KafkaSettings(broker), "learn", [*messages[:warm], mark, *messages[warm:], mark])
    return Topic(broker, "learn", 2, 0, count - warm)


def _file(folder: Path, count: int) -> File:
    """MovieLens 100K itself, where it is."""
    if _MOVIELENS.exists():
        lines = _MOVIELENS.read_text(encoding="utf-8").splitlines(keepends=True)
    else:
        lines = ["\t".join(map(str, row)) + "\n" for row in movielens_like(count)]
    (folder / "whole").write_text("".join(lines), encoding="utf-8")
    (folder / "start").write_text("".join(lines[:_SHORT]), encoding="utf-8")
    return File(folder / "whole", len(lines), folder / "start", _SHORT)


class _Turn(NamedTuple):
    number: int
    question: str
    name: str


def _turns(questions: Sequence[str], names: Sequence[str], rounds: int) -> Iterator[_Turn]:
    """Every program that can answers each question once a round, in turn."""
    for number in range(1, rounds + 1):
        for question in questions:
            of_topic = question.startswith("topic")
            for name in names:
                if (PROGRAMS[name].kind == "topic") == of_topic:
                    yield _Turn(number, question, name)


def _machine() -> str:
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        names = [line.split(":")[1].strip() for line in file if line.startswith("model name")]
    processor = names[0] if names else platform.machine()
    day = datetime.datetime.now(datetime.UTC).date()
    return f"{day}, {processor}, {os.cpu_count()} cores, CPython {platform.python_version()}"


def main(argv: Sequence[str]) -> int:
    """Measures, prints a table for each question, and writes tables and plot; 1 if one failed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=tuple(PROGRAMS), default=tuple(PROGRAMS))
    parser.add_argument(
        "--questions", nargs="+", choices=tuple(_QUESTIONS), default=tuple(_QUESTIONS)
    )
    parser.add_argument("--ratings", type=int, default=100_000, help="of the topic with lists")
    parser.add_argument("--learn_ratings", type=int, default=400_000, help="of the other topic")
    parser.add_argument("--output", type=Path, default=Path("build/rivals"), help="a folder")
    add_flink_flag(parser)
    given = parser.parse_args(argv)
    for name in given.only:
        if not is_available(name):
            print(f"{name} is left out: cargo is not installed", file=sys.stderr)
    given.only = tuple(filter(is_available, given.only))
    pythons = {name: environment_of(name, PROGRAMS[name]) for name in given.only}
    rates: dict[tuple[str, str], list[float]] = {}
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        broker = Broker(Path(folder) / "kafka")
        broker.start()
        try:
            topics = {
                "topic-list": _topic_with_lists(broker.address, given.ratings),
                "topic-list-8": _topic_with_lists(broker.address, given.ratings, partitions=8),
                "topic-learn": _topic_with_marks(broker.address, given.learn_ratings),
            }
            file = _file(Path(folder), given.ratings)
            for turn in _turns(given.questions, given.only, given.rounds):
                program, python = PROGRAMS[turn.name], pythons[turn.name]
                try:
                    if turn.question in topics:
                        mode = LEARN if turn.question == "topic-learn" else LIST
                        topic = topics[turn.question]
                        found = rate_from_topic(program, python, mode, topic, dict(given.flink))
                    else:
                        found = rate_from_file(program, python, file)
                except RuntimeError as e:
                    failed += 1
                    print(f"{turn.question}: {turn.name} failed: {e}", file=sys.stderr)
                    continue
                rates.setdefault((turn.question, turn.name), []).append(found)
                print(
                    f"round {turn.number}, {turn.question}: {turn.name} {found:,.0f} ratings/s",
                    file=sys.stderr,
                )
        finally:
            broker.stop()
    _write_report(given, rates)
    return 1 if failed else 0


def _write_report(given: argparse.Namespace, rates: dict[tuple[str, str], list[float]]) -> None:
    machine = f"{_machine()}; {given.rounds} rounds, medians"
    lines = [machine, ""]
    for question in given.questions:
        lines += [f"**{_QUESTIONS[question]}**", "", table(rates, question), ""]
    lines += [f"- {name}: {versions_of(name, PROGRAMS[name])}" for name in given.only]
    given.output.mkdir(parents=True, exist_ok=True)
    text = "\n".join(lines) + "\n"
    (given.output / "rivals.md").write_text(text, encoding="utf-8")
    titles = {question: _QUESTIONS[question] for question in given.questions}
    plot(rates, titles, machine, given.output / "rivals.svg")
    print(text)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
