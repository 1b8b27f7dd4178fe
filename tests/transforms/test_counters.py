from __future__ import annotations

import random

import apache_beam as beam
import orjson
import pytest
from apache_beam.testing.test_pipeline import TestPipeline

from beam_pipeline.summary import event_type_notes
from tests.support import counts
from transforms import counters
from transforms.batches import RawBatch
from transforms.filter import KeepPositives
from transforms.formats.detection import JSON
from transforms.formats.mapping import RecordMapping
from transforms.parse import ParseRatings
from transforms.runtime.worker_context import WORKER


@pytest.mark.parametrize("name", counters.COUNTERS)
def test_every_counter_has_its_name_and_namespace(name: str) -> None:
    metric = counters.counter(name).metric.metric_name
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
    def __init__(self, mapping: RecordMapping | None = None) -> None:
        super().__init__()
        self._mapping = mapping or RecordMapping()

    def expand(self, raw: beam.PCollection) -> beam.PCollection:
        return (raw | ParseRatings(mapping=self._mapping)).ratings | KeepPositives(3.0)


def test_each_event_of_an_envelope_or_an_array_is_counted_once() -> None:
    rows = [{"user": 1, "item": 2, "event": name} for name in ("view", "scroll", "hide", "view")]
    changes = [{"op": "c", "after": row} for row in rows]
    values = [orjson.dumps(one) for one in (changes, {"op": "d", "after": None}, {"op": 7}, [])]
    mapping = RecordMapping(envelope="debezium", event_weights={"view": 0.2, "hide": -1.0})
    with TestPipeline(runner="FnApiRunner") as pipeline:
        raw = pipeline | beam.Create([RawBatch("t-0-", range(5), [*values, None], JSON)])
        _ = raw | _ParseAndKeep(mapping)
    found = counts(pipeline.result)
    assert found == {
        "read": 8,
        "positives": 3,
        "filtered": 3,
        "deletes": 1,
        "tombstones": 1,
        "dead": 2,
        "filtered_event_type:scroll": 1,
    }
    assert event_type_notes(pipeline.result.metrics()) == [
        "filtered, not among --event_weights: scroll 1"
    ]


def test_event_types_without_end_have_few_counters() -> None:
    rows = [{"user": 1, "item": 2, "event": f"{n:03}" * 40} for n in range(100)]
    values = [orjson.dumps(one) for one in rows]
    WORKER.get(counters._EventTypes).__init__()  # type: ignore[misc]
    with TestPipeline(runner="FnApiRunner") as pipeline:
        raw = pipeline | beam.Create([RawBatch("t-0-", range(100), values, JSON)])
        _ = raw | _ParseAndKeep(RecordMapping(event_weights={"view": 1.0}))
    found = counts(pipeline.result)
    types = {name: n for name, n in found.items() if name.startswith(counters.EVENT_TYPE)}
    assert sum(types.values()) == found["filtered"] == 100
    assert len(types) == 21
    assert types["filtered_event_type:(other)"] == 80
    assert max(map(len, types)) == len(counters.EVENT_TYPE) + 40
