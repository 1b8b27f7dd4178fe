"""What several tests need: MovieLens-shaped ratings, a broker's topics, the program's runs."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient

from tests import processes
from tests.canary import require_hidden
from transforms.batches import RatingBatch, RawBatch
from transforms.errors import MalformedRecordError
from transforms.formats.detection import JSON, RecordFormat
from transforms.formats.json_lines import encode_rating
from transforms.formats.mapping import RecordMapping
from transforms.formats.record_reader import RecordReader
from transforms.formats.records import Features, Rating, ScoredItem
from transforms.kafka.clients.factory import KafkaSettings, require_topics
from transforms.kafka.clients.kafka_python import configuration
from transforms.recommenders.arrays import Arrays
from transforms.recommenders.hashing import Block, block_of
from transforms.recommenders.recommender import Recommender
from transforms.recommenders.registry import RecommenderSpec
from transforms.sharding.keys import by_user_shard

ROOT = Path(__file__).resolve().parent.parent
_NUMBERS = itertools.count()
_PATIENCE = float(os.environ.get("FLURS_BEAM_PATIENCE", "5"))


def patience(seconds: float) -> float:
    """How long to wait for what takes so many seconds at most on a fast and idle machine.

    Tests wait for conditions; this only says when a condition will never hold. The environment
    variable `FLURS_BEAM_PATIENCE` multiplies it, for a machine that is slower still.
    """
    return seconds * _PATIENCE


def movielens_like(count: int, users: int = 60, items: int = 120, seed: int = 1) -> list[Rating]:
    """Ratings with popular and rare items, repeats, and times that jump back."""
    random = np.random.default_rng(seed)
    weights = 1 / np.arange(1, items + 1)
    drawn = random.choice(items, size=count, p=weights / weights.sum()).tolist()
    whom = random.integers(users, size=count).tolist()
    values = random.integers(1, 6, size=count).tolist()
    times = (random.integers(0, 1_000_000, size=count) + 874_724_710).tolist()
    return [
        Rating(str(user + 1), str(item + 1), float(value), float(time), f"u.data:{line}")
        for line, (user, item, value, time) in enumerate(
            zip(whom, drawn, values, times, strict=True), start=1
        )
    ]


def read_rating(
    value: bytes,
    record_format: RecordFormat = JSON,
    mapping: RecordMapping | None = None,
    origin: str = "o",
) -> Rating:
    """The one rating that is in a record.

    Raises:
        MalformedRecordError: It is none.
    """
    batch = RawBatch(origin, [0], [value], record_format)
    found = RecordReader(mapping).read(batch)
    for unusable in found.unusable:
        raise MalformedRecordError(unusable.reason)
    (rating,) = found.ratings
    return rating._replace(origin=origin)


def features_of(rating: Rating) -> Features:
    """The features of a rating that has some."""
    assert rating.features is not None
    return rating.features


def shards_of(ratings: list[Rating], user_blocks: int) -> dict[tuple[int, int], Sequence[Rating]]:
    """The ratings that each model shard learns where items are not sharded."""
    parts = by_user_shard(RatingBatch(ratings), user_blocks)
    return {(shard, 0): batch.ratings for shard, batch in parts.items()}


class ModelShards:
    """All model shards in a plain loop: what the pipeline has to come to."""

    def __init__(self, spec: RecommenderSpec, user_shards: int, item_shards: int) -> None:
        self.shards = {
            (user_shard, item_shard): spec.build(Block(item_shard, item_shards))
            for user_shard in range(user_shards)
            for item_shard in range(item_shards)
        }
        self.shape = (user_shards, item_shards)

    def shards_of_user(self, user: str) -> list[Recommender]:
        """The item shards that know the user."""
        user_shard = block_of(user, self.shape[0])
        return [self.shards[user_shard, item_shard] for item_shard in range(self.shape[1])]

    def update(self, rating: Rating) -> None:
        """Learns one positive."""
        for shard in self.shards_of_user(rating.user):
            shard.update(rating)

    def recommend(self, user: str, n: int) -> list[ScoredItem]:
        """The user's best items of all, of equals the one of the earlier shard."""
        listed = [item for shard in self.shards_of_user(user) for item in shard.recommend(user, n)]
        return sorted(listed, key=lambda item: -item.score)[:n]


def answer(user: str, items: list[ScoredItem], timestamp: float, origin: str) -> dict[str, Any]:
    """A list as the program writes it."""
    listed = [{"item": item, "score": score} for item, score in items]
    return {"user": user, "items": listed, "timestamp": timestamp, "origin": origin}


def tab_lines(ratings: Iterable[Rating]) -> str:
    """The ratings as MovieLens 100K's u.data has them."""
    return "".join(f"{r.user}\t{r.item}\t{r.rating:.0f}\t{r.timestamp:.0f}\n" for r in ratings)


def same_arrays(first: Arrays, second: Arrays) -> bool:
    """Whether two state dicts are the same to the bit."""
    return list(first) == list(second) and all(
        first[name].dtype == second[name].dtype
        and first[name].shape == second[name].shape
        and first[name].tobytes() == second[name].tobytes()
        for name in first
    )


def counts(result: Any) -> dict[str, int]:
    """A run's counters by name."""
    found: dict[str, int] = {}
    for metric in result.metrics().query()["counters"]:
        if metric.key.metric.namespace == "flurs_beam":
            value = metric.attempted if metric.committed is None else metric.committed
            found[metric.key.metric.name] = found.get(metric.key.metric.name, 0) + value
    return found


def prism_arguments() -> list[str]:
    """Where Prism is, if it was built here; else Beam downloads it."""
    binary = ROOT / ".cache" / f"prism-{beam.__version__}" / "prism"
    location = [f"--prism_location={binary}"] if binary.exists() else []
    # Beam would reuse the server that a DirectRunner before this one failed to start.
    return [*location, "--experiments=disable_prism_server_singleton"]


RUNNERS = {
    "FnApiRunner": lambda: ["--runner=FnApiRunner"],
    "Prism": lambda: ["--runner=PrismRunner", *prism_arguments()],
}


@dataclass(frozen=True)
class Finished:
    """A run of the program that has ended."""

    code: int
    out: str
    err: str

    @property
    def summary(self) -> dict[str, int]:
        """The last line of standard error."""
        pairs = (pair.split("=") for pair in self.err.splitlines()[-1].split())
        return {name: int(value) for name, value in pairs}


def command(arguments: Sequence[object], module: str = "beam_pipeline") -> list[str]:
    """The program's command line."""
    return [sys.executable, "-m", module, *map(str, arguments)]


def environment() -> dict[str, str]:
    """One thread for linear algebra, as the tests' machines are small."""
    return {**os.environ, "OPENBLAS_NUM_THREADS": "1"}


def run(*arguments: object, module: str = "beam_pipeline", timeout: float = 120) -> Finished:
    """Runs the program to its end."""
    process = processes.start(
        command(arguments, module),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    try:
        out, err = process.communicate(timeout=patience(timeout))
    finally:
        processes.kill(process)
    require_hidden(out + err, "the program")
    return Finished(process.returncode, out, err)


@contextlib.contextmanager
def running(
    log: Path, *arguments: object, module: str = "beam_pipeline"
) -> Iterator[subprocess.Popen[bytes]]:
    """The program in the background; ended at the end if it has not ended itself."""
    with log.open("wb") as file:
        process = processes.start(
            command(arguments, module), stdout=file, stderr=subprocess.STDOUT, env=environment()
        )
    try:
        yield process
    finally:
        # Not killed at once, as it may have a job server to take down.
        processes.end(process, patience(30))
        require_hidden(log.read_text(errors="replace"), "the program")


def wait_until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    """Returns as soon as the condition holds; fails if it does not after `patience(seconds)`."""
    deadline = time.monotonic() + patience(seconds)
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.1)


@dataclass
class Topics:
    """A broker's topics, for one test."""

    settings: KafkaSettings

    def _client(self, client: type[Any]) -> dict[str, Any]:
        """What a client of kafka-python takes, whichever client is under test."""
        known = configuration(client, self.settings.resolve())
        return {"bootstrap_servers": self.settings.bootstrap_servers, **known}

    def create(self, partitions: int = 1, **config: str) -> str:
        """Returns the name of a new topic; its settings have `_` for each dot."""
        name = f"topic-{os.getpid()}-{next(_NUMBERS)}"
        self.create_again(name, partitions, **config)
        return name

    def create_again(self, name: str, partitions: int = 1, **config: str) -> None:
        """Creates a topic of this name."""
        with self._admin() as admin:
            configs = {key.replace("_", "."): value for key, value in config.items()}
            admin.create_topics({name: {"num_partitions": partitions, "configs": configs}})
        require_topics(self.settings, {name: partitions}, create=True)

    def add_partitions(self, name: str, count: int) -> None:
        """Makes a topic have so many partitions."""
        with self._admin() as admin:
            admin.create_partitions({name: count})

    def delete(self, name: str) -> None:
        """Deletes a topic."""
        with self._admin() as admin:
            admin.delete_topics([name])

    def delete_records(self, name: str, before: int, partition: int = 0) -> None:
        """Deletes the records of a partition that stand before an offset."""
        with self._admin() as admin:
            admin.delete_records({TopicPartition(name, partition): before})

    @contextlib.contextmanager
    def _admin(self) -> Iterator[KafkaAdminClient]:
        admin = KafkaAdminClient(**self._client(KafkaAdminClient))
        try:
            yield admin
        finally:
            admin.close()

    def send(
        self, topic: str, values: Iterable[bytes | None], partition: int | None = None
    ) -> None:
        """Sends values in order, and waits for them."""
        client = KafkaProducer(**self._client(KafkaProducer), max_request_size=64 << 20)
        sent = [client.send(topic, value, b"key", partition=partition) for value in values]
        for future in sent:
            future.get(timeout=patience(30))
        client.close()

    def send_ratings(
        self, topic: str, ratings: Iterable[Rating], partition: int | None = None
    ) -> None:
        """Sends ratings as JSON."""
        self.send(topic, map(encode_rating, ratings), partition)

    def read(self, topic: str) -> list[Any]:
        """Returns all of a topic's records, of all partitions."""
        client = KafkaConsumer(**self._client(KafkaConsumer), isolation_level="read_committed")
        partitions = [TopicPartition(topic, p) for p in client.partitions_for_topic(topic)]
        end = client.end_offsets(partitions)
        client.assign(partitions)
        client.seek_to_beginning(*partitions)
        records: list[Any] = []
        while any(client.position(partition) < end[partition] for partition in partitions):
            for polled in client.poll(200).values():
                records.extend(polled)
        client.close()
        return records

    def read_json(self, topic: str) -> list[dict[str, Any]]:
        """Returns all of a topic's records, decoded."""
        return [json.loads(record.value) for record in self.read(topic)]

    def count(self, topic: str) -> int:
        """Returns how many records a topic has."""
        client = KafkaConsumer(**self._client(KafkaConsumer), isolation_level="read_committed")
        partitions = [TopicPartition(topic, p) for p in client.partitions_for_topic(topic)]
        total = sum(client.end_offsets(partitions).values())
        client.close()
        return int(total)
