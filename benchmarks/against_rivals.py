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
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import orjson

from benchmarks.measure import Input, rate
from benchmarks.programs import PROGRAMS, environment_of, versions_of
from benchmarks.report import plot, table
from cluster.broker import Broker
from transforms.kafka.client import KafkaSettings, producer, require_topics
from transforms.kafka.protocols import Message

_USERS: Final = 943
_ITEMS: Final = 1682
_SHARES: Final = (0.061, 0.114, 0.271, 0.342, 0.212)
_SHORT: Final = 2_000
_MOVIELENS: Final = Path("data/ml-100k/u.data")
_QUESTIONS: Final = {
    "topic-list": "topic to topic, a list for each learned rating",
    "topic-learn": "from a topic, learning only",
    "file-list": "file to file, a list for each learned rating",
    "file-learn": "from a file, learning only",
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


def fill(settings: KafkaSettings, topic: str, rows: Sequence[Row]) -> None:
    """Sends ratings to a new topic as the blog post does."""
    require_topics(settings, {topic: 1}, create=True)
    client = producer(settings)
    sender = client.sender(topic)
    sender.send(
        Message(
            b"%d" % user,
            orjson.dumps({"user": user, "item": item, "rating": float(value), "timestamp": time}),
        )
        for user, item, value, time in rows
    )
    sender.flush()
    client.close()


def _write(path: Path, rows: Sequence[Row]) -> None:
    path.write_text("".join("\t".join(map(str, row)) + "\n" for row in rows), encoding="utf-8")


def _inputs(broker: str, folder: Path, count: int, learn_count: int) -> dict[str, Input]:
    """By question; for files MovieLens 100K itself, where it is."""
    settings = KafkaSettings(broker)
    rows = movielens_like(max(count, learn_count))
    for name, number in (("long", count), ("longer", learn_count), ("short", _SHORT)):
        fill(settings, name, rows[:number])
    lines = _movielens() or rows[:count]
    _write(folder / "long", lines)
    _write(folder / "short", lines[:_SHORT])
    lists = sum(row[2] >= 3 for row in rows[:count])
    listed = Input(broker, ("long", count), ("short", _SHORT), lists, folder)
    learned = listed._replace(long=("longer", learn_count))
    file = listed._replace(long=("long", len(lines)))
    return dict(zip(_QUESTIONS, (listed, learned, file, file), strict=True))


def _movielens() -> list[Row]:
    if not _MOVIELENS.exists():
        return []
    lines = _MOVIELENS.read_text(encoding="utf-8").splitlines()
    return [[int(field) for field in line.split("\t")] for line in lines]


class _Turn(NamedTuple):
    number: int
    question: str
    mode: str
    name: str


def _turns(questions: Sequence[str], names: Sequence[str], rounds: int) -> Iterator[_Turn]:
    """Every program answers each question once a round, in the order of the table."""
    for number in range(1, rounds + 1):
        for question in questions:
            kind, mode = question.split("-")
            for name in names:
                if PROGRAMS[name].kind == kind or (PROGRAMS[name].kind, kind) == ("memory", "file"):
                    yield _Turn(number, question, mode, name)


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
    given = parser.parse_args(argv)
    pythons = {name: environment_of(name, PROGRAMS[name]) for name in given.only}
    rates: dict[tuple[str, str], list[float]] = {}
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        broker = Broker(Path(folder) / "kafka")
        broker.start()
        try:
            inputs = _inputs(broker.address, Path(folder), given.ratings, given.learn_ratings)
            for turn in _turns(given.questions, given.only, given.rounds):
                program, python = PROGRAMS[turn.name], pythons[turn.name]
                try:
                    found = rate(turn.name, program, python, turn.mode, inputs[turn.question])
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
