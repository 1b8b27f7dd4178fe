from __future__ import annotations

import random

import apache_beam as beam
import pytest
from apache_beam.testing.test_pipeline import TestPipeline

from tests.support import counts
from transforms import counters
from transforms.batches import RawBatch
from transforms.filter import KeepPositives
from transforms.formats.detection import JSON
from transforms.parse import ParseRatings


@pytest.mark.parametrize("name", counters.COUNTERS)
def test_every_counter_has_its_name_and_namespace(name: str) -> None:
    metric = counters.counter(name).metric_name
    assert (metric.namespace, metric.name) == ("flurs_beam", name)


@pytest.mark.parametrize("name", counters.DISTRIBUTIONS)
def test_every_distribution_has_its_name_and_namespace(name: str) -> None:
    metric = counters.distribution(name).metric_name
    assert (metric.namespace, metric.name) == ("flurs_beam", name)


def test_names_are_never_reused_and_never_change() -> None:
    assert set(counters.COUNTERS) >= {"read", "positives", "filtered", "dead", "users", "items"}
    names = counters.COUNTERS + counters.DISTRIBUTIONS
    assert len(set(names)) == len(names)


def test_an_unlisted_counter_is_refused() -> None:
    with pytest.raises(ValueError, match="'reads' is not a counter, expected one of read, "):
        counters.counter("reads")


def test_an_unlisted_distribution_is_refused() -> None:
    with pytest.raises(ValueError, match="'read' is not a distribution, expected one of latency"):
        counters.distribution("read")


def test_what_is_read_is_positive_filtered_or_dead() -> None:
    values = [b'{"user":1,"item":2,"rating":4,"timestamp":1}'] * 37
    values += [b'{"user":1,"item":2,"rating":2,"timestamp":1}'] * 21
    values += [b"broken", b"", b'{"user":1}'] * 5
    random.Random(1).shuffle(values)
    with_tombstones = [*values, None, None]
    batches = [
        RawBatch("t-0-", range(start, start + len(part)), part, JSON)
        for start in range(0, len(with_tombstones), 7)
        if (part := with_tombstones[start : start + 7])
    ]
    batches.append(RawBatch("f:", [9], [b""], None, failure="it broke off"))
    with TestPipeline(runner="FnApiRunner") as pipeline:
        _ = pipeline | beam.Create(batches) | _ParseAndKeep()
    found = counts(pipeline.result)
    assert found == {"read": 76, "positives": 37, "filtered": 23, "tombstones": 2, "dead": 16}
    assert found["read"] == found["positives"] + found["filtered"] + found["dead"]


class _ParseAndKeep(beam.PTransform):
    def expand(self, raw: beam.PCollection) -> beam.PCollection:
        return (raw | ParseRatings()).ratings | KeepPositives(3.0)
