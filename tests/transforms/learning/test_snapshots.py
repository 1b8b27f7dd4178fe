from __future__ import annotations

import threading
from concurrent.futures import Future
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.transforms.learning.test_state import Bag
from transforms.errors import IncompatibleModelError
from transforms.learning import snapshots
from transforms.learning.snapshots import SnapshotWriter, read_snapshot, start_encoding


@given(st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=6), st.data())
def test_the_last_snapshot_is_read_until_the_next_one_is_whole(
    wholes: list[bytes], data: st.DataObject
) -> None:
    """A writer may be lost at any part; the next one begins the next snapshot anew."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(snapshots, "CHUNK_BYTES", 7)
        bags, log = (Bag([]), Bag([])), Bag([b"old"])
        writer = SnapshotWriter()
        last = None
        for number, whole in enumerate(wholes):
            writer.begin(start_encoding(partial(bytes, whole), len(whole)), 10 * number, bags)
            parts = -(-len(whole) // 7)
            lost_after = data.draw(st.integers(1, parts + 1))
            since: list[bytes] = []
            for part in range(1, parts + 1):
                before = list(log.values)
                done = writer.write(bags, log)
                assert (done is not None) == (part == parts) == (not writer.is_writing)
                if done:
                    last = whole
                    assert log.values == since
                    assert done == (len(whole), sum(map(len, since)))
                else:
                    assert log.values == before
                # Of this, four times as much is due: one chunk of 24 bytes.
                since.append(b"%3d%3d" % (number, part))
                log.add(since[-1])
                writer.note(since[-1])
                if last is None:
                    with pytest.raises(IncompatibleModelError, match="chunk"):
                        read_snapshot(bags)
                else:
                    read, bag = read_snapshot(bags)
                    assert read == last
                if part == lost_after:
                    writer = SnapshotWriter(bag if last is not None else 0)
                    break
        assert sum(map(len, bags[0].values)) + sum(map(len, bags[1].values)) >= len(last or b"")


def test_the_bytes_of_a_chunk_never_change() -> None:
    bags = (Bag([]), Bag([]))
    writer = SnapshotWriter()
    writer.begin(start_encoding(lambda: b"model", 5), 3, bags)
    writer.write(bags, Bag([]))
    assert bags[1].values == [bytes.fromhex("04" + "0" * 15 + "3" + "0" * 15 + "1") + b"model"]
    assert bags[0].values == []


def test_nothing_is_written_and_nothing_waits_while_a_large_model_is_encoded() -> None:
    bags, log = (Bag([]), Bag([])), Bag([])
    writer, may_end = SnapshotWriter(), threading.Event()

    def encode() -> bytes:
        assert may_end.wait(60)
        return bytes(3 * snapshots.CHUNK_BYTES)

    writer.begin(start_encoding(encode, snapshots.THREAD_BYTES), 7, bags)
    entry = bytes(snapshots.CHUNK_BYTES)
    for _ in range(5):
        log.add(entry)
        writer.note(entry)
        assert writer.write(bags, log) is None
        assert writer.is_writing
    assert bags[0].values == bags[1].values == []
    may_end.set()
    assert writer.write(bags, log, everything=True) == (3 * len(entry), 5 * len(entry))
    assert not writer.is_writing
    assert log.values == [entry] * 5
    assert read_snapshot(bags) == (bytes(3 * snapshots.CHUNK_BYTES), 1)


def test_what_was_logged_while_a_model_was_encoded_makes_no_chunk_due() -> None:
    bags, log = (Bag([]), Bag([])), Bag([])
    writer = SnapshotWriter()
    encoded: Future[bytes] = Future()
    writer.begin(encoded, 7, bags)
    writer.note(bytes(100 * snapshots.CHUNK_BYTES))
    encoded.set_result(bytes(3 * snapshots.CHUNK_BYTES))
    assert writer.write(bags, log) is None
    assert len(bags[1].values) == 1


def test_a_model_that_cannot_be_encoded_fails_the_bundle() -> None:
    def encode() -> bytes:
        raise MemoryError

    writer = SnapshotWriter()
    writer.begin(start_encoding(encode, snapshots.THREAD_BYTES), 7, (Bag([]), Bag([])))
    with pytest.raises(MemoryError):
        writer.write((Bag([]), Bag([])), Bag([]), everything=True)
