from __future__ import annotations

import pytest

from transforms.errors import IncompatibleStateError
from transforms.file_reader import Files
from transforms.history import History, HistoryCoder
from transforms.kafka.partitions import KafkaPartition
from transforms.splittable_read import END, PositionRange

FILES = Files(("/tmp/ü\udcff.csv", "b"), ("ü", "b"), "auto", True)
HISTORY = History(
    FILES,
    (
        KafkaPartition("ratings", 0, PositionRange(7), 3, "an id"),
        KafkaPartition("ratings", 1, PositionRange(0, 9)),
    ),
)


def test_a_history_survives_a_savepoint() -> None:
    encoded = HistoryCoder().encode(HISTORY)
    assert HistoryCoder().decode(encoded) == HISTORY
    assert HISTORY.positions == PositionRange(0, END)
    assert HistoryCoder().is_deterministic()


def test_a_partition_by_itself_has_its_own_positions() -> None:
    alone = History(None, HISTORY.partitions[1:])
    assert HistoryCoder().decode(HistoryCoder().encode(alone)) == alone
    assert alone.positions == PositionRange(0, 9)


def test_a_savepoint_of_another_version_is_refused() -> None:
    with pytest.raises(IncompatibleStateError, match="the state of the history is of version 9"):
        HistoryCoder().decode(b'[9,"{}",[]]')
