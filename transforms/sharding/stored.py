"""The sharding that state was made with, kept in state, so that no other one goes unnoticed.

State belongs to keys, and these depend on the sharding. A job that continues from a savepoint with
another one would ask for keys that have no state, and all its models would start anew in silence.
So one key, which is the same for each sharding, has the sharding as its state.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict
from typing import Final

import orjson

from transforms.batches import RatingBatch
from transforms.errors import IncompatibleStateError
from transforms.learning.state import ValueState
from transforms.sharding.config import Sharding
from transforms.sharding.keys import ModelShard, ModelShardBatch

SHARDING_KEY: Final[ModelShard] = (0, 0, 0, -1)
"""No model shard's key, as no salt is negative. State is found by it: never change it."""

_SECONDS: Final = 60.0


class Reminder:
    """Sends the key at first and once a minute, as what was sent may be lost with its bundle."""

    def __init__(self) -> None:
        self._due = 0.0

    def remind(self) -> Iterator[ModelShardBatch]:
        """Yields an empty batch for the key if it is due."""
        now = time.monotonic()
        if now >= self._due:
            self._due = now + _SECONDS
            yield SHARDING_KEY, RatingBatch([])


def require_same_sharding(state: ValueState, sharding: Sharding) -> None:
    """Compares a sharding with that in state, and writes it there if there is none.

    Args:
        state: Of `SHARDING_KEY`.
        sharding: Of this job.

    Raises:
        IncompatibleStateError: State is of another sharding.
    """
    own = asdict(sharding)
    encoded = state.read()
    if encoded is None:
        state.write(orjson.dumps(own))
        return
    saved = orjson.loads(encoded)
    if saved != own:
        other = ", ".join(
            f"{name} {saved.get(name)}, got {value}"
            for name, value in own.items()
            if saved.get(name) != value
        )
        msg = (
            f"the savepoint or checkpoint is of another sharding, expected {other}: its models"
            " would not be found. Start with the flags that it was made with, or without it: then"
            " --import_model takes over what --export_model wrote, also with other --replicas"
        )
        raise IncompatibleStateError(msg)
