from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest

from transforms import Sharding


@pytest.mark.parametrize("name", ["user_shards", "item_shards", "replicas", "key_groups"])
def test_a_number_below_one_is_refused_at_once(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} is 0, expected 1 or more"):
        Sharding(**{name: 0})


def test_one_model_is_the_default_and_it_can_not_be_changed() -> None:
    sharding = Sharding()
    assert (*sharding.grid, sharding.replicas) == (1, 1, 1)
    with pytest.raises(FrozenInstanceError):
        sharding.user_shards = 2  # type: ignore[misc]


def test_item_shards_with_replicas_are_refused() -> None:
    with pytest.raises(ValueError, match="item_shards is 2 and replicas is 3, expected 1 of"):
        Sharding(4, 2, 3)
