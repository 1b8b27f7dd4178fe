from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.errors import IncompatibleModelError
from transforms.recommenders.arrays import Arrays, SavedArrays
from transforms.recommenders.memory.vocabulary import Vocabulary


def _index(names: list[str]) -> Vocabulary:
    index = Vocabulary()
    for name in names:
        index.add(name)
    return index


def _loaded(name: str, arrays: Arrays) -> Vocabulary:
    vocabulary = Vocabulary()
    vocabulary.load(name, SavedArrays(arrays))
    return vocabulary


def test_a_new_index_knows_nobody() -> None:
    index = Vocabulary()
    assert len(index) == 0
    assert index.get("196") is None


def test_ids_are_numbered_as_they_come() -> None:
    index = Vocabulary()
    assert [index.add(name) for name in ("b", "a", "", "é")] == [0, 1, 2, 3]
    assert [index.get(name) for name in ("b", "a", "", "é")] == [0, 1, 2, 3]
    assert index.ids == ["b", "a", "", "é"]
    assert len(index) == 4
    assert index.get("c") is None


def test_many_are_asked_for_at_once() -> None:
    vocabulary = Vocabulary()
    for name in ("a", "b"):
        vocabulary.add(name)
    assert vocabulary.get_all(["b", "nobody", "a", "b"]) == [1, None, 0, 1]


def test_ids_are_saved_as_utf8_end_to_end() -> None:
    arrays = _index(["196", "", "é"]).to_arrays("users")
    assert list(arrays) == ["users.bytes", "users.ends"]
    assert arrays["users.bytes"].dtype == np.uint8
    assert arrays["users.bytes"].tobytes() == b"196\xc3\xa9"
    assert arrays["users.ends"].dtype == np.int64
    assert arrays["users.ends"].tolist() == [3, 3, 5]


def test_two_indices_are_saved_side_by_side() -> None:
    arrays = {**_index(["u"]).to_arrays("users"), **_index(["i", "j"]).to_arrays("items")}
    assert _loaded("users", arrays).ids == ["u"]
    assert _loaded("items", arrays).ids == ["i", "j"]


@settings(deadline=None)
@given(st.lists(st.text(), unique=True))
def test_any_ids_round_trip(names: list[str]) -> None:
    loaded = _loaded("users", _index(names).to_arrays("users"))
    assert loaded.ids == names
    assert [loaded.get(name) for name in names] == list(range(len(names)))


def test_a_loaded_index_goes_on_with_the_next_number() -> None:
    loaded = _loaded("users", _index(["a", "b"]).to_arrays("users"))
    assert loaded.add("c") == 2
    assert loaded.get("c") == 2


def test_kept_ids_close_ranks_and_forgotten_ones_can_come_back() -> None:
    index = _index(["a", "b", "c"])
    index.keep(np.array([0, 2]))
    assert index.ids == ["a", "c"]
    assert [index.get(name) for name in "abc"] == [0, None, 1]
    assert index.add("b") == 2


@pytest.mark.parametrize(
    ("encoded", "ends", "problem"),
    [
        (b"ab", [1, 3], "points beyond"),
        (b"ab", [2, 1], "does not ascend"),
        (b"ab", [-1, 2], "does not ascend"),
        (b"ab", [1], "ends at 1, expected 2"),
        (b"aa", [1, 2], "twice"),
        (b"\xff", [1], "UTF-8"),
    ],
)
def test_damaged_ids_are_refused(encoded: bytes, ends: list[int], problem: str) -> None:
    arrays = {"users.bytes": np.frombuffer(encoded, dtype=np.uint8), "users.ends": np.array(ends)}
    with pytest.raises(IncompatibleModelError, match=problem):
        _loaded("users", arrays)
