"""Ratings and requests to the model shards that work on them, in one order for each user shard."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Final, Generic

import apache_beam as beam
from apache_beam.coders import BytesCoder
from apache_beam.transforms.userstate import ReadModifyWriteStateSpec
from apache_beam.transforms.window import TimestampedValue
from apache_beam.utils.windowed_value import WindowedValue

from transforms.batches import RatingBatch
from transforms.learning.state import ValueState
from transforms.sharding.bundle import BundleBatches, Key
from transforms.sharding.config import Sharding
from transforms.sharding.in_order import FIRST, require_version
from transforms.sharding.keys import (
    ModelShard,
    ModelShardBatch,
    UserShard,
    UserShardBatch,
    by_replica,
    by_user_shard,
    model_shard_key,
    split,
    user_shard_key,
)
from transforms.sharding.stored import Reminder

KEY: Final = "KeyByUserShard"
SEQUENCE: Final = "SequenceBatches"
"""Label of the stateful step. A savepoint finds its state by it: never change it."""

VERSION: Final = 1

_COUNT: Final = struct.Struct(">BQ")


@dataclass
class KeyBatches(beam.PTransform):
    """`RatingBatch` to (model shard, `RatingBatch`).

    A batch goes to every model shard of its users' shard. Where items are sharded, the one that
    has the item learns a rating, and all of them recommend; the batches of a user shard are
    numbered, because several workers may read and key them, and each model shard has to learn
    them in the same order. Replicas all learn a rating, each in the order in which batches reach
    it, and one of them recommends: nothing is merged, so they need not agree on an order.

    What a bundle has for a shard is joined to one batch, see `sharding.bundle`. An empty batch for
    `SHARDING_KEY` comes first, and now and then, see `sharding.stored`.

    Parallelism: any; numbers of a user shard are given by one worker at a time.
    Delivery: once; the next number is committed with the runner's checkpoint.
    On failure: the bundle is repeated from the number in state.

    Attributes:
        sharding: How many shards there are.
        at_once: Where items are sharded, the most ratings of a batch; 0 for no bound.
    """

    sharding: Sharding = field(default_factory=Sharding)
    at_once: int = 0

    def __post_init__(self) -> None:
        """Initializes the base class."""
        super().__init__()

    def expand(self, batches: beam.PCollection[RatingBatch]) -> beam.PCollection[ModelShardBatch]:
        """Adds one step, and a stateful one where items are sharded."""
        if self.sharding.item_shards == 1:
            step = beam.ParDo(_KeyByModelShardDoFn(self.sharding))
            return batches | KEY >> step.with_output_types(ModelShardBatch)
        step = beam.ParDo(_KeyByUserShardDoFn(self.sharding))
        keyed = batches | KEY >> step.with_output_types(UserShardBatch)
        sequence = beam.ParDo(_SequenceDoFn(self.sharding, self.at_once))
        typed = sequence.with_input_types(UserShardBatch).with_output_types(ModelShardBatch)
        return keyed | SEQUENCE >> typed


class _JoiningDoFn(beam.DoFn, Generic[Key]):
    """Sends each key one batch of all that was added for it in a bundle."""

    def start_bundle(self) -> None:
        # What a failed bundle left is dropped.
        self._batches = BundleBatches[Key]()

    def finish_bundle(self) -> Iterator[WindowedValue]:
        yield from self._batches.rest()


class _KeyByModelShardDoFn(_JoiningDoFn[ModelShard]):
    def __init__(self, sharding: Sharding) -> None:
        self._sharding = sharding
        self._reminder = Reminder()

    def process(
        self, element: RatingBatch, time: Any = beam.DoFn.TimestampParam
    ) -> Iterator[ModelShardBatch | TimestampedValue]:
        yield from self._reminder.remind()
        for (shard, replica), batch in by_replica(element, self._sharding).items():
            key = model_shard_key(shard, 0, self._sharding, replica)
            yield from self._batches.add(key, batch, time)


class _KeyByUserShardDoFn(_JoiningDoFn[UserShard]):
    def __init__(self, sharding: Sharding) -> None:
        self._sharding = sharding

    def process(
        self, element: RatingBatch, time: Any = beam.DoFn.TimestampParam
    ) -> Iterator[TimestampedValue]:
        for shard, batch in by_user_shard(element, self._sharding.user_shards).items():
            yield from self._batches.add(user_shard_key(shard, self._sharding), batch, time)


def take_numbers(state: ValueState, count: int) -> range:
    """Returns the next `count` numbers, from 1, and writes to state that they are taken.

    Raises:
        IncompatibleModelError: State was written by another version.
    """
    encoded = state.read()
    start = FIRST
    if encoded is not None:
        require_version(encoded, VERSION)
        _, start = _COUNT.unpack(encoded)
    state.write(_COUNT.pack(VERSION, start + count))
    return range(start, start + count)


NEXT = ReadModifyWriteStateSpec("next", BytesCoder())


class _SequenceDoFn(beam.DoFn):
    def __init__(self, sharding: Sharding, at_once: int) -> None:
        self._sharding = sharding
        self._at_once = at_once
        self._reminder = Reminder()

    def process(
        self, element: UserShardBatch, state: Any = beam.DoFn.StateParam(NEXT)
    ) -> Iterator[ModelShardBatch]:
        yield from self._reminder.remind()
        (user_shard, _), batch = element
        parts = split(batch, self._at_once) if self._at_once else [batch]
        for number, part in zip(take_numbers(state, len(parts)), parts, strict=True):
            numbered = replace(part, number=number)
            for item_shard in range(self._sharding.item_shards):
                yield model_shard_key(user_shard, item_shard, self._sharding), numbered
