from __future__ import annotations

import pytest
from kafka import TopicPartition

from transforms.errors import IncompatibleStateError
from transforms.kafka.added_partitions import (
    AddedPartition,
    AddedPartitions,
    AddedPartitionsTracker,
    KafkaRestrictionCoder,
    KafkaRestrictionProvider,
)
from transforms.kafka.lag import Lags
from transforms.kafka.partitions import ADDED, KafkaPartition, KafkaPartitionCoder
from transforms.runtime.worker_context import WORKER
from transforms.splittable_read import END, PositionRange, PositionRangeCoder, PositionRangeTracker

FIRST, SECOND = AddedPartition("topic", 2, 5, "id"), AddedPartition("topic", 3, 7, "id")


def test_what_is_left_after_a_cut_knows_all_partitions_and_where_each_goes_on() -> None:
    tracker = AddedPartitionsTracker(AddedPartitions((FIRST,)))
    assert tracker.try_claim(FIRST._replace(position=9))
    assert tracker.try_claim(SECOND._replace(position=0))
    assert tracker.try_claim(SECOND)
    with pytest.raises(ValueError, match="left unread"):
        tracker.check_done()
    assert tracker.try_split(0.5) is None
    split = tracker.try_split(0)
    assert split is not None
    done, rest = split
    assert rest == AddedPartitions((FIRST._replace(position=9), SECOND))
    assert done == tracker.current_restriction() == AddedPartitions((FIRST,), ended=True)
    tracker.check_done()
    # What a reader has in hand then is read again by who goes on.
    assert not tracker.try_claim(SECOND._replace(position=8))
    assert tracker.try_split(0) is None
    AddedPartitionsTracker(done).check_done()


def test_a_position_never_goes_back() -> None:
    tracker = AddedPartitionsTracker(AddedPartitions((FIRST,)))
    with pytest.raises(ValueError, match="was claimed already, up to 5"):
        tracker.try_claim(FIRST._replace(position=4))


def test_the_end_leaves_nothing() -> None:
    tracker = AddedPartitionsTracker(AddedPartitions((FIRST,)))
    assert not tracker.is_bounded()
    assert tracker.try_claim(None)
    tracker.check_done()
    assert tracker.try_split(0) is None


def test_the_bytes_of_a_restriction_never_change() -> None:
    coder = KafkaRestrictionCoder()
    added = AddedPartitions((FIRST, SECOND))
    encoded = coder.encode(added)
    assert encoded == b'\xff[1,[["topic",2,5,"id"],["topic",3,7,"id"]],false]'
    assert coder.decode(encoded) == added
    positions = PositionRange(3, END)
    assert coder.encode(positions) == PositionRangeCoder().encode(positions)
    assert coder.decode(coder.encode(positions)) == positions
    with pytest.raises(IncompatibleStateError, match="added Kafka partitions is of version 2"):
        coder.decode(b"\xff[2,[],false]")


def test_the_element_of_added_partitions_keeps_what_was_known_at_the_start() -> None:
    element = KafkaPartition("^t", ADDED, PositionRange(0), known=(("t1", 2), ("t2", 1)))
    encoded = KafkaPartitionCoder().encode(element)
    assert encoded == b'[3,"^t",-1,0,9223372036854775807,0,"",[["t1",2],["t2",1]]]'
    assert KafkaPartitionCoder().decode(encoded) == element


def test_each_element_has_restrictions_of_its_kind() -> None:
    provider = KafkaRestrictionProvider()
    one = KafkaPartition("t", 0, PositionRange(3))
    assert provider.initial_restriction(one) == PositionRange(3)
    assert isinstance(provider.create_tracker(PositionRange(3)), PositionRangeTracker)
    adds = provider.initial_restriction(one._replace(partition=ADDED))
    assert adds == AddedPartitions()
    assert isinstance(provider.create_tracker(adds), AddedPartitionsTracker)


def test_the_size_of_a_restriction_is_what_is_left_to_read() -> None:
    provider = KafkaRestrictionProvider()
    element = KafkaPartition("topic", 2, PositionRange(0))
    assert provider.restriction_size(element, PositionRange(3, 10)) == 7
    assert provider.restriction_size(element, PositionRange(10, 10)) == 1
    lags = WORKER.get(Lags)
    lags.report(TopicPartition("topic", 2), 0, 100)
    lags.report(TopicPartition("topic", 3), 0, 10)
    assert provider.restriction_size(element, PositionRange(40)) == 60
    assert provider.restriction_size(element, PositionRange(100)) == 1
    assert provider.restriction_size(element._replace(topic="other"), PositionRange(40)) == 1
    adds = element._replace(partition=ADDED)
    assert provider.restriction_size(adds, AddedPartitions()) == 1
    assert provider.restriction_size(adds, AddedPartitions((FIRST, SECOND))) == 95 + 3
