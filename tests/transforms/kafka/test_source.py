from __future__ import annotations

import json
import tempfile
import threading
import time
from collections import Counter

import apache_beam as beam
import numpy as np
import pytest
from apache_beam.coders import registry
from apache_beam.coders.coders import LengthPrefixCoder
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing.util import assert_that, equal_to
from kafka import KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient

from tests.support import RUNNERS, Topics, wait_until
from transforms.elements import RawBatch
from transforms.errors import KafkaSetupError, UnsupportedFormatError
from transforms.kafka.client import consumer
from transforms.kafka.shared_consumer import SharedConsumer
from transforms.kafka.source import (
    KafkaPartition,
    KafkaPartitionCoder,
    ReadRatingsFromKafka,
    spread_out,
)
from transforms.resumable_read import END, PositionRange
from transforms.sharding.key_groups import key_group


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
    assert [partition[:3] for partition in source.partitions()] == [
        (ratings, 0, PositionRange(4, END)),
        (requests, 0, PositionRange(3, END)),
    ]


def test_what_comes_after_the_start_is_not_read(topics: Topics) -> None:
    topic = topics.create()
    topics.send(topic, values(10))
    source = ReadRatingsFromKafka(topics.settings, topic, stop_at_end=True)
    partitions = source.partitions()
    topics.send(topic, values(10, start=10))
    assert [partition.positions for partition in partitions] == [(0, 10)]
    endless = ReadRatingsFromKafka(topics.settings, topic, start_offset="latest")
    assert [partition.positions for partition in endless.partitions()] == [(20, END)]


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


def test_what_retention_deleted_is_a_failure_that_says_how_much(topics: Topics) -> None:
    topic = topics.create()
    topics.send(topic, values(20))
    source = ReadRatingsFromKafka(topics.settings, topic, stop_at_end=True)
    partitions = source.partitions()
    admin = KafkaAdminClient(bootstrap_servers=topics.settings.bootstrap_servers)
    admin.delete_records({TopicPartition(topic, 0): 8})
    admin.close()
    source.partitions = lambda: partitions  # type: ignore[method-assign]
    rows = read(source)
    assert rows[0][0] == f"{topic}-0-0"
    assert "8 offset(s) from here on were deleted" in rows[0][2]
    assert [row[0] for row in rows[1:]] == [f"{topic}-0-{offset}" for offset in range(8, 20)]


def test_an_offset_behind_the_end_says_so(topics: Topics) -> None:
    topic = topics.create()
    topics.send(topic, values(3))
    shared = SharedConsumer(topics.settings, None)
    with pytest.raises(KafkaSetupError, match="offset 100 lies behind the end, 3"):
        shared.read(TopicPartition(topic, 0), 100, 10, 30.0)
    shared.close()


def test_a_wait_ends_when_another_partition_has_records(topics: Topics) -> None:
    topic = topics.create(partitions=2)
    idle, busy = TopicPartition(topic, 0), TopicPartition(topic, 1)
    shared = SharedConsumer(topics.settings, None)
    assert shared.read(idle, 0, 10, 0.0).records.offsets == []
    assert shared.read(busy, 0, 10, 0.0).records.offsets == []
    sender = threading.Timer(0.3, topics.send, [topic, values(3), 1])
    sender.start()
    start = time.monotonic()
    assert shared.read(idle, 0, 10, 30.0).records.offsets == []
    assert time.monotonic() - start < 20
    sender.join()
    found: list[bytes | None] = []
    while len(found) < 3:
        fetched = shared.read(busy, len(found), 10, 30.0)
        found.extend(fetched.records.values)
    assert found == values(3)
    shared.close()


def test_a_read_can_go_back_to_where_a_failed_bundle_began(topics: Topics) -> None:
    topic = topics.create()
    topics.send(topic, values(50))
    partition = TopicPartition(topic, 0)
    shared = SharedConsumer(topics.settings, None)
    first = shared.read(partition, 0, 20, 30.0)
    assert first.records.offsets == list(range(20))
    for start in (5, 30, 0, 49, 7):
        again = shared.read(partition, start, 10, 30.0)
        expected = list(range(start, min(start + 10, 50)))
        assert again.records.offsets == expected
        assert again.next_offset == expected[-1] + 1
    shared.close()


def test_going_back_again_and_again_never_skips_what_was_fetched_ahead(topics: Topics) -> None:
    topic = topics.create(partitions=2)
    for number in range(2):
        topics.send(topic, values(20_000), partition=number)
    random = np.random.default_rng(0)
    shared = SharedConsumer(topics.settings, None)
    for start, number in zip(
        random.integers(19_000, size=12).tolist(), random.integers(2, size=12).tolist(), strict=True
    ):
        position = start
        while position < start + 500:
            fetched = shared.read(TopicPartition(topic, number), position, 300, 30.0)
            offsets = fetched.records.offsets
            assert offsets == list(range(position, position + len(offsets)))
            assert fetched.records.values == values(len(offsets), position)
            position = fetched.next_offset
    shared.close()


def test_the_end_is_known_only_when_the_broker_has_nothing_more(topics: Topics) -> None:
    topic = topics.create()
    partition = TopicPartition(topic, 0)
    shared = SharedConsumer(topics.settings, None)
    for start in (0, 3, 6):
        wait_until(lambda start=start: shared.read(partition, start, 10, 0.2).at_end)  # type: ignore[misc]
        topics.send(topic, values(3))
        position = start
        while position < start + 3:
            fetched = shared.read(partition, position, 10, 30.0)
            assert fetched.records.offsets[0] == position
            assert not fetched.at_end
            position = fetched.next_offset
    shared.close()


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


def test_a_partition_that_is_read_no_more_does_not_keep_others_from_waiting(
    topics: Topics,
) -> None:
    topic = topics.create(partitions=2)
    topics.send(topic, values(3000), partition=0)
    done, idle = TopicPartition(topic, 0), TopicPartition(topic, 1)
    shared = SharedConsumer(topics.settings, None)
    position = 0
    while position < 1000:
        position = shared.read(done, position, 500, 5.0).next_offset
    shared.release(done)
    start = time.monotonic()
    assert shared.read(idle, 0, 10, 1.0).records.offsets == []
    assert time.monotonic() - start >= 0.9
    assert shared.read(done, 1000, 1, 5.0).records.offsets == [1000]
    shared.close()


def test_threads_share_a_consumer(topics: Topics) -> None:
    topic = topics.create(partitions=3)
    for number in range(3):
        topics.send(topic, values(3000, start=number * 10_000), partition=number)
    shared = SharedConsumer(topics.settings, None)
    found: dict[int, list[bytes | None]] = {0: [], 1: [], 2: []}

    def drain(number: int) -> None:
        position = 0
        while position < 3000:
            fetched = shared.read(TopicPartition(topic, number), position, 100, 1.0)
            found[number].extend(fetched.records.values)
            position = fetched.next_offset

    threads = [threading.Thread(target=drain, args=[number]) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert found == {n: values(3000, start=n * 10_000) for n in range(3)}
    shared.close()


def test_commits_are_the_groups(topics: Topics) -> None:
    topic = topics.create()
    topics.send(topic, values(9))
    partition = TopicPartition(topic, 0)
    shared = SharedConsumer(topics.settings, f"g-{topic}")
    shared.read(partition, 0, 5, 30.0)
    shared.commit(partition, 5, final=False)
    shared.commit(partition, 6, final=False)
    shared.close()
    client = consumer(topics.settings, f"g-{topic}")
    assert client.committed([partition]) == {partition: 6}
    client.close()


def test_a_commit_is_due_once_a_second_for_each_partition(topics: Topics) -> None:
    shared = SharedConsumer(topics.settings, "group")
    first, second = TopicPartition("t", 0), TopicPartition("t", 1)
    assert [shared.commit_is_due(one) for one in (first, first, second)] == [True, False, True]
    time.sleep(1.0)
    assert shared.commit_is_due(first)
    shared.close()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"start_offset": "middle"}, "start_offset is 'middle'"),
        ({"start_offset": "committed"}, "needs a group"),
        ({"request_topic": "topic"}, "is to hold ratings and requests"),
    ],
)
def test_settings_that_can_not_work(topics: Topics, arguments: dict[str, str], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        ReadRatingsFromKafka(topics.settings, "topic", **arguments)  # type: ignore[arg-type]


def test_formats_of_files_are_refused(topics: Topics) -> None:
    with pytest.raises(UnsupportedFormatError, match="'csv' is not a format of Kafka messages"):
        ReadRatingsFromKafka(topics.settings, "topic", input_format="csv")


def test_a_missing_topic_is_said_when_the_pipeline_is_built(topics: Topics) -> None:
    with pytest.raises(KafkaSetupError, match="does not exist"):
        beam.Pipeline() | ReadRatingsFromKafka(topics.settings, "not-there")


def test_the_bytes_of_a_partition_never_change_and_hold_no_secret() -> None:
    partition = KafkaPartition("ratings", 3, PositionRange(5, END), 17)
    encoded = KafkaPartitionCoder().encode(partition)
    assert encoded == b'[2,"ratings",3,5,9223372036854775807,17]'
    assert KafkaPartitionCoder().decode(encoded) == partition
    assert isinstance(registry.get_coder(KafkaPartition), KafkaPartitionCoder)


@pytest.mark.parametrize("count", [1, 2, 3, 8, 17])
@pytest.mark.parametrize("parallelism", [1, 2, 4])
def test_partitions_are_spread_evenly_over_any_parallelism(count: int, parallelism: int) -> None:
    plain = [KafkaPartition("ratings", number, PositionRange(number)) for number in range(count)]
    spread = spread_out(plain)
    assert [partition[:3] for partition in spread] == [partition[:3] for partition in plain]
    coder = LengthPrefixCoder(KafkaPartitionCoder())
    subtasks = Counter(key_group(coder.encode(one)) * parallelism // 128 for one in spread)
    fair = count / parallelism
    assert all(fair - 1 < subtasks[number] < fair + 1 for number in range(parallelism))
