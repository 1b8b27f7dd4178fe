from __future__ import annotations

import pickle

from transforms.formats.records import ScoredItem, ScoredItems


def test_a_list_in_columns_is_a_sequence_of_scored_items() -> None:
    pairs = [ScoredItem("242", 0.97), ScoredItem("1", 0.5), ScoredItem("é", -1.0)]
    listed = ScoredItems(["242", "1", "é"], [0.97, 0.5, -1.0])
    assert listed == pairs
    assert list(listed) == pairs
    assert listed[1].item == "1"
    assert listed[:2] == pairs[:2]
    assert listed[-1].score == -1.0
    assert len(listed) == 3
    assert listed != pairs[:2]
    assert listed != "242"
    assert repr(listed) == repr(pairs)
    assert pickle.loads(pickle.dumps(listed)) == pairs
