from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import movielens_like, same_arrays
from transforms.errors import IncompatibleModelError
from transforms.formats.records import Rating
from transforms.learning import log_entries, snapshots
from transforms.learning import state as model_state
from transforms.learning.state import (
    Kept,
    Meta,
    OpenShard,
    ShardState,
)
from transforms.learning.token_cache import CacheKey, TokenCache
from transforms.recommenders.arrays import Arrays
from transforms.recommenders.registry import RecommenderSpec

Cache = TokenCache[Kept]
SPEC = RecommenderSpec("mf", {"k": 3}, seed=7)
KEY = CacheKey("job", "learn", (0, 0))


class Value:
    def __init__(self, value: bytes | None) -> None:
        self.value = value

    def read(self) -> bytes | None:
        return self.value

    def write(self, value: bytes) -> None:
        self.value = value


class Bag:
    def __init__(self, values: Iterable[bytes]) -> None:
        self.values = list(values)

    def read(self) -> Iterable[bytes]:
        # State promises no order.
        return reversed(self.values)

    def add(self, value: bytes) -> None:
        self.values.append(value)

    def clear(self) -> None:
        self.values = []


@dataclass
class Store:
    """What a runner has committed for one key."""

    meta: bytes | None = None
    snapshots: tuple[list[bytes], list[bytes]] = field(default_factory=lambda: ([], []))
    log: list[bytes] = field(default_factory=list)

    def begin(self) -> ShardState:
        first, second = map(Bag, self.snapshots)
        return ShardState(Value(self.meta), (first, second), Bag(self.log))

    def commit(self, state: ShardState) -> None:
        self.meta = state.meta.read()
        first, second = (list(bag.read())[::-1] for bag in state.snapshots)
        self.snapshots = first, second
        self.log = list(state.log.read())[::-1]

    @property
    def snapshot(self) -> list[bytes]:
        """The chunks of the only snapshot."""
        (only,) = filter(None, self.snapshots)
        return only


def plain_loop(ratings: Iterable[Rating]) -> Arrays:
    recommender = SPEC.build()
    for rating in ratings:
        recommender.update(rating)
    return recommender.state_dict()


def learn(cell: OpenShard, ratings: list[Rating], state: ShardState) -> None:
    for rating in ratings:
        cell.recommender.update(rating)
    cell.record(ratings, state)


@dataclass(frozen=True)
class Bundle:
    batches: list[int]
    ending: str
    forget: bool


BUNDLES = st.lists(
    st.builds(
        Bundle,
        st.lists(st.integers(1, 12), min_size=1, max_size=4),
        st.sampled_from(["committed", "committed", "failed in process", "failed to commit"]),
        st.booleans(),
    ),
    max_size=25,
)


@settings(max_examples=150, deadline=None)
@given(BUNDLES, st.sampled_from([0, snapshots.THREAD_BYTES]))
def test_whatever_fails_the_model_is_that_of_a_plain_loop(
    bundles: list[Bundle], thread_bytes: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(snapshots, "THREAD_BYTES", thread_bytes)
        patch.setattr(model_state, "LOG_FLOOR_BYTES", 300)
        patch.setattr(snapshots, "CHUNK_BYTES", 500)
        stream = movielens_like(400, users=9, items=15)
        store, cache, done = Store(), Cache(), 0
        for bundle in bundles:
            if bundle.forget:
                cache.clear()
            state = store.begin()
            cell = OpenShard(SPEC, state, cache, KEY)
            assert cell.sequence == done
            position = done
            for size in bundle.batches:
                learn(cell, stream[position : position + size], state)
                position += size
            if bundle.ending == "failed in process":
                continue
            cell.close()
            if bundle.ending == "committed":
                store.commit(state)
                done = position
            if done > len(stream) - 50:
                break
        final = OpenShard(SPEC, store.begin(), cache, KEY).recommender.state_dict()
        assert same_arrays(final, plain_loop(stream[:done]))
        rebuilt = OpenShard(SPEC, store.begin(), Cache(), KEY).recommender.state_dict()
        assert same_arrays(rebuilt, plain_loop(stream[:done]))


def test_the_cache_saves_the_rebuild() -> None:
    store, cache = Store(), Cache()
    for batch in (movielens_like(10), movielens_like(10, seed=2)):
        state = store.begin()
        cell = OpenShard(SPEC, state, cache, KEY)
        assert not cell.rebuilt
        learn(cell, batch, state)
        cell.close()
        store.commit(state)
    assert OpenShard(SPEC, store.begin(), Cache(), KEY).rebuilt


def test_two_jobs_in_a_process_do_not_share_a_model() -> None:
    store, cache = Store(), Cache()
    state = store.begin()
    cell = OpenShard(SPEC, state, cache, KEY)
    learn(cell, movielens_like(10), state)
    cell.close()
    other = OpenShard(SPEC, Store().begin(), cache, KEY._replace(scope="another job"))
    assert other.sequence == 0
    assert len(other.recommender.users) == 0


def test_the_log_is_folded_into_snapshots_at_a_constant_cost() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model_state, "LOG_FLOOR_BYTES", 2000)
        store, cache = Store(), Cache()
        written, logged = 0, 0
        for start in range(0, 20_000, 50):
            batch = movielens_like(50, users=200, items=300, seed=start)
            state = store.begin()
            cell = OpenShard(SPEC, state, cache, KEY)
            for rating in batch:
                cell.recommender.update(rating)
            if cell.record(batch, state):
                written += sum(len(chunk) for bag in state.snapshots for chunk in bag.read())
            logged += len(log_entries.encode(0, batch))
            cell.close()
            store.commit(state)
        log = sum(map(len, store.log))
        snapshot = sum(map(len, store.snapshot))
        assert snapshot > 0
        assert log <= max(2000, snapshot) + 10_000
        assert written <= logged + snapshot


def test_the_log_ends_where_no_worker_lives_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_state, "LOG_FLOOR_BYTES", 1000)
    monkeypatch.setattr(snapshots, "CHUNK_BYTES", 100)
    store, longest, folded = Store(), 0, 0
    for seed in range(60):
        state = store.begin()
        cell = OpenShard(SPEC, state, Cache(), KEY)
        batch = movielens_like(5, seed=seed)
        for rating in batch:
            cell.recommender.update(rating)
        folded += cell.record(batch, state)
        store.commit(state)
        longest = max(longest, sum(map(len, store.log)))
    snapshot = max(sum(map(len, bag)) for bag in store.snapshots)
    assert folded
    assert longest <= 2 * max(1000, snapshot) + 1000


def test_a_hole_in_the_log_is_not_passed_over() -> None:
    store = Store()
    state = store.begin()
    cell = OpenShard(SPEC, state, Cache(), KEY)
    for seed in range(3):
        learn(cell, movielens_like(5, seed=seed), state)
    store.commit(state)
    del store.log[1]
    with pytest.raises(IncompatibleModelError, match="hole"):
        OpenShard(SPEC, store.begin(), Cache(), KEY)


def test_a_missing_end_of_the_log_is_noticed() -> None:
    store = Store()
    state = store.begin()
    cell = OpenShard(SPEC, state, Cache(), KEY)
    for seed in range(3):
        learn(cell, movielens_like(5, seed=seed), state)
    store.commit(state)
    del store.log[2]
    with pytest.raises(IncompatibleModelError, match="10 ratings, expected 15"):
        OpenShard(SPEC, store.begin(), Cache(), KEY)


def test_a_missing_chunk_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_state, "LOG_FLOOR_BYTES", 0)
    monkeypatch.setattr(snapshots, "CHUNK_BYTES", 100)
    store = Store()
    state = store.begin()
    cell = OpenShard(SPEC, state, Cache(), KEY)
    # Each batch writes a part of the first snapshot.
    for rating in movielens_like(90):
        cell.recommender.update(rating)
        if cell.record([rating], state):
            break
    store.commit(state)
    assert len(store.snapshot) > 2
    del store.snapshot[1]
    with pytest.raises(IncompatibleModelError, match="chunk"):
        OpenShard(SPEC, store.begin(), Cache(), KEY)


def test_state_of_another_version_is_refused() -> None:
    meta = bytearray(Meta(b"t" * 16, 3).encode())
    meta[0] = 9
    with pytest.raises(IncompatibleModelError, match="version 9"):
        Meta.decode(bytes(meta))


@pytest.mark.parametrize("floor", [0, 1 << 20])
@pytest.mark.parametrize(
    ("other", "difference"),
    [
        (RecommenderSpec("raisgd", {"k": 3}, seed=7), "has model mf, this job raisgd"),
        (RecommenderSpec("mf", {"k": 4}, seed=7), "has k 3, this job 4"),
        (RecommenderSpec("mf", {"k": 3, "learn_rate": 0.2}, seed=7), "learn_rate 0.6, this job"),
        (RecommenderSpec("mf", {"k": 3}, seed=8), "has seed 7, this job 8"),
    ],
)
def test_state_of_another_spec_is_refused_snapshot_or_not(
    monkeypatch: pytest.MonkeyPatch, other: RecommenderSpec, difference: str, floor: int
) -> None:
    monkeypatch.setattr(model_state, "LOG_FLOOR_BYTES", floor)
    store = Store()
    state = store.begin()
    cell = OpenShard(SPEC, state, Cache(), KEY)
    learn(cell, movielens_like(5), state)
    store.commit(state)
    assert any(store.snapshots) == (floor == 0)
    with pytest.raises(IncompatibleModelError, match=difference):
        OpenShard(other, store.begin(), Cache(), KEY)


@pytest.mark.parametrize("damaged", [b"", b"[", b"[4]", b"[4,0,1]", b'[4,0,["u"]]'])
def test_a_damaged_log_is_refused(damaged: bytes) -> None:
    store = Store()
    state = store.begin()
    cell = OpenShard(SPEC, state, Cache(), KEY)
    learn(cell, movielens_like(5), state)
    store.commit(state)
    store.log[0] = damaged
    with pytest.raises(IncompatibleModelError, match="damaged"):
        OpenShard(SPEC, store.begin(), Cache(), KEY)


def test_the_bytes_of_meta_never_change() -> None:
    encoded = Meta(bytes(range(16)), 1, 2, 3, b"{}").encode()
    assert encoded.hex() == (
        "04000102030405060708090a0b0c0d0e0f0000000000000001000000000000000200000000000000037b7d"
    )
    assert Meta.decode(encoded) == Meta(bytes(range(16)), 1, 2, 3, b"{}")
