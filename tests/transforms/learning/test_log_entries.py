"""Tests of `transforms.learning.log_entries`."""

from __future__ import annotations

import random

import pytest

from tests.support import movielens_like
from transforms.errors import IncompatibleModelError
from transforms.learning import log_entries
from transforms.learning.snapshot_codec import VERSION

RATINGS = movielens_like(500)


def _entries(size: int = 7) -> list[bytes]:
    starts = range(0, len(RATINGS), size)
    return [log_entries.encode(100 + start, RATINGS[start : start + size]) for start in starts]


def test_ratings_come_in_the_order_in_which_they_were_learned() -> None:
    entries = _entries()
    random.Random(1).shuffle(entries)
    found = [rating for part in log_entries.decode_in_order(entries, 100) for rating in part]
    fields = [(one.user, one.item, one.rating, one.timestamp) for one in found]
    assert fields == [(one.user, one.item, one.rating, one.timestamp) for one in RATINGS]


def test_an_entry_is_decoded_when_it_is_its_turn() -> None:
    whole, damaged = _entries(250)
    parts = log_entries.decode_in_order([damaged[:-1], whole], 100)
    assert len(next(parts)) == 250
    with pytest.raises(IncompatibleModelError, match="damaged"):
        next(parts)


def test_a_hole_is_not_passed_over() -> None:
    entries = _entries()
    del entries[3]
    with pytest.raises(IncompatibleModelError, match="hole: entry 128 follows 121 ratings"):
        list(log_entries.decode_in_order(entries, 100))


@pytest.mark.parametrize("rest", ["", ",", ",x,1]", ",100", ",100,1]", ',100,["u"]]'])
def test_a_damaged_entry_is_refused(rest: str) -> None:
    for damaged in (b"", b"[", f"[{VERSION}{rest}".encode()):
        with pytest.raises(IncompatibleModelError, match="damaged"):
            list(log_entries.decode_in_order([damaged], 100))


def test_an_entry_of_another_version_is_refused_whatever_its_number_is() -> None:
    for number in (100, 7):
        other = f"[{VERSION + 1},{number},[1]]".encode()
        with pytest.raises(IncompatibleModelError, match=f"version {VERSION + 1}, expected"):
            list(log_entries.decode_in_order([other], 100))
