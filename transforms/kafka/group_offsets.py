"""Offsets of a consumer group: committed now and then, and compared with what others commit."""

from __future__ import annotations

import logging
import math
import time
from collections import defaultdict, deque
from typing import Final

from kafka import TopicPartition
from kafka.errors import KafkaError

from transforms.errors import KafkaSetupError
from transforms.kafka.clients.protocols import Consumer

COMMIT_SECONDS: Final = 1.0
LOOK_SECONDS: Final = 10.0
# Those of a minute or so: a commit that is not waited for may be seen late.
_REMEMBERED: Final = 60
_LOGGER: Final = logging.getLogger(__name__)


class GroupOffsets:
    """Commits offsets for a source. One thread at a time, but for `is_due`.

    Sources assign partitions themselves, so the brokers do not know the members of a group, and
    two jobs of one group do not disturb each other but for its offsets. A job that finds offsets
    that it did not commit, different ones at two looks, says so: somebody else moves them. Once is
    not enough, as an operator may reset them.

    Args:
        client: Of the group.
        group: The group's name.
        look_seconds: The time between two looks at a partition's offset.
    """

    def __init__(
        self, client: Consumer, group: str | None, look_seconds: float = LOOK_SECONDS
    ) -> None:
        self._client = client
        self._group = group
        self._look_seconds = look_seconds
        self._asked: dict[TopicPartition, float] = {}
        self._committed: dict[TopicPartition, int] = {}
        self._ours: dict[TopicPartition, deque[int | None]] = defaultdict(
            lambda: deque(maxlen=_REMEMBERED)
        )
        self._looked: dict[TopicPartition, float] = {}
        self._foreign: dict[TopicPartition, int] = {}
        self._warned = False

    def is_due(self, partition: TopicPartition) -> bool:
        """Whether a second has passed since this was last true for the partition."""
        now = time.monotonic()
        if now - self._asked.get(partition, -math.inf) < COMMIT_SECONDS:
            return False
        self._asked[partition] = now
        return True

    def is_committed(self, partition: TopicPartition, offset: int) -> bool:
        """Whether that was the last offset to be committed."""
        return offset == self._committed.get(partition)

    def commit(self, partition: TopicPartition, offset: int, *, final: bool) -> None:
        """Sets the group's offset, and waits until it is set if it is the final one.

        A failure is logged: these offsets are for monitoring and for `committed` starts.
        """
        self._look(partition)
        self._ours[partition].append(offset)
        if self._client.commit(partition, offset, wait=final):
            self._committed[partition] = offset

    def _look(self, partition: TopicPartition) -> None:
        now = time.monotonic()
        if self._warned or now - self._looked.get(partition, -math.inf) < self._look_seconds:
            return
        first = partition not in self._looked
        self._looked[partition] = now
        try:
            found = self._client.committed([partition])[partition]
        except (KafkaError, KafkaSetupError):
            # The commit that follows says what is wrong.
            return
        if first:
            # What an earlier run left.
            self._ours[partition].append(found)
        elif found is not None and found not in self._ours[partition]:
            self._note_foreign(partition, found)

    def _note_foreign(self, partition: TopicPartition, offset: int) -> None:
        before = self._foreign.setdefault(partition, offset)
        if before == offset:
            return
        self._warned = True
        _LOGGER.warning(
            "The group %r has offsets of %s-%d that this job did not commit (%d): another job uses"
            " the same group; give each its own with --kafka_group, or --start_offset committed"
            " starts at the other's",
            self._group,
            *partition,
            offset,
        )
