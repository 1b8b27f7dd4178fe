from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.recommenders.ids import IdIndex


def _index(names: list[str]) -> IdIndex:
    index = IdIndex()
    for name in names:
        index.add(name)
    return index


def test_a_new_index_knows_nobody() -> None:
    index = IdIndex()
    assert len(index) == 0
    assert index.get("196") is None


def test_ids_are_numbered_as_they_come() -> None:
    index = IdIndex()
    assert [index.add(name) for name in ("b", "a", "", "é")] == [0, 1, 2, 3]
    assert [index.get(name) for name in ("b", "a", "", "é")] == [0, 1, 2, 3]
    assert index.ids == ["b", "a", "", "é"]
    assert len(index) == 4
    assert index.get("c") is None


def test_ids_are_saved_as_utf8_end_to_end() -> None:
    arrays = _index(["196", "", "é"]).to_arrays("users")
    assert list(arrays) == ["users.bytes", "users.ends"]
    assert arrays["users.bytes"].dtype == np.uint8
    assert arrays["users.bytes"].tobytes() == b"196\xc3\xa9"
    assert arrays["users.ends"].dtype == np.int64
    assert arrays["users.ends"].tolist() == [3, 3, 5]


def test_two_indices_are_saved_side_by_side() -> None:
    arrays = {**_index(["u"]).to_arrays("users"), **_index(["i", "j"]).to_arrays("items")}
    assert IdIndex.from_arrays("users", arrays).ids == ["u"]
    assert IdIndex.from_arrays("items", arrays).ids == ["i", "j"]


@settings(deadline=None)
@given(st.lists(st.text(), unique=True))
def test_any_ids_round_trip(names: list[str]) -> None:
    loaded = IdIndex.from_arrays("users", _index(names).to_arrays("users"))
    assert loaded.ids == names
    assert [loaded.get(name) for name in names] == list(range(len(names)))


def test_a_loaded_index_goes_on_with_the_next_number() -> None:
    loaded = IdIndex.from_arrays("users", _index(["a", "b"]).to_arrays("users"))
    assert loaded.add("c") == 2
    assert loaded.get("c") == 2


def test_kept_ids_close_ranks_and_forgotten_ones_can_come_back() -> None:
    index = _index(["a", "b", "c"])
    index.keep(np.array([0, 2]))
    assert index.ids == ["a", "c"]
    assert [index.get(name) for name in "abc"] == [0, None, 1]
    assert index.add("b") == 2
