"""How a shard's recommender survives: meta, snapshot and log in state, a cache in the process.

A model is too large to write whole for each bundle, and must not live only in memory. So state
holds, for each model shard:

* `meta`: a random token that is new in each bundle that learns, a count of ratings, sizes;
* `snapshot`: the recommender's arrays at some point, in numbered chunks;
* `log`: the ratings that changed it since, each entry with its sequence number.

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
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import Final, NamedTuple, Protocol

import orjson

from transforms.errors import IncompatibleModelError
from transforms.formats.rating_columns import RatingColumns, columns_of, of_plain
from transforms.formats.records import Rating
from transforms.learning import snapshot_codec
from transforms.learning.snapshot_codec import VERSION
from transforms.learning.token_cache import CacheKey, TokenCache
from transforms.recommenders.hashing import EVERYTHING, Block
from transforms.recommenders.recommender import Recommender
from transforms.recommenders.registry import RecommenderSpec

CHUNK_BYTES: Final = 4 << 20
LOG_FLOOR_BYTES: Final = 1 << 20
"""A log below this is never folded into a snapshot, however small the snapshot is."""

_META: Final = struct.Struct(">B16sQQQ")
_CHUNK: Final = struct.Struct(">BQII")


class ValueState(Protocol):
    """Beam's ReadModifyWrite state of bytes."""

    def read(self) -> bytes | None:
        """Returns the value, None if there is none."""

    def write(self, value: bytes) -> None:
        """Replaces the value."""


class BagState(Protocol):
    """Beam's Bag state of bytes, in any order."""

    def read(self) -> Iterable[bytes]:
        """Returns what was added."""
        ...

    def add(self, value: bytes) -> None:
        """Adds one."""

    def clear(self) -> None:
        """Removes all."""


class ShardState(NamedTuple):
    """One model shard's state, valid while its element is processed."""

    meta: ValueState
    snapshot: BagState
    log: BagState


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


class ModelCache(TokenCache[Recommender]):
    """Recommenders between two bundles."""


FirstModel = Callable[[], tuple[Recommender, int]]
"""Returns the recommender that a shard without state starts from, and its sequence number."""


class OpenShard:
    """A shard's recommender while a bundle works on it.

    Attributes:
        recommender: The model as state has it, plus what this bundle learned.
        rebuilt: Whether it had to be rebuilt from snapshot and log.
        imported: Whether it came from elsewhere, as there was no state; it is in state now.
    """

    def __init__(
        self,
        spec: RecommenderSpec,
        state: ShardState,
        cached: TokenCache[Recommender],
        key: CacheKey,
        first: FirstModel | None = None,
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
        recommender = cached.pop(key, meta.token)
        self.rebuilt = recommender is None and encoded is not None
        self.imported = False
        if encoded is None and first:
            recommender, sequence = first()
            meta = replace(meta, sequence=sequence)
            self.imported = sequence > 0
        if recommender is None:
            recommender = rebuild(spec, meta, state, items)
        self.recommender = recommender
        self._meta = meta
        self._renewed = False
        if self.imported:
            self._save(self._snapped(state), state)

    @property
    def sequence(self) -> int:
        """How many ratings changed the recommender."""
        return self._meta.sequence

    def record(self, ratings: Sequence[Rating], state: ShardState) -> bool:
        """Puts the ratings that just changed the recommender, at least one, into state.

        Returns:
            Whether a snapshot was written: when the log outgrew the last one, so that the
            cost of snapshots is a constant for each rating however large the model grows.
        """
        meta = self._meta
        entry = encode_log_entry(meta.sequence, ratings)
        meta = replace(
            meta, sequence=meta.sequence + len(ratings), log_bytes=meta.log_bytes + len(entry)
        )
        outgrown = meta.log_bytes > max(LOG_FLOOR_BYTES, meta.snapshot_bytes)
        if outgrown:
            self._meta = meta
            meta = self._snapped(state)
        else:
            state.log.add(entry)
        self._save(meta, state)
        return outgrown

    def close(self) -> None:
        """Leaves the recommender in the cache for the next bundle.

        One that learned nothing keeps the token, as it still is what state has.
        """
        if self._meta.token:
            self._cache.put(self._key, self._meta.token, self.recommender)

    def _snapped(self, state: ShardState) -> Meta:
        chunks = encode_snapshot(self._spec, self._meta.sequence, self.recommender, self._items)
        state.snapshot.clear()
        for chunk in chunks:
            state.snapshot.add(chunk)
        state.log.clear()
        return replace(self._meta, snapshot_bytes=sum(map(len, chunks)), log_bytes=0)

    def _save(self, meta: Meta, state: ShardState) -> None:
        if not self._renewed:
            meta = replace(meta, token=secrets.token_bytes(16))
            self._renewed = True
        state.meta.write(meta.encode())
        self._meta = meta


def encode_log_entry(first: int, ratings: Sequence[Rating]) -> bytes:
    """Returns ratings without origins and headers; the first one's number is `first`, from 0."""
    *plain, _, features, weights, _ = columns_of(ratings)
    return orjson.dumps([VERSION, first, *plain, features, weights], default=list)


def encode_snapshot(
    spec: RecommenderSpec, sequence: int, recommender: Recommender, items: Block = EVERYTHING
) -> list[bytes]:
    """Returns the recommender in chunks, each with a version byte and its number."""
    whole = memoryview(snapshot_codec.encode(spec, sequence, recommender, items))
    starts = range(0, len(whole), CHUNK_BYTES)
    return [
        _CHUNK.pack(VERSION, sequence, number, len(starts)) + whole[start : start + CHUNK_BYTES]
        for number, start in enumerate(starts)
    ]


def rebuild(
    spec: RecommenderSpec, meta: Meta, state: ShardState, items: Block = EVERYTHING
) -> Recommender:
    """Returns the recommender that snapshot and log describe.

    Raises:
        IncompatibleModelError: State was written by another version or another model, or
            does not hold every rating that `meta` counts.
    """
    if meta.snapshot_bytes:
        whole = _joined(state.snapshot.read())
        recommender, learned = snapshot_codec.decode(whole, spec, items)
    else:
        recommender, learned = spec.build(items), 0
    if meta.log_bytes:
        entries = map(_decode_log_entry, state.log.read())
        for first, ratings in sorted(entries, key=itemgetter(0)):
            if first != learned:
                msg = f"the log has a hole: entry {first} follows {learned} ratings"
                raise IncompatibleModelError(msg)
            recommender.learn_all(ratings)
            learned += len(ratings)
    if learned != meta.sequence:
        msg = f"state holds {learned} ratings, expected {meta.sequence}"
        raise IncompatibleModelError(msg)
    return recommender


def _joined(chunks: Iterable[bytes]) -> bytes:
    parts: dict[int, memoryview] = {}
    sequences = set()
    count = 0
    for chunk in chunks:
        snapshot_codec.require_version(chunk[0])
        _, sequence, number, count = _CHUNK.unpack_from(chunk)
        sequences.add(sequence)
        parts[number] = memoryview(chunk)[_CHUNK.size :]
    if len(parts) != count or len(sequences) != 1:
        msg = f"the snapshot has {len(parts)} chunk(s), expected {count}"
        raise IncompatibleModelError(msg)
    return b"".join(parts[number] for number in range(count))


def _decode_log_entry(encoded: bytes) -> tuple[int, RatingColumns]:
    try:
        version, first, *columns = orjson.loads(encoded)
        snapshot_codec.require_version(version)
        *plain, features, weights = columns
        return first, of_plain([*plain, [""] * len(plain[0]), features, weights, ()])
    except (TypeError, ValueError, IndexError) as e:
        msg = f"a log entry is damaged: {e}"
        raise IncompatibleModelError(msg) from e
