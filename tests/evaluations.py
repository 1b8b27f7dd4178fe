"""Evaluation records for tests."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from transforms.formats.json_lines import encode_evaluation
from transforms.formats.records import Evaluation


def evaluations(
    count: int, model: str = "mf", skill: float = 0.5, seed: int = 1
) -> list[Evaluation]:
    """Tests of a model that hits the top 10 with probability `skill`; "most popular" with 0.2.

    Users and items are the same whatever the model.
    """
    random = np.random.default_rng(seed)
    popular_random, chosen_random = np.random.default_rng(0), np.random.default_rng(0)
    items = [f"item {number}" for number in range(100)]
    made = []
    for number in range(count):
        chosen = int(chosen_random.integers(100))
        ranks = [
            int(source.integers(1, 11) if source.random() < chance else source.integers(11, 101))
            for source, chance in ((random, skill), (popular_random, 0.2))
        ]
        listed = random.permutation(100)[:10].tolist()
        made.append(
            Evaluation(
                origin=f"u.data:{number + 1}",
                user=f"user {number % 7}",
                item=items[chosen],
                rank=ranks[0],
                candidates=100,
                model=model,
                timestamp=float(number),
                items=[items[one] for one in listed],
                popular_rank=ranks[1],
                popular_items=items[:10],
                update_us=10.0,
                top_n_us=30.0,
            )
        )
    return made


def write_evaluations(path: Path, records: Iterable[Evaluation]) -> str:
    """Writes what `--evaluation` writes; returns the path."""
    path.write_bytes(b"".join(encode_evaluation(record) + b"\n" for record in records))
    return str(path)
