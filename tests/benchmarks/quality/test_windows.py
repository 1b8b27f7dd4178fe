from __future__ import annotations

import itertools
from collections import Counter

import numpy as np

from benchmarks.quality.peer_programs.windows import LENGTH, ROWS, TARGETS, batches


def test_every_item_that_follows_another_is_a_target_once() -> None:
    draws = np.random.default_rng(0)
    histories = [list(draws.integers(1, 50, size)) for size in draws.integers(0, 60, 300)]
    pairs: Counter[tuple[int, int]] = Counter()
    found = list(batches(histories, np.random.default_rng(1)))
    assert len(found) > 5
    for items, places, targets in found:
        assert items.shape == (ROWS, LENGTH)
        assert places.shape == targets.shape == (TARGETS,)
        real = targets > 0
        assert (np.unique(places[real], return_counts=True)[1] == 1).all()
        pairs.update(zip(items.ravel()[places[real]].tolist(), targets[real].tolist(), strict=True))
    assert pairs == Counter(
        (int(one), int(other)) for h in histories for one, other in itertools.pairwise(h)
    )


def test_windows_come_in_another_order_each_time() -> None:
    draws = np.random.default_rng(1)
    histories = [[number, number + 1] for number in range(1, 100)]
    first, second = (next(batches(histories, draws)).targets.tolist() for _ in range(2))
    assert first != second
    assert sorted(first) == sorted(second)


def test_histories_of_one_item_teach_nothing() -> None:
    assert not list(batches([[3], []], np.random.default_rng(0)))
