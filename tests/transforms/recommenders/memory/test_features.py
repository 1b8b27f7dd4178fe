from __future__ import annotations

import logging

import numpy as np
import pytest

from transforms.errors import IncompatibleModelError
from transforms.formats.records import Features
from transforms.recommenders.arrays import SavedArrays
from transforms.recommenders.memory.features import CONTEXT, ITEM, USER, FeatureStore


def _seen(users: int = 2, items: int = 2) -> FeatureStore:
    seen = FeatureStore()
    seen.users.add(users)
    seen.items.add(items)
    return seen


def test_nothing_is_known_until_it_is_said() -> None:
    seen = _seen()
    assert seen.see(0, 0, None).tolist() == []
    assert seen.length == 0
    assert seen.users.used().shape == (2, 0)


def test_the_last_rating_that_says_something_counts() -> None:
    seen = _seen()
    seen.see(0, 1, Features((1.0, 2.0), (3.0,), (4.0, 5.0, 6.0)))
    seen.see(0, 1, Features((7.0, 8.0), (), ()))
    seen.see(0, 1, None)
    assert seen.length == 6
    assert seen.users.used().tolist() == [[7.0, 8.0], [0.0, 0.0]]
    assert seen.items.used().tolist() == [[0.0], [3.0]]


def test_a_context_is_of_its_rating_alone() -> None:
    seen = _seen()
    assert seen.see(0, 0, Features(context=(1.0, 2.0))).tolist() == [1.0, 2.0]
    assert seen.see(0, 0, None).tolist() == [0.0, 0.0]
    assert seen.context((3.0, -2.0)).tolist() == [3.0, -2.0]


def test_kinds_stand_end_to_end_as_they_become_known() -> None:
    seen = _seen()
    context = seen.see(0, 1, Features((), (0.3,), (0.4, 0.5)))
    assert seen.whole_of_items(0, context).tolist() == [[0.4, 0.5, 0.0], [0.4, 0.5, 0.3]]
    assert seen.whole(0, context, -1).tolist() == [0.4, 0.5, 0.0]
    context = seen.see(0, 1, Features((0.6, 0.7)))
    assert seen.whole(0, context, 1).tolist() == [0.0, 0.0, 0.3, 0.6, 0.7]
    assert (seen.part(USER), seen.part(CONTEXT)) == (slice(3, 5), slice(0, 2))
    assert seen.part(ITEM) == slice(2, 3)


def test_a_request_does_not_say_how_long_contexts_are() -> None:
    seen = _seen()
    assert seen.context((1.0, 2.0)).tolist() == []
    assert seen.see(0, 0, Features(context=(3.0,))).tolist() == [3.0]


def test_a_vector_of_another_length_is_left_out_and_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    seen = _seen()
    seen.see(0, 0, Features((1.0, 2.0), (3.0,), (4.0,)))
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            context = seen.see(0, 0, Features((9.0,), (9.0, 9.0), (9.0, 9.0)))
    assert context.tolist() == [0.0]
    assert seen.users.used()[0].tolist() == [1.0, 2.0]
    assert seen.items.used()[0].tolist() == [3.0]
    assert [record.getMessage() for record in caplog.records] == [
        f"{name} of {got} numbers is ignored, expected {expected} as in the first rating that had"
        " any"
        for name, got, expected in (
            ("user_features", 1, 2),
            ("item_features", 2, 1),
            ("context", 2, 1),
        )
    ]


def test_it_is_saved_and_loaded() -> None:
    seen = _seen()
    seen.see(0, 1, Features((1.0, 2.0), (3.0,), (4.0,)))
    loaded = FeatureStore()
    loaded.load_state_dict(SavedArrays(seen.state_dict()), 2, 2)
    assert loaded.length == seen.length
    assert [loaded.part(kind) for kind in range(3)] == [seen.part(kind) for kind in range(3)]
    assert np.array_equal(loaded.users.used(), seen.users.used())
    loaded.users.add()
    assert loaded.users.used()[-1].tolist() == [0.0, 0.0]


def test_what_is_missing_is_named() -> None:
    with pytest.raises(IncompatibleModelError, match=r"features\.users"):
        FeatureStore().load_state_dict(SavedArrays({}), 0, 0)


def test_a_large_feature_is_scaled_by_the_largest_seen() -> None:
    seen = _seen()
    context = seen.see(0, 1, Features((1995.0, 1.0), (0.5, -8.0), (3.0,)))
    assert seen.whole(0, context, 1).tolist() == [1.0, 1.0, 3.0, 0.5, -1.0]
    context = seen.see(1, 0, Features((3990.0, 2.0), (0.5, 16.0), (3.0,)))
    assert seen.whole(0, context, 1).tolist() == [0.5, 1.0, 3.0, 0.5, -0.5]
    assert seen.users.used().tolist() == [[1995.0, 1.0], [3990.0, 2.0]]
    assert seen.whole_of_items(0, context)[0].tolist() == [0.5, 1.0, 3.0, 0.5, 1.0]
    loaded = FeatureStore()
    loaded.load_state_dict(SavedArrays(seen.state_dict()), 2, 2)
    assert loaded.whole(0, context, 1).tolist() == [0.5, 1.0, 3.0, 0.5, -0.5]


def test_the_context_of_a_request_stays_in_bounds() -> None:
    seen = _seen()
    seen.see(0, 1, Features(context=(1.0,)))
    assert seen.context((1e300,)).tolist() == [4.0]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("features.starts", [0, 0, 0]),
        ("features.starts", [5, 0, 1]),
        ("features.context_length", [2]),
        ("features.context_length", [-1]),
        ("features.context_length", [1 << 40]),
        ("features.scale", [1.0, 1.0, 0.5]),
        ("features.scale", [1.0]),
        ("features.users", [[np.nan], [0.0]]),
    ],
)
def test_damaged_features_are_refused(name: str, value: list[float]) -> None:
    seen = _seen()
    seen.see(0, 1, Features((1.0,), (2.0,), (3.0,)))
    arrays = {**seen.state_dict(), name: np.array(value)}
    with pytest.raises(IncompatibleModelError, match=r"features\."):
        FeatureStore().load_state_dict(SavedArrays(arrays), 2, 2)
