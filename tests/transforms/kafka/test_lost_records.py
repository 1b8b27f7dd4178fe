from __future__ import annotations

import pytest
from kafka import TopicPartition

from tests.transforms.kafka.fakes import FakeConsumer
from transforms.errors import KafkaSetupError
from transforms.kafka.lost_records import first_left

PARTITION = TopicPartition("topic", 3)


class Cut(FakeConsumer):
    """Its log was deleted before offset 40."""

    def beginning_offsets(self, partitions: object) -> dict[TopicPartition, int]:
        return {PARTITION: 40}


def test_reading_goes_on_at_the_first_record_that_is_left() -> None:
    client = Cut({PARTITION: range(40, 90)})
    assert first_left(client, None, PARTITION, 7, truncated=False) == 40
    assert first_left(client, None, PARTITION, 90, truncated=False) == 40


@pytest.mark.parametrize(("offset", "truncated"), [(91, False), (50, True)])
def test_a_log_that_ends_before_the_offset_is_not_read_on(offset: int, truncated: bool) -> None:
    client = Cut({PARTITION: range(40, 90)})
    with pytest.raises(KafkaSetupError, match=f"offset {offset} lies behind the end .* 90 now"):
        first_left(client, None, PARTITION, offset, truncated=truncated)
