"""Tests of `transforms.formats.tree_reader`; what it reads is tested in `test_record_reader`."""

from __future__ import annotations

from typing import Any

from transforms.batches import RawBatch
from transforms.formats.detection import JSON
from transforms.formats.found import Found
from transforms.formats.mapping import RecordMapping
from transforms.formats.plan_cache import MAX_SHAPES, PlanCache
from transforms.formats.raw_records import Surroundings
from transforms.formats.tree_reader import TreeReader

PLAIN = {"user": 196, "item": 242, "rating": 3.0, "timestamp": 881250949}


def _document(reader: TreeReader, tree: dict[str, Any]) -> Found:
    found = Found()
    reader.document(tree, "t-0-1", Surroundings(RawBatch("t-0-", [1], [b""], JSON)), found, None)
    return found


def test_shapes_without_end_are_read_and_not_all_kept() -> None:
    plans = PlanCache(RecordMapping())
    reader = TreeReader(RecordMapping(), plans)
    for number in range(MAX_SHAPES + 50):
        assert len(_document(reader, {**PLAIN, f"further{number}": number}).ratings) == 1
    assert len(plans) <= MAX_SHAPES
    before = len(plans)
    assert len(_document(reader, {**PLAIN, "x" * 20_000: 1}).ratings) == 1
    assert len(plans) == before


def test_notes_describe_the_first_rating_once() -> None:
    reader = TreeReader(RecordMapping(), PlanCache(RecordMapping()))
    shop = {"customer_id": "c1", "sku": "x9", "ts": 1764064800}
    _document(reader, shop)
    assert reader.has_described
    (note,) = reader.notes()
    assert "customer_id" in note
    _document(reader, shop)
    assert reader.notes() == []
