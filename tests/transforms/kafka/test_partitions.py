from __future__ import annotations

from collections import Counter

import pytest
from apache_beam.coders import registry
from apache_beam.coders.coders import LengthPrefixCoder

from transforms.errors import IncompatibleStateError
from transforms.kafka.partitions import KafkaPartition, KafkaPartitionCoder, spread_out
from transforms.runtime.flink_key_groups import key_group
from transforms.splittable_read import END, PositionRange


@pytest.mark.parametrize("encoded", [b'[2,"ratings",3,5,9,17]', b'[4,"ratings"]', b"[]", b"7"])
def test_a_partition_of_another_version_is_refused(encoded: bytes) -> None:
    with pytest.raises(
        IncompatibleStateError, match=r"Kafka partition is of version .*, expected 3"
    ):
        KafkaPartitionCoder().decode(encoded)


def test_the_bytes_of_a_partition_never_change_and_hold_no_secret() -> None:
    partition = KafkaPartition("ratings", 3, PositionRange(5, END), 17, "an id")
    encoded = KafkaPartitionCoder().encode(partition)
    assert encoded == b'[3,"ratings",3,5,9223372036854775807,17,"an id"]'
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
