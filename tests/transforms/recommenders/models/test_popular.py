from __future__ import annotations

import numpy as np
import pytest
from flurs.baseline import Popular as FlursPopular
from flurs.data.entity import Event, Item, User

from tests.support import movielens_like
from tests.transforms.recommenders.contract import RecommenderContract
from transforms.recommenders.registry import RecommenderSpec


class TestPopular(RecommenderContract):
    spec = RecommenderSpec("popular", repeats="never")
    other_spec = RecommenderSpec("mf", {"k": 9}, repeats="never")


def test_scores_are_those_of_flurs() -> None:
    ours, theirs = RecommenderSpec("popular", repeats="never").build(), FlursPopular()
    theirs.initialize()
    for rating in movielens_like(500):
        ours.update(rating)
        user, item = ours.users.get(rating.user), ours.items.get(rating.item)
        assert user is not None
        if item not in theirs.items:
            theirs.register(Item(item))
        theirs.update(Event(User(user), Item(item)))
        everything = np.arange(len(ours.items))
        scores = ours.model.item_scores(user)
        assert np.array_equal(scores, theirs.score(User(user), everything))
        best, _ = theirs.recommend(User(user), everything)
        assert scores[best].tolist() == sorted(scores, reverse=True)


def test_there_is_nothing_to_set() -> None:
    with pytest.raises(ValueError, match=r"k is no hyperparameter of popular, expected none"):
        RecommenderSpec("popular", {"k": 3}, repeats="never")
