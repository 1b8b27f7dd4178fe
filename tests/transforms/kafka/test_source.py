from __future__ import annotations

import contextlib
import functools
import json
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import confluent_kafka
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing.util import assert_that, equal_to
from kafka import KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient

from tests.support import RUNNERS, Topics, patience, wait_until
from transforms.batches import RawBatch
from transforms.errors import KafkaSetupError, UnsupportedFormatError
from transforms.formats.records import Header
from transforms.kafka.clients.factory import consumer
from transforms.kafka.consumer_pool import ConsumerPool
from transforms.kafka.source import ReadRatingsFromKafka
from transforms.kafka.topic_watch import TopicWatch
from transforms.runtime.worker_context import WORKER
from transforms.splittable_read import END, PositionRange, resume_reading, stop_reading


def values(count: int, start: int = 0) -> list[bytes]:
    return [b"value %d" % number for number in range(start, start + count)]


def append_rows(batch: RawBatch, path: str) -> None:
    """Keeps what a run gave, whichever thread it ran in."""
    rows = [
        (f"{batch.source}{position}", None if value is None else value.decode(), batch.failure)
        for position, value in zip(batch.positions, batch.values, strict=True)
    ]
    with open(path, "a", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def read(
    source: ReadRatingsFromKafka, runner: str = "FnApiRunner"
) -> list[tuple[str, bytes | None, str]]:
    """What the source gives, as (origin, value, failure), in the order of the offsets."""
    options = PipelineOptions([*RUNNERS[runner](), "--experiments=prism_disable_sdf_split"])
    with tempfile.NamedTemporaryFile("r", encoding="utf-8") as file:
        with beam.Pipeline(options=options) as pipeline:
            _ = pipeline | source | beam.Map(append_rows, file.name)
        rows = [json.loads(line) for line in file]
    # Within a partition the order is that of arrival, as sorting is stable.
    rows.sort(key=lambda row: row[0].rsplit("-", 1)[0])
    return [
        (origin, None if value is None else value.encode(), failure)
        for origin, value, failure in rows
    ]


@pytest.mark.parametrize("runner", RUNNERS)
def test_it_reads_from_the_earliest_to_the_end(topics: Topics, runner: str) -> None:
    topic = topics.create()
    topics.send(topic, values(5000))
    source = ReadRatingsFromKafka(topics.settings, topic, stop_at_end=True)
    assert read(source, runner) == [
        (f"{topic}-0-{offset}", value, "") for offset, value in enumerate(values(5000))
    ]


@pytest.mark.parametrize("runner", RUNNERS)
def test_partitions_of_which_two_are_empty(topics: Topics, runner: str) -> None:
    topic = topics.create(partitions=4)
    topics.send(topic, values(700), partition=1)
    topics.send(topic, values(3), partition=3)
    source = ReadRatingsFromKafka(topics.settings, topic, stop_at_end=True)
    assert read(source, runner) == [
        *((f"{topic}-1-{offset}", value, "") for offset, value in enumerate(values(700))),
        *((f"{topic}-3-{offset}", value, "") for offset, value in enumerate(values(3))),
    ]


@pytest.mark.parametrize("runner", RUNNERS)
def test_two_sources_of_one_topic_get_every_record_each(topics: Topics, runner: str) -> None:
    topic = topics.create(partitions=2)
    for number in range(2):
        topics.send(topic, values(3000), partition=number)
    # One transform that is applied twice is two sources, too.
    source = ReadRatingsFromKafka(topics.settings, topic, stop_at_end=True)
    options = PipelineOptions([*RUNNERS[runner](), "--experiments=prism_disable_sdf_split"])
    with tempfile.TemporaryDirectory() as folder:
        with beam.Pipeline(options=options) as pipeline:
            for name in ("a", "b"):
                batches = pipeline | f"Read {name}" >> source
                _ = batches | f"Append {name}" >> beam.Map(append_rows, f"{folder}/{name}")
        expected = sorted(
            (f"{topic}-{number}-{offset}", value.decode(), "")
            for number in range(2)
            for offset, value in enumerate(values(3000))
        )
        for name in ("a", "b"):
            with open(f"{folder}/{name}", encoding="utf-8") as file:
                assert sorted(tuple(json.loads(line)) for line in file) == expected


def test_a_pipeline_that_was_stopped_leaves_no_consumer_behind(topics: Topics) -> None:
    topic = topics.create()
    topics.send(topic, values(5000))
    open_before = WORKER.get(ConsumerPool).sources
    source = ReadRatingsFromKafka(topics.settings, topic)
    with tempfile.NamedTemporaryFile("r", encoding="utf-8") as file:
        pipeline = beam.Pipeline("FnApiRunner")
        _ = pipeline | source | beam.Map(append_rows, file.name)
        running = threading.Thread(target=pipeline.run)
        running.start()
        try:
            wait_until(lambda: bool(file.read()))
            assert WORKER.get(ConsumerPool).sources == open_before + 1
            stop_reading()
            running.join(timeout=60)
            assert not running.is_alive()
        finally:
            stop_reading()
            running.join(timeout=60)
            resume_reading()
    assert WORKER.get(ConsumerPool).sources == open_before


def test_an_empty_topic_ends_at_once(topics: Topics) -> None:
    source = ReadRatingsFromKafka(topics.settings, topics.create(2), stop_at_end=True)
    assert read(source) == []


def kinds_of_values(batch: RawBatch) -> list[tuple[str, str, bytes | None]]:
    kind = batch.record_format.kind if batch.record_format else ""
    return [(batch.source, kind, value) for value in batch.values]


@pytest.mark.parametrize("runner", RUNNERS)
def test_requests_are_read_beside_ratings_and_say_that_they_are(
    topics: Topics, runner: str
) -> None:
    ratings, requests = topics.create(partitions=2), topics.create()
    topics.send(ratings, values(2), partition=0)
    topics.send(ratings, values(1, start=2), partition=1)
    topics.send(requests, values(2, start=10))
    source = ReadRatingsFromKafka(
        topics.settings, ratings, stop_at_end=True, request_topic=requests
    )
    options = PipelineOptions([*RUNNERS[runner](), "--experiments=prism_disable_sdf_split"])
    with beam.Pipeline(options=options) as pipeline:
        rows = pipeline | source | beam.FlatMap(kinds_of_values)
        assert_that(
            rows,
            equal_to(
                [
                    (f"{ratings}-0-", "message", b"value 0"),
                    (f"{ratings}-0-", "message", b"value 1"),
                    (f"{ratings}-1-", "message", b"value 2"),
                    (f"{requests}-0-", "request", b"value 10"),
                    (f"{requests}-0-", "request", b"value 11"),
                ]
            ),
        )


def test_both_topics_start_where_the_source_says(topics: Topics) -> None:
    ratings, requests = topics.create(), topics.create()
    topics.send(ratings, values(4))
    topics.send(requests, values(3))
    source = ReadRatingsFromKafka(
        topics.settings, ratings, start_offset="latest", request_topic=requests
    )
    *partitions, added = source.partitions()
    assert [partition[:3] for partition in partitions] == [
        (ratings, 0, PositionRange(4, END)),
        (requests, 0, PositionRange(3, END)),
    ]
    assert (added.adds, dict(added.known)) == (True, {ratings: 1, requests: 1})


def test_several_topics_and_patterns(topics: Topics) -> None:
    first, second, third = topics.create(2), topics.create(), topics.create()
    for number, topic in enumerate((first, second, third)):
        topics.send(topic, values(2, start=10 * number), partition=0)
    both = ReadRatingsFromKafka(topics.settings, f"{second},{first}", stop_at_end=True)
    assert [row[:2] for row in read(both)] == [
        *((f"{first}-0-{at}", value) for at, value in enumerate(values(2))),
        *((f"{second}-0-{at}", value) for at, value in enumerate(values(2, start=10))),
    ]
    pattern = f"^({first}|{second}|{third})$"
    matching = ReadRatingsFromKafka(
        topics.settings, pattern, stop_at_end=True, request_topic=second, excluded_topics=[third]
    )
    found = [(one.topic, one.partition) for one in matching.partitions()]
    assert found == [(first, 0), (first, 1), (second, 0)]


def test_a_pattern_that_matches_no_topic(topics: Topics, caplog: pytest.LogCaptureFixture) -> None:
    nothing = ReadRatingsFromKafka(topics.settings, "^no-such-topic", stop_at_end=True)
    with pytest.raises(KafkaSetupError, match=r"no topic at .* matches '\^no-such-topic'"):
        nothing.partitions()
    (element,) = ReadRatingsFromKafka(topics.settings, "^no-such-topic").partitions()
    assert (element.adds, element.known) == (True, ())
    assert "new topics are read when they match" in caplog.text


def test_a_start_at_a_time_is_at_the_first_records_of_that_time_or_later(topics: Topics) -> None:
    topic = topics.create(partitions=3)
    client = confluent_kafka.Producer({"bootstrap.servers": topics.settings.bootstrap_servers})
    for partition, seconds in ((0, [100, 200, 300]), (1, [100])):
        for at in seconds:
            client.produce(topic, b"x", None, partition, timestamp=at * 1000)
    assert client.flush(patience(30)) == 0
    for time_of_start, expected in (("00:03:20", [1, 1, 0]), ("00:03:20.001", [2, 1, 0])):
        source = ReadRatingsFromKafka(
            topics.settings, topic, f"1970-01-01T{time_of_start}", stop_at_end=True
        )
        assert [one.positions.start for one in source.partitions()] == expected


@contextlib.contextmanager
def running(source: ReadRatingsFromKafka, path: str) -> Iterator[threading.Thread]:
    """Runs a pipeline of the source until the end of the block, or its own."""
    pipeline = beam.Pipeline("FnApiRunner")
    _ = pipeline | source | beam.Map(append_rows, path)
    thread = threading.Thread(target=pipeline.run)
    thread.start()
    try:
        yield thread
    finally:
        stop_reading()
        thread.join(timeout=patience(30))
        resume_reading()
    assert not thread.is_alive()


def origins_in(path: Path) -> list[str]:
    return sorted(json.loads(line)[0] for line in path.read_text().splitlines())


def test_partitions_and_topics_that_are_added_are_read_while_the_job_runs(
    topics: Topics, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = functools.partial(TopicWatch, check_seconds=0.2, discover_seconds=0.2)
    monkeypatch.setattr("transforms.kafka.consumer_pool.TopicWatch", quick)
    first = topics.create()
    topics.send(first, values(2))
    path = tmp_path / "rows"
    path.touch()
    group = f"g-{first}"
    pattern = f"^{first}(-new)?$"
    with running(ReadRatingsFromKafka(topics.settings, pattern, group=group), str(path)):
        wait_until(lambda: origins_in(path) == [f"{first}-0-0", f"{first}-0-1"])
        topics.add_partitions(first, 3)
        topics.send(first, values(3), partition=2)
        topics.send(first, values(1), partition=0)
        expected = [
            *(f"{first}-0-{at}" for at in range(3)),
            *(f"{first}-2-{at}" for at in range(3)),
        ]
        wait_until(lambda: origins_in(path) == expected)
        topics.create_again(f"{first}-new")
        topics.send(f"{first}-new", values(1500))
        topics.send(first, values(1), partition=1)
        expected += [f"{first}-1-0", *(f"{first}-new-0-{at}" for at in range(1500))]
        wait_until(lambda: origins_in(path) == sorted(expected))
        # Group offsets follow, at the beginning of a later bundle.
        topics.send(first, values(1), partition=2)
        client = consumer(topics.settings, group)
        added = TopicPartition(first, 2)
        wait_until(lambda: (client.committed([added])[added] or 0) >= 3)
        client.close()


def test_a_source_ends_when_nothing_has_come_for_so_long(topics: Topics, tmp_path: Path) -> None:
    topic, path = topics.create(partitions=2), tmp_path / "rows"
    path.touch()
    topics.send(topic, values(3), partition=0)
    with running(ReadRatingsFromKafka(topics.settings, topic, idle_timeout=3.0), str(path)) as job:
        wait_until(lambda: len(origins_in(path)) == 3)
        time.sleep(1.5)
        topics.send(topic, values(1), partition=1)
        start = time.monotonic()
        job.join(timeout=patience(30))
        assert not job.is_alive()
    assert time.monotonic() - start > 2.5
    assert len(origins_in(path)) == 4


def test_what_comes_after_the_start_is_not_read(topics: Topics) -> None:
    topic = topics.create()
    topics.send(topic, values(10))
    source = ReadRatingsFromKafka(topics.settings, topic, stop_at_end=True)
    partitions = source.partitions()
    topics.send(topic, values(10, start=10))
    assert [partition.positions for partition in partitions] == [(0, 10)]
    endless = ReadRatingsFromKafka(topics.settings, topic, start_offset="latest")
    assert endless.partitions()[0].positions == (20, END)


def test_an_exported_model_goes_on_behind_what_it_learned(topics: Topics) -> None:
    topic, asked = topics.create(partitions=2), topics.create()
    topics.send(topic, values(30), partition=0)
    topics.send(topic, values(5), partition=1)
    topics.send(asked, values(3))

    def starts(**learned: int) -> list[int]:
        exported = {f"{topic}-{partition[1:]}-": offset for partition, offset in learned.items()}
        source = ReadRatingsFromKafka(
            topics.settings,
            topic,
            start_offset="exported",
            exported=exported,
            request_topic=asked,
        )
        return [one.positions.start for one in source.partitions() if not one.adds]

    assert starts() == [0, 0, 3]
    assert starts(p0=20, p1=5) == [20, 5, 3]
    source = ReadRatingsFromKafka(topics.settings, topic, "latest", request_topic=asked)
    source.partitions()
    assert source.starts == {f"{topic}-0-": 30, f"{topic}-1-": 5}
    with pytest.raises(
        KafkaSetupError, match=rf"{topic}-1 up to offset 6, but the partition ends at 5"
    ):
        starts(p1=6)


def test_an_exported_model_does_not_go_on_in_another_topic_of_the_name(topics: Topics) -> None:
    topic = topics.create()
    source = ReadRatingsFromKafka(topics.settings, topic)
    source.partitions()
    learned = dict(source.topic_ids)
    assert learned[topic]
    unknown = dict.fromkeys(learned, "")

    def go_on() -> None:
        ReadRatingsFromKafka(
            topics.settings, topic, start_offset="exported", exported_topics=[unknown, learned]
        ).partitions()

    go_on()
    topics.delete(topic)
    topics.create_again(topic)
    with pytest.raises(KafkaSetupError, match=f"topic '{topic}' was created anew since"):
        go_on()


def test_committed_offsets_are_where_the_next_run_starts(topics: Topics) -> None:
    topic = topics.create(partitions=2)

    def read_on() -> list[str]:
        source = ReadRatingsFromKafka(
            topics.settings,
            topic,
            start_offset="committed",
            stop_at_end=True,
            group=f"g-{topic}",
        )
        return [origin for origin, _, _ in read(source)]

    topics.send(topic, values(30), partition=0)
    assert len(read_on()) == 30
    topics.send(topic, values(5, start=30), partition=0)
    topics.send(topic, values(2), partition=1)
    assert read_on() == [
        *(f"{topic}-0-{offset}" for offset in range(30, 35)),
        *(f"{topic}-1-{offset}" for offset in range(2)),
    ]
    # Runs that find nothing new must not set the group back.
    assert read_on() == []
    assert read_on() == []


def test_tombstones_and_large_values_come_through(topics: Topics) -> None:
    topic = topics.create()
    large = b"x" * (10 << 20)
    topics.send(topic, [None, large, b""])
    source = ReadRatingsFromKafka(topics.settings, topic, stop_at_end=True)
    assert [value for _, value, _ in read(source)] == [None, large, b""]


def test_keys_headers_and_times_come_with_their_records(topics: Topics) -> None:
    """More than a batch holds, so that the columns are cut; the second topic has no headers."""
    topic, plain = topics.create(partitions=2), topics.create()
    trace = [("traceparent", b"00-1"), ("empty", b""), ("null", None)]
    # kafka-python does not send the value null.
    client = confluent_kafka.Producer({"bootstrap.servers": topics.settings.bootstrap_servers})
    for at in range(2500):
        key = None if at % 3 == 0 else b"key %d" % at
        headers = trace if at % 1000 == 1 else []
        time_ms = 1_700_000_000_000 + at
        client.produce(topic, b"%d" % at, key, 0, timestamp=time_ms, headers=headers)
    client.produce(topic, b"early", None, 1, timestamp=1)
    client.produce(plain, b"plain", b"", 0, timestamp=1500)
    assert client.flush(patience(30)) == 0

    def rows_of(batch: RawBatch) -> list[tuple[bytes | None, Any, Any, int]]:
        headers: Any = batch.headers or [()] * len(batch)
        return list(zip(batch.values, batch.keys, headers, batch.times_ms, strict=True))

    def has_headers(batch: RawBatch) -> tuple[str, bool]:
        return batch.source, len(batch.headers) > 0

    found = (Header("traceparent", b"00-1"), Header("empty", b""), Header("null", b""))
    expected = [
        (
            b"%d" % at,
            None if at % 3 == 0 else b"key %d" % at,
            found if at % 1000 == 1 else (),
            1_700_000_000_000 + at,
        )
        for at in range(2500)
    ]
    source = ReadRatingsFromKafka(topics.settings, topic, stop_at_end=True, request_topic=plain)
    with beam.Pipeline("FnApiRunner") as pipeline:
        batches = pipeline | source
        rows = batches | beam.FlatMap(rows_of)
        ends = [(b"early", None, (), 1), (b"plain", b"", (), 1500)]
        assert_that(rows, equal_to([*expected, *ends]))
        others = batches | beam.Map(has_headers) | beam.Filter(lambda one: one[0] != f"{topic}-0-")
        assert_that(others, equal_to([(f"{topic}-1-", False), (f"{plain}-0-", False)]), "Without")


def test_only_committed_transactions_are_read_and_markers_are_gaps(topics: Topics) -> None:
    topic = topics.create()
    client = KafkaProducer(
        bootstrap_servers=topics.settings.bootstrap_servers, transactional_id=f"t-{topic}"
    )
    client.init_transactions()
    for name, commit in ((b"first", True), (b"aborted", False), (b"second", True)):
        client.begin_transaction()
        for _ in range(3):
            client.send(topic, name)
        client.flush()
        if commit:
            client.commit_transaction()
        else:
            client.abort_transaction()
    client.begin_transaction()
    client.send(topic, b"last")
    client.flush()
    client.abort_transaction()
    client.close()
    source = ReadRatingsFromKafka(topics.settings, topic, stop_at_end=True)
    assert source.partitions()[0].positions == (0, 14)
    start = time.monotonic()
    assert [(row[0], row[1]) for row in read(source)] == [
        *((f"{topic}-0-{offset}", b"first") for offset in (0, 1, 2)),
        *((f"{topic}-0-{offset}", b"second") for offset in (8, 9, 10)),
    ]
    assert time.monotonic() - start < 30


def test_what_retention_deleted_is_a_failure_that_says_how_much(
    topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = topics.create()
    topics.send(topic, values(20))
    source = ReadRatingsFromKafka(topics.settings, topic, stop_at_end=True)
    partitions = source.partitions()
    admin = KafkaAdminClient(bootstrap_servers=topics.settings.bootstrap_servers)
    admin.delete_records({TopicPartition(topic, 0): 8})
    admin.close()
    monkeypatch.setattr(source, "partitions", lambda: partitions)
    rows = read(source)
    assert rows[0][0] == f"{topic}-0-0"
    assert "8 offset(s) from here on were deleted" in rows[0][2]
    assert [row[0] for row in rows[1:]] == [f"{topic}-0-{offset}" for offset in range(8, 20)]


def test_a_transaction_that_is_open_is_behind_the_end(topics: Topics) -> None:
    topic = topics.create()
    topics.send(topic, values(4))
    client = KafkaProducer(
        bootstrap_servers=topics.settings.bootstrap_servers, transactional_id=f"o-{topic}"
    )
    client.init_transactions()
    client.begin_transaction()
    client.send(topic, b"not yet").get(timeout=30)
    source = ReadRatingsFromKafka(topics.settings, topic, stop_at_end=True)
    assert [partition.positions for partition in source.partitions()] == [(0, 4)]
    assert [row[1] for row in read(source)] == values(4)
    client.abort_transaction()
    client.close()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"start_offset": "middle"}, "start_offset is 'middle'"),
        ({"start_offset": "committed"}, "needs a group"),
        ({"request_topic": "topic"}, "is to hold ratings and requests"),
        ({"idle_timeout": -1.0}, "idle_timeout is -1.0, expected 0 or more"),
    ],
)
def test_settings_that_can_not_work(topics: Topics, arguments: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        ReadRatingsFromKafka(topics.settings, "topic", **arguments)


def test_formats_of_files_are_refused(topics: Topics) -> None:
    with pytest.raises(UnsupportedFormatError, match="'csv' is not a format of Kafka messages"):
        ReadRatingsFromKafka(topics.settings, "topic", input_format="csv")


def test_a_missing_topic_is_said_when_the_pipeline_is_built(topics: Topics) -> None:
    with pytest.raises(KafkaSetupError, match="does not exist"):
        beam.Pipeline() | ReadRatingsFromKafka(topics.settings, "not-there")
