from __future__ import annotations

import logging

import numpy as np
import pytest

from tests.support import same_arrays
from transforms.errors import IncompatibleModelError
from transforms.recommenders.arrays import Arrays, SavedArrays
from transforms.recommenders.memory.item_features import ItemFeatures
from transforms.recommenders.numerics.cooccurrence_arrays import ColumnArrays, HistoryArrays

ONE_ITEM = HistoryArrays(
    np.array([0], np.int32), np.zeros(1), np.zeros(1, np.int64), np.ones(1, np.int32),
    np.zeros(1, np.int8),
)  # fmt: skip


def _features(*vectors: tuple[float, ...]) -> ItemFeatures:
    features = ItemFeatures(1.0)
    for item, vector in enumerate(vectors):
        features.add_item()
        if vector:
            features.see(item, vector)
    return features


def _changed(features: ItemFeatures, n: int) -> list[float]:
    """The scores of all items, before 1, for a user who had item 0."""
    nothing = np.zeros(n)
    every = np.arange(n, dtype=np.int32)
    scores = np.ones(n)
    columns = ColumnArrays(every, every, np.zeros(7), nothing, nothing, nothing, nothing)
    features.change_scores(ONE_ITEM, 0, columns, scores, all_listed=True)
    alone = [features.change_one(ONE_ITEM, 0, item, 0.0, 1.0) for item in range(n)]
    assert alone == scores.tolist()
    return alone


def test_items_like_the_history_gain_and_unlike_ones_lose() -> None:
    features = _features((1.0, 0.0), (0.0, 1.0), (1.0, 0.0), ())
    same, other, again, unknown = _changed(features, 4)
    assert same == again == pytest.approx(2.0)
    assert other == pytest.approx(0.5)
    assert unknown == 1.0


def test_units_and_what_most_items_have_do_not_matter() -> None:
    vectors = [(1.0, 0.0, 5.0), (0.0, 1.0, 5.0), (1.0, 1.0, 5.0), (0.0, 0.0, 5.0)]
    plain = _changed(_features(*vectors), 4)
    scaled = _changed(_features(*((1000 * a + 7, b, c) for a, b, c in vectors)), 4)
    assert plain == pytest.approx(scaled)


def test_without_features_nothing_changes_and_nothing_is_saved() -> None:
    features = _features((), ())
    assert not features.known
    assert _changed(features, 2) == [1.0, 1.0]
    assert features.state_dict() == {}


def test_a_weight_of_0_uses_nothing() -> None:
    assert not ItemFeatures(0.0).uses((1.0,))
    assert ItemFeatures(0.1).uses((1.0,))
    assert not ItemFeatures(0.1).uses(())


def test_features_of_another_length_are_ignored(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        odd = _features((1.0, 0.0), (0.0, 1.0), (1.0,), (1.0, 2.0, 3.0))
    assert _changed(odd, 4)[2:] == [1.0, 1.0]
    assert [record.getMessage() for record in caplog.records] == [
        "item_features of 1 numbers is ignored, expected 2 as in the first rating that had any"
    ]


def _vectors(count: int) -> list[tuple[float, ...]]:
    random = np.random.default_rng(2)
    return [tuple(random.normal(size=3)) if number % 3 else () for number in range(count)]


@pytest.mark.parametrize("cut", [1, 2, 40, 99])
def test_what_was_saved_goes_on_alike(cut: int) -> None:
    whole = _features(*_vectors(100))
    loaded = ItemFeatures(1.0)
    loaded.load_state_dict(SavedArrays(_features(*_vectors(100)[:cut]).state_dict()), cut)
    for item, vector in enumerate(_vectors(100)[cut:], cut):
        loaded.add_item()
        if vector:
            loaded.see(item, vector)
    assert same_arrays(loaded.state_dict(), whole.state_dict())
    assert _changed(loaded, 100) == _changed(whole, 100)


def test_items_that_are_dropped_leave_the_others_as_they_were() -> None:
    features = _features(*_vectors(100))
    before = _changed(features, 100)
    kept = np.array([0, 4, 5, 50, 98])
    features.keep_items(kept)
    assert _changed(features, 5) == [before[item] for item in kept]
    features.add_item()
    assert _changed(features, 6)[5] == 1.0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("vectors", np.full((3, 2), np.nan)),
        ("vectors", np.zeros((3, 0))),
        ("vectors", np.zeros((2, 2))),
        ("known", np.ones(2, dtype=bool)),
        ("moments", np.full((2, 2), -1.0)),
        ("measured", np.array([-1])),
    ],
)
def test_damage_is_found(name: str, value: np.ndarray) -> None:
    saved: Arrays = _features((1.0, 0.0), (0.0, 1.0), ()).state_dict()
    saved[f"item_features.{name}"] = value
    with pytest.raises(IncompatibleModelError, match=name):
        ItemFeatures(1.0).load_state_dict(SavedArrays(saved), 3)
