"""Where a rating's time goes, from topic to topic: microseconds for each rating that is read.

    python -m benchmarks.stages --ratings 100000 --model mf --plot docs/stages.svg

runs the functions that the stages are made of one after the other on one core, without Beam, in
the batches that the source makes; then the same through Beam's coders, which a runner uses
between stages that it does not fuse.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import orjson

from benchmarks.against_rivals import fill, movielens_like
from benchmarks.report import stacked
from cluster.broker import Broker
from transforms.batches import (
    RatingBatch,
    RatingBatchCoder,
    RawBatch,
    RawBatchCoder,
    RecommendationBatch,
    RecommendationBatchCoder,
)
from transforms.filter import positives
from transforms.formats.mapping import RecordMapping
from transforms.formats.record_reader import RecordReader
from transforms.formats.records import Rating
from transforms.kafka.clients.factory import CLIENTS, KafkaSettings, producer, require_topics
from transforms.kafka.consumer_pool import SourceKey
from transforms.kafka.reader import PartitionReader, ReadPlan
from transforms.kafka.sink import json_messages
from transforms.kafka.source import ReadRatingsFromKafka
from transforms.learning.shard import learn
from transforms.learning.warm_up import warm_up
from transforms.parse import parse, parse_batch
from transforms.recommenders.registry import DEFAULT_MODEL, MODEL_NAMES, RecommenderSpec
from transforms.runtime import blas_threads
from transforms.runtime.worker_context import WORKER
from transforms.shard_learner import LISTED_AT_ONCE

T = TypeVar("T")


class _Clock:
    """CPU time of all threads, and wall time, a rating."""

    def __init__(self, ratings: int) -> None:
        self._ratings = ratings
        self.cpu: dict[str, float] = {}

    def of(self, name: str, work: Callable[[], T]) -> T:
        wall, cpu = time.perf_counter(), time.process_time()
        result = work()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        self.cpu[name] = cpu / self._ratings * 1e6
        print(
            f"{name:42} {wall / self._ratings * 1e6:7.2f} us  (cpu {cpu / self._ratings * 1e6:.2f})"
        )
        return result


def _read(settings: KafkaSettings, count: int) -> list[RawBatch]:
    source = ReadRatingsFromKafka(settings, "ratings", stop_at_end=True)
    (partition,) = source.partitions()
    key = SourceKey(settings, None, f"stages-{settings.client}")
    reader = PartitionReader(ReadPlan(key, source.selection, source.record_format), partition, 0)
    batches = []
    position = 0
    while position < count:
        chunk = reader.read(position, count, 1.0)
        position = chunk.next_position
        if len(chunk.batch):
            batches.append(chunk.batch)
    return batches


def _parse(raw: Sequence[RawBatch], reader: RecordReader) -> list[Sequence[Rating]]:
    return [parse_batch(batch, reader).batch.ratings for batch in raw]


def _other(batch: RawBatch) -> RawBatch:
    """Returns the same ratings with other names, in part nested."""
    values = []
    for rating in parse(batch)[0]:
        payload = {"sku": rating.item, "stars": rating.rating}
        values.append(
            orjson.dumps({"user_id": rating.user, "payload": payload, "ts": rating.timestamp})
        )
    return replace(batch, values=values)


def _recommend(
    model: str, kept: Sequence[Sequence[Rating]], top_n: int
) -> list[RecommendationBatch]:
    recommender = RecommenderSpec(model).build()
    return [
        RecommendationBatch(learn(recommender, some, top_n).recommendations)
        for ratings in kept
        for some in (
            ratings[at : at + LISTED_AT_ONCE] for at in range(0, len(ratings), LISTED_AT_ONCE)
        )
    ]


def _send(settings: KafkaSettings, lists: Sequence[Any]) -> None:
    client = producer(settings)
    sender = client.sender("lists")
    for messages in lists:
        sender.send(messages)
    sender.flush()
    client.close()


def _through(coder: Any, elements: Sequence[Any]) -> None:
    for element in elements:
        coder.decode(coder.encode(element))


def main(argv: Sequence[str]) -> int:
    """Prints a line for each stage."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--ratings", type=int, default=100_000)
    parser.add_argument("--model", choices=MODEL_NAMES, default=DEFAULT_MODEL)
    parser.add_argument("--plot", type=Path, metavar="FILE", help="a stacked bar, as SVG")
    given = parser.parse_args(argv)
    count = given.ratings
    clock = _Clock(count)
    with tempfile.TemporaryDirectory() as folder:
        broker = Broker(Path(folder))
        broker.start()
        # The broker has the other core.
        os.sched_setaffinity(0, {1})
        # Here everything is kept, so collections would cost what they do not in a stream.
        gc.disable()
        blas_threads.limit()
        warm_up(RecommenderSpec(given.model))
        try:
            fill(KafkaSettings(broker.address), "ratings", movielens_like(count))
            require_topics(KafkaSettings(broker.address), {"lists": 1}, create=True)
            every = {client: KafkaSettings(broker.address, client=client) for client in CLIENTS}
            for client, settings in every.items():
                raw = clock.of(f"read, {client}", partial(_read, settings, count))
            ratings = clock.of("parse", partial(_parse, raw, RecordReader()))
            mapping = RecordMapping({"item": "payload.sku", "rating": "payload.stars"})
            clock.of(
                "parse, mapped", partial(_parse, list(map(_other, raw)), RecordReader(mapping))
            )
            kept = clock.of("keep positives", lambda: [positives(one, 3.0) for one in ratings])
            clock.of("learn", partial(_recommend, given.model, kept, 0))
            lists = clock.of("learn and list", partial(_recommend, given.model, kept, 10))
            messages = clock.of("encode lists", lambda: [list(json_messages(b)) for b in lists])
            for client, settings in every.items():
                clock.of(f"send, {client}", partial(_send, settings, messages))
            clock.of("coder of raw batches", lambda: _through(RawBatchCoder(), raw))
            batches = [RatingBatch(one) for one in kept]
            clock.of("coder of rating batches", lambda: _through(RatingBatchCoder(), batches))
            clock.of("coder of lists", lambda: _through(RecommendationBatchCoder(), lists))
        finally:
            WORKER.close()
            broker.stop()
    if given.plot:
        stacked({client: _parts(clock.cpu, client) for client in CLIENTS}, given.plot)
    return 0


def _parts(cpu: Mapping[str, float], client: str) -> dict[str, float]:
    return {
        "read": cpu[f"read, {client}"],
        "parse and keep": cpu["parse"] + cpu["keep positives"],
        "learn": cpu["learn"],
        "list": cpu["learn and list"] - cpu["learn"],
        "encode": cpu["encode lists"],
        "send": cpu[f"send, {client}"],
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
