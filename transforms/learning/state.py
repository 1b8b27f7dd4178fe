"""How a shard's recommender survives: meta, snapshot and log in state, a cache in the process.

A model is too large to write whole for each bundle, and must not live only in memory. So state
holds, for each model shard:

* `meta`: a random token that is new in each bundle that learns, a count of ratings, sizes;
* `snapshot`, twice: the recommender's arrays at some point, see `learning.snapshots`;
* `log`: the ratings that changed it since, each entry with its sequence number;
* `positions`: how far it has learned each source, where the model is exported or imported.

The recommender itself waits in a process-wide cache between two bundles, under the token that
the bundle wrote. A bundle takes it out of the cache and uses it only if state still has that
token: a bundle that failed, or ran elsewhere, left another one, and then the recommender is
rebuilt from snapshot and log. That makes learning exactly once wherever state is committed
together with the input's progress.

Nothing here imports Beam: state is whatever has Beam's `read`, `write`, `add`, `clear`.
"""

from __future__ import annotations

import json
import secrets
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, NamedTuple, Protocol

import orjson

from transforms.errors import IncompatibleModelError
from transforms.formats.records import Rating
from transforms.learning import log_entries, positions, snapshot_codec
from transforms.learning.positions import Positions
from transforms.learning.snapshot_codec import VERSION
from transforms.learning.snapshots import (
    BagState,
    SnapshotBags,
    SnapshotWriter,
    read_snapshot,
    start_encoding,
)
from transforms.learning.token_cache import CacheKey, TokenCache
from transforms.recommenders.hashing import EVERYTHING, Block
from transforms.recommenders.recommender import Recommender
from transforms.recommenders.registry import RecommenderSpec

LOG_FLOOR_BYTES: Final = 1 << 20
"""A log below this is never folded into a snapshot, however small the snapshot is."""

_META: Final = struct.Struct(">B16sQQQ")


class ValueState(Protocol):
    """Beam's ReadModifyWrite state of bytes."""

    def read(self) -> bytes | None:
        """Returns the value, None if there is none."""

    def write(self, value: bytes) -> None:
        """Replaces the value."""


class ShardState(NamedTuple):
    """One model shard's state, valid while its element is processed.

    Attributes:
        meta: See above.
        snapshots: See above.
        log: See above.
        positions: How far the shard has learned each partition; None if that is not kept.
    """

    meta: ValueState
    snapshots: SnapshotBags
    log: BagState
    positions: ValueState | None = None


@dataclass(frozen=True)
class Meta:
    """What is read first.

    Attributes:
        token: Names the only copy in memory that equals what is in state.
        sequence: How many ratings changed the recommender: its positives and, where items are
            sharded, the first ratings of users whose items other shards learn.
        snapshot_bytes: Size of the snapshot.
        log_bytes: Size of the log.
        spec: What the recommender is made from, as JSON: a log alone would replay into any.
    """

    token: bytes
    sequence: int = 0
    snapshot_bytes: int = 0
    log_bytes: int = 0
    spec: bytes = b""

    def encode(self) -> bytes:
        """Returns a version byte, the token, three numbers and the spec."""
        numbers = (self.sequence, self.snapshot_bytes, self.log_bytes)
        return _META.pack(VERSION, self.token, *numbers) + self.spec

    @classmethod
    def decode(cls, encoded: bytes) -> Meta:
        """Returns what `encode` wrote.

        Raises:
            IncompatibleModelError: It was written by another version.
        """
        snapshot_codec.require_version(encoded[0])
        _, token, sequence, snapshot_bytes, log_bytes = _META.unpack_from(encoded)
        return cls(token, sequence, snapshot_bytes, log_bytes, encoded[_META.size :])


class Kept(NamedTuple):
    """What stays in memory between two bundles.

    Attributes:
        recommender: The model.
        writer: Of its snapshots; one may be written in part.
    """

    recommender: Recommender
    writer: SnapshotWriter


class ModelCache(TokenCache[Kept]):
    """Recommenders between two bundles."""


class ShardModel(NamedTuple):
    """A shard's model apart from state: what is exported, and what a new shard starts from.

    Attributes:
        recommender: The model.
        sequence: How many ratings changed it.
        positions: How far it has learned each partition.
    """

    recommender: Recommender
    sequence: int
    positions: Positions


class OpenShard:
    """A shard's recommender while a bundle works on it.

    Attributes:
        recommender: The model as state has it, plus what this bundle learned.
        rebuilt: Whether it had to be rebuilt from snapshot and log.
        imported: Whether it came from elsewhere, as there was no state; it is in state now.
        positions: How far it has learned each partition.
        imported_positions: How far the imported model had: ratings before that are not learned
            again.
    """

    def __init__(
        self,
        spec: RecommenderSpec,
        state: ShardState,
        cached: TokenCache[Kept],
        key: CacheKey,
        first: Callable[[], ShardModel] | None = None,
        items: Block = EVERYTHING,
    ) -> None:
        self._spec = spec
        self._items = items
        self._key = key
        self._cache = cached
        encoded = state.meta.read()
        own = orjson.dumps(spec.to_dict())
        meta = Meta(b"", spec=own) if encoded is None else Meta.decode(encoded)
        if meta.spec != own:
            snapshot_codec.require_same_spec(json.loads(meta.spec), spec)
        kept = cached.pop(key, meta.token)
        self.rebuilt = kept is None and encoded is not None
        self.imported = False
        kept_positions = state.positions.read() if state.positions is not None else None
        self.positions, self.imported_positions = positions.decode(kept_positions)
        if encoded is None and first:
            imported = first()
            kept = Kept(imported.recommender, SnapshotWriter())
            meta = replace(meta, sequence=imported.sequence)
            self.imported = imported.sequence > 0
            self.positions = self.imported_positions = dict(imported.positions)
        self.recommender, self._writer = kept or rebuild(spec, meta, state, items)
        self._meta = meta
        self._renewed = False
        if self.imported:
            self._begin_snapshot(meta.sequence, state)
            self._save(self._write_snapshot(meta, state, everything=True), state)
            self._save_positions(state)

    @property
    def has_learned(self) -> bool:
        """Whether anything was learned in this bundle."""
        return self._renewed

    @property
    def sequence(self) -> int:
        """How many ratings changed the recommender."""
        return self._meta.sequence

    def record(self, ratings: Sequence[Rating], state: ShardState) -> bool:
        """Puts the ratings that just changed the recommender, at least one, into state.

        A snapshot is begun when the log outgrew the last one, so that the cost of snapshots is a
        constant for each rating however large the model grows; each call writes a part of it.

        Returns:
            Whether a snapshot is complete now.
        """
        meta = self._meta
        entry = log_entries.encode(meta.sequence, ratings)
        state.log.add(entry)
        self._writer.note(entry)
        meta = replace(
            meta, sequence=meta.sequence + len(ratings), log_bytes=meta.log_bytes + len(entry)
        )
        most = max(LOG_FLOOR_BYTES, meta.snapshot_bytes)
        late = False
        if meta.log_bytes > most and not self._writer.is_writing:
            self._begin_snapshot(meta.sequence, state)
            # Where workers die again and again while they write one, the log would never end.
            late = meta.log_bytes > 2 * most
        complete = False
        if self._writer.is_writing:
            meta = self._write_snapshot(meta, state, everything=late)
            complete = not self._writer.is_writing
        self._save(meta, state)
        return complete

    def advance(self, ratings: Sequence[Rating], state: ShardState) -> None:
        """Notes that ratings were learned, whether they changed the recommender or not."""
        if state.positions is None:
            return
        reached = positions.after(self.positions, ratings)
        if reached != self.positions:
            self.positions = reached
            self._save_positions(state)

    def close(self) -> None:
        """Leaves the recommender in the cache for the next bundle.

        One that learned nothing keeps the token, as it still is what state has.
        """
        if self._meta.token:
            self._cache.put(self._key, self._meta.token, Kept(self.recommender, self._writer))

    def _begin_snapshot(self, sequence: int, state: ShardState) -> None:
        arrays = self.recommender.state_dict()
        encode = partial(snapshot_codec.encode, self._spec, sequence, arrays, self._items)
        encoded = start_encoding(encode, sum(array.nbytes for array in arrays.values()))
        self._writer.begin(encoded, sequence, state.snapshots)

    def _write_snapshot(self, meta: Meta, state: ShardState, *, everything: bool = False) -> Meta:
        """Writes of the snapshot what is due; returns what is in state then."""
        done = self._writer.write(state.snapshots, state.log, everything=everything)
        return replace(meta, snapshot_bytes=done[0], log_bytes=done[1]) if done else meta

    def _save_positions(self, state: ShardState) -> None:
        if state.positions is not None:
            encoded = positions.encode(self.positions, self.imported_positions)
            state.positions.write(encoded)

    def _save(self, meta: Meta, state: ShardState) -> None:
        if not self._renewed:
            meta = replace(meta, token=secrets.token_bytes(16))
            self._renewed = True
        state.meta.write(meta.encode())
        self._meta = meta


def rebuild(
    spec: RecommenderSpec, meta: Meta, state: ShardState, items: Block = EVERYTHING
) -> Kept:
    """Returns the recommender that snapshot and log describe, and what goes on with snapshots.

    Raises:
        IncompatibleModelError: State was written by another version or another model, or
            does not hold every rating that `meta` counts.
    """
    if meta.snapshot_bytes:
        whole, bag = read_snapshot(state.snapshots)
        recommender, learned = snapshot_codec.decode(whole, spec, items)
    else:
        recommender, learned, bag = spec.build(items), 0, 0
    if meta.log_bytes:
        for ratings in log_entries.decode_in_order(state.log.read(), learned):
            recommender.learn_all(ratings)
            learned += len(ratings)
    if learned != meta.sequence:
        msg = f"state holds {learned} ratings, expected {meta.sequence}"
        raise IncompatibleModelError(msg)
    return Kept(recommender, SnapshotWriter(bag))
