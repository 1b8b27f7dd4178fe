"""Tests of `transforms.recommenders.numerics.tuning_kernels`."""

import pytest

from transforms.recommenders.models.itemknn_config import ItemKNNConfig
from transforms.recommenders.models.itemknn_state import ItemKNNState
from transforms.recommenders.numerics.cooccurrence_arrays import POSITIVES
from transforms.recommenders.numerics.tuning_kernels import is_test


@pytest.mark.parametrize(
    ("start", "tests"),
    [(0, 512), (512, 64), (7_680, 64), (8_192, 16), (65_024, 16), (65_536, 8), (1_000_000, 8)],
)
def test_settings_are_tested_often_at_first_and_rarely_later(start: int, tests: int) -> None:
    config = ItemKNNConfig()
    state = ItemKNNState(config)
    state.histories.add_user()
    for _ in range(2):
        state.add_item(listed=True)
    state.histories.reserve(0)
    histories, items = state.histories.arrays, state.items.arrays
    histories.ids[histories.starts[0]] = 0
    histories.sizes[0] = 1
    items.chosen[:2] = 1.0
    count = 0
    for positives in range(start, start + 512):
        items.totals[POSITIVES] = positives
        count += is_test(histories, items, config.constants(), 0, 1)
    assert abs(count - tests) <= (start > 0)
