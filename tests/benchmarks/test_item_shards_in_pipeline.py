from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from benchmarks.item_shards_in_pipeline import recall


def write(path: Path, lists: list[tuple[str, list[str]]]) -> Path:
    records = [
        {"user": user, "items": [{"item": item, "score": 1.0} for item in items]}
        for user, items in lists
    ]
    path.write_bytes(b"\n".join(map(orjson.dumps, records)) + b"\n")
    return path


def test_a_positive_counts_where_the_users_last_list_had_it(tmp_path: Path) -> None:
    chosen = {"a": ["1", "2", "3"], "b": ["2", "1"]}
    lists = [("a", ["2"]), ("b", ["3"]), ("a", ["4"]), ("b", ["1"]), ("a", ["3"])]
    # Of a's 2 and 3 and b's 1 the first is a hit; what follows the last list is not known.
    assert recall(write(tmp_path / "lists", lists), chosen) == pytest.approx(1 / 3)


def test_a_missing_list_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has 1 lists"):
        recall(write(tmp_path / "lists", [("a", ["2"])]), {"a": ["1", "2"]})
