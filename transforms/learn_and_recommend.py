"""The stateful step of `Recommend`: a `ShardLearner` whose state Beam keeps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import apache_beam as beam
from apache_beam.coders import BytesCoder
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import (
    BagStateSpec,
    ReadModifyWriteStateSpec,
    TimerSpec,
    on_timer,
)
from apache_beam.transforms.window import GlobalWindow

from transforms.shard_learner import LearnerOutput, LearnerState, ShardLearner, is_exported
from transforms.sharding.in_order import OrderState
from transforms.sharding.keys import ModelShardBatch

META = ReadModifyWriteStateSpec("meta", BytesCoder())
SNAPSHOT = BagStateSpec("snapshot", BytesCoder())
OTHER_SNAPSHOT = BagStateSpec("other_snapshot", BytesCoder())
LOG = BagStateSpec("log", BytesCoder())
# Where models are exported, or go on from an export; elsewhere it is never read or written.
POSITIONS = ReadModifyWriteStateSpec("positions", BytesCoder())
# Where items are sharded; elsewhere they are never read or written.
ORDER = ReadModifyWriteStateSpec("order", BytesCoder())
EARLY = BagStateSpec("early", BytesCoder())


class LearnAndRecommendDoFn(ShardLearner, beam.DoFn):
    """Learns and recommends, without exports."""

    def process(
        self,
        element: ModelShardBatch,
        meta: Any = beam.DoFn.StateParam(META),
        snapshot: Any = beam.DoFn.StateParam(SNAPSHOT),
        other_snapshot: Any = beam.DoFn.StateParam(OTHER_SNAPSHOT),
        log: Any = beam.DoFn.StateParam(LOG),
        positions: Any = beam.DoFn.StateParam(POSITIONS),
        order: Any = beam.DoFn.StateParam(ORDER),
        early: Any = beam.DoFn.StateParam(EARLY),
    ) -> Iterator[LearnerOutput]:
        """Yields what `ShardLearner.process_element` makes of a batch."""
        model = self.shard_state(meta, snapshot, other_snapshot, log, positions)
        state = LearnerState(model, OrderState(order, early))
        yield from self.process_element(element, state)


class LearnRecommendAndExportDoFn(ShardLearner, beam.DoFn):
    """Learns, recommends, and exports models: periodically and at the end of the input."""

    # Fires when the input has ended, if it ever does.
    END = TimerSpec("end", TimeDomain.WATERMARK)

    def process(
        self,
        element: ModelShardBatch,
        meta: Any = beam.DoFn.StateParam(META),
        snapshot: Any = beam.DoFn.StateParam(SNAPSHOT),
        other_snapshot: Any = beam.DoFn.StateParam(OTHER_SNAPSHOT),
        log: Any = beam.DoFn.StateParam(LOG),
        positions: Any = beam.DoFn.StateParam(POSITIONS),
        order: Any = beam.DoFn.StateParam(ORDER),
        early: Any = beam.DoFn.StateParam(EARLY),
        end: Any = beam.DoFn.TimerParam(END),
    ) -> Iterator[LearnerOutput]:
        """Yields what `ShardLearner.process_element` makes of a batch."""
        if is_exported(element[0]):
            end.set(GlobalWindow().max_timestamp())
        model = self.shard_state(meta, snapshot, other_snapshot, log, positions)
        state = LearnerState(model, OrderState(order, early))
        yield from self.process_element(element, state)

    @on_timer(END)
    def export_at_the_end(
        self,
        key: Any = beam.DoFn.KeyParam,
        meta: Any = beam.DoFn.StateParam(META),
        snapshot: Any = beam.DoFn.StateParam(SNAPSHOT),
        other_snapshot: Any = beam.DoFn.StateParam(OTHER_SNAPSHOT),
        log: Any = beam.DoFn.StateParam(LOG),
        positions: Any = beam.DoFn.StateParam(POSITIONS),
    ) -> None:
        """Exports the shard when its input has ended."""
        self.finish(key, self.shard_state(meta, snapshot, other_snapshot, log, positions))
