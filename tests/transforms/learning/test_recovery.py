from __future__ import annotations

import pytest

from tests.support import features_of, same_arrays
from tests.transforms.learning.test_state import KEY, Cache, Store, learn
from tests.transforms.recommenders.featured import featured
from transforms.learning import state as model_state
from transforms.learning.state import OpenShard
from transforms.recommenders.registry import MODEL_NAMES, RecommenderSpec


@pytest.mark.parametrize("model", MODEL_NAMES)
@pytest.mark.parametrize("max_users", [0, 25])
def test_every_model_is_rebuilt_to_the_bit_from_snapshot_and_log(
    model: str, max_users: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_state, "LOG_FLOOR_BYTES", 20_000)
    spec = RecommenderSpec(model, seed=7, max_users=max_users)
    plain, store, rebuilds = spec.build(), Store(), 0
    ratings = featured(600)
    for start in range(0, len(ratings), 20):
        part = ratings[start : start + 20]
        state = store.begin()
        # Nothing is in a new cache: the bundle starts from what state has.
        cell = OpenShard(spec, state, Cache(), KEY)
        rebuilds += cell.rebuilt
        learn(cell, part, state)
        store.commit(state)
        for rating in part:
            plain.update(rating)
        assert same_arrays(cell.recommender.state_dict(), plain.state_dict())
        day = features_of(part[-1]).context
        for user in ("1", "2"):
            assert cell.recommender.recommend(user, 10, day) == plain.recommend(user, 10, day)
    assert rebuilds > 20
    assert store.snapshot
