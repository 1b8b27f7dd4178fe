from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.errors import IncompatibleModelError, OutOfSequenceError
from transforms.learning.token_cache import CacheKey, TokenCache
from transforms.sharding.in_order import InOrder, OrderMeta, OrderState, Waiting

KEY = CacheKey("job", "step", (0, 0))


class Value:
    def __init__(self, value: bytes | None) -> None:
        self.value = value

    def read(self) -> bytes | None:
        return self.value

    def write(self, value: bytes) -> None:
        self.value = value


class Bag:
    """Counts what a runner has to do."""

    def __init__(self, values: Iterable[bytes], work: dict[str, int]) -> None:
        self.values = list(values)
        self.work = work

    def read(self) -> Iterable[bytes]:
        self.work["read"] += len(self.values)
        # State promises no order.
        return reversed(self.values)

    def add(self, value: bytes) -> None:
        self.work["added"] += 1
        self.values.append(value)

    def clear(self) -> None:
        self.work["cleared"] += 1
        self.values = []


@dataclass
class Store:
    """What a runner has committed for one key."""

    meta: bytes | None = None
    waiting: list[bytes] = field(default_factory=list)
    work: dict[str, int] = field(default_factory=lambda: {"read": 0, "added": 0, "cleared": 0})

    def begin(self) -> tuple[OrderState, Value, Bag]:
        meta, waiting = Value(self.meta), Bag(self.waiting, self.work)
        return OrderState(meta, waiting), meta, waiting

    def commit(self, meta: Value, waiting: Bag) -> None:
        self.meta, self.waiting = meta.value, waiting.values


Cache = TokenCache[Waiting]


def opened(state: OrderState, cache: Cache, senders: int = 1) -> InOrder[str]:
    return InOrder(state, cache, KEY, str.encode, bytes.decode, senders)


def element(number: int, sender: int) -> str:
    return f"{number}/{sender}"


@dataclass(frozen=True)
class Bundle:
    size: int
    ending: str
    forget: bool


BUNDLES = st.lists(
    st.builds(
        Bundle,
        st.integers(1, 8),
        st.sampled_from(["committed", "committed", "failed in process", "failed to commit"]),
        st.booleans(),
    ),
    max_size=30,
)


@settings(max_examples=300, deadline=None)
@given(BUNDLES, st.integers(1, 3), st.randoms(use_true_random=False), st.integers(0, 30))
def test_whatever_fails_and_however_they_come_sets_leave_whole_once_and_in_order(
    bundles: list[Bundle], senders: int, shuffler: random.Random, disorder: int
) -> None:
    offered = [(number, sender) for number in range(1, 31) for sender in range(senders)]
    order = {one: at + shuffler.uniform(0, disorder) for at, one in enumerate(offered)}
    offered.sort(key=order.__getitem__)
    store, cache, left = Store(), Cache(), []
    at = 0
    for bundle in [*bundles, Bundle(len(offered), "committed", forget=False)]:
        if bundle.forget:
            cache.clear()
        state, meta, waiting = store.begin()
        queue = opened(state, cache, senders)
        chosen = offered[at : at + bundle.size]
        out = [
            whole
            for number, sender in chosen
            for whole in queue.offer(number, sender, element(number, sender), state)
        ]
        if bundle.ending == "failed in process":
            continue
        queue.close()
        if bundle.ending == "committed" and chosen:
            store.commit(meta, waiting)
            left += out
            at += len(chosen)
    assert left == [
        [element(number, sender) for sender in range(senders)] for number in range(1, 31)
    ]
    assert store.waiting == []


@pytest.mark.parametrize("lag", [1, 4, 16, 256])
@pytest.mark.parametrize("senders", [2, 3])
def test_the_work_for_an_element_does_not_depend_on_how_many_wait(lag: int, senders: int) -> None:
    store, cache = Store(), Cache()
    offers, count = 0, 1000
    for number in range(1, count + lag + 1):
        # The last sender is `lag` numbers behind the others.
        ahead = [(number, sender) for sender in range(senders - 1) if number <= count]
        behind = [(number - lag, senders - 1)] if number > lag else []
        for of_number, sender in [*ahead, *behind]:
            state, meta, waiting = store.begin()
            queue = opened(state, cache, senders)
            queue.offer(of_number, sender, element(of_number, sender), state)
            queue.close()
            store.commit(meta, waiting)
            offers += 1
            assert len(store.waiting) <= 2 * (lag + 1) * (senders - 1)
    assert store.work["read"] == 0
    assert store.work["added"] <= 2 * offers
    assert store.work["cleared"] <= offers
    assert store.waiting == []


def test_what_comes_in_order_is_never_written_to_the_bag() -> None:
    store, cache = Store(), Cache()
    for number in range(1, 50):
        state, meta, waiting = store.begin()
        queue = opened(state, cache)
        assert queue.offer(number, 0, "x", state) == [["x"]]
        queue.close()
        store.commit(meta, waiting)
    assert store.work == {"read": 0, "added": 0, "cleared": 0}


def test_the_bag_is_read_once_when_the_process_forgot_it_and_then_no_more() -> None:
    store, cache = Store(), Cache()
    state, meta, waiting = store.begin()
    queue = opened(state, cache)
    for number in range(2, 12):
        assert queue.offer(number, 0, str(number), state) == []
    queue.close()
    store.commit(meta, waiting)
    cache.clear()
    for number in range(12, 15):
        state, meta, waiting = store.begin()
        queue = opened(state, cache)
        assert queue.offer(number, 0, str(number), state) == []
        queue.close()
        store.commit(meta, waiting)
    assert store.work["read"] == 10
    state, meta, waiting = store.begin()
    ready = opened(state, cache).offer(1, 0, "1", state)
    assert ready == [[str(number)] for number in range(1, 15)]


@pytest.mark.parametrize("number", [1, 2])
def test_an_element_that_comes_twice_is_an_error(number: int) -> None:
    state, _, _ = Store().begin()
    queue = opened(state, Cache(), senders=2)
    for sender in (0, 1):
        queue.offer(1, sender, "x", state)
    queue.offer(2, 0, "x", state)
    with pytest.raises(OutOfSequenceError, match=f"batch {number} of item shard 0 came twice"):
        queue.offer(number, 0, "x", state)


def test_state_of_another_version_or_another_number_of_item_shards_is_refused() -> None:
    meta = OrderMeta(b"t" * 16, 3, 0, 2).encode()
    state, _, _ = Store(bytes([9, *meta[1:]])).begin()
    with pytest.raises(IncompatibleModelError, match="state has version 9, expected 2"):
        opened(state, Cache(), senders=2)
    state, _, _ = Store(meta).begin()
    with pytest.raises(IncompatibleModelError, match=r"of 2 item shard\(s\), this job has 3"):
        opened(state, Cache(), senders=3)


def test_a_missing_element_is_noticed() -> None:
    store = Store()
    state, meta, waiting = store.begin()
    queue = opened(state, Cache())
    for number in (2, 3):
        queue.offer(number, 0, "x", state)
    store.commit(meta, waiting)
    del store.waiting[0]
    with pytest.raises(IncompatibleModelError, match="1 waiting batches, expected 2"):
        opened(store.begin()[0], Cache())


def test_the_bytes_of_state_never_change() -> None:
    encoded = OrderMeta(bytes(range(16)), 1, 2, 3).encode()
    assert encoded.hex() == (
        "02000102030405060708090a0b0c0d0e0f0000000000000001000000000000000200000003"
    )
    assert OrderMeta.decode(encoded) == OrderMeta(bytes(range(16)), 1, 2, 3)
    state, _, waiting = Store().begin()
    opened(state, Cache(), 2).offer(2, 1, "x", state)
    assert waiting.values == [b"\0\0\0\0\0\0\0\2\0\0\0\1x"]
