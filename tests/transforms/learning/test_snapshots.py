from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.transforms.learning.test_state import Bag
from transforms.errors import IncompatibleModelError
from transforms.learning import snapshots
from transforms.learning.snapshots import SnapshotWriter, read_snapshot


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
            writer.begin(whole, 10 * number, bags)
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
    writer.begin(b"model", 3, bags)
    writer.write(bags, Bag([]))
    assert bags[1].values == [bytes.fromhex("04" + "0" * 15 + "3" + "0" * 15 + "1") + b"model"]
    assert bags[0].values == []
