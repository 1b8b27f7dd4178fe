from __future__ import annotations

import apache_beam as beam
from apache_beam.metrics.metric import MetricsFilter
from kafka import TopicPartition

from tests.support import Topics
from transforms import counters
from transforms.kafka import lag
from transforms.kafka.lag import Lags
from transforms.kafka.source import ReadRatingsFromKafka


def test_the_lag_of_each_partition_is_a_metric(topics: Topics) -> None:
    topic = topics.create(partitions=2)
    topics.send(topic, [b"x"] * 30, partition=0)
    topics.send(topic, [b"x"] * 5, partition=1)
    source = ReadRatingsFromKafka(topics.settings, topic, stop_at_end=True)
    partitions = source.partitions()
    # As if they were sent after the start: they are left over.
    topics.send(topic, [b"x"] * 7, partition=1)
    source.partitions = lambda: partitions  # type: ignore[method-assign]
    pipeline = beam.Pipeline("FnApiRunner")
    _ = pipeline | source
    result = pipeline.run()
    result.wait_until_finish()
    found = result.metrics().query(MetricsFilter().with_namespace(counters.NAMESPACE))["gauges"]
    lags = {one.key.metric.name: one.committed.value for one in found}
    assert lags == {f"lag_{topic}-0": 0, f"lag_{topic}-1": 7}


def test_the_number_of_metrics_is_bounded() -> None:
    lags = Lags()
    for number in range(lag.MOST_GAUGES + 50):
        lags.report(TopicPartition("topic", number), 0, number)
    assert len(lags._told) == lag.MOST_GAUGES
    assert lags.size(TopicPartition("topic", lag.MOST_GAUGES + 49), 0) == lag.MOST_GAUGES + 49
