from __future__ import annotations

import warnings
from collections.abc import Iterator

import numpy as np
import pytest
from flurs.data.entity import Event, Item, User
from flurs.recommender import UserKNNRecommender

from tests.support import movielens_like, same_arrays
from tests.transforms.recommenders.contract import RecommenderContract
from transforms.formats.records import Rating
from transforms.recommenders.models.userknn import UserKNN, UserKNNConfig
from transforms.recommenders.recommender import Recommender
from transforms.recommenders.registry import RecommenderSpec


class TestUserKNN(RecommenderContract):
    spec = RecommenderSpec("userknn", repeats="never")
    other_spec = RecommenderSpec("mf", {"k": 9}, repeats="never")


def _similarities(ours: Recommender) -> np.ndarray:
    """FluRS's matrix S, of what we keep."""
    model = ours.model
    assert isinstance(model, UserKNN)
    s = np.zeros((model.n_user, model.n_user))
    for user, row in enumerate(model._rows):
        s[user, row.ids] = row.similarities()
    return s


def _without_a_second_rating_of_an_only_item(ratings: list[Rating]) -> Iterator[Rating]:
    """FluRS divides by zero at such a one, and its means are NaN from then on."""
    items: dict[str, set[str]] = {}
    for rating in ratings:
        own = items.setdefault(rating.user, set())
        if own != {rating.item}:
            own.add(rating.item)
            yield rating


@pytest.mark.parametrize("k", [1, 5, 40])
def test_similarities_and_scores_are_those_of_flurs(k: int) -> None:
    ours, theirs = (
        RecommenderSpec("userknn", {"k": k}, repeats="never").build(),
        UserKNNRecommender(k),
    )
    theirs.initialize()
    compared = repeated = 0
    ratings = movielens_like(700, users=25, items=40)
    for number, rating in enumerate(_without_a_second_rating_of_an_only_item(ratings)):
        repeated += rating.item in ours.seen_items(rating.user)
        ours.update(rating)
        user, item = ours.users.get(rating.user), ours.items.get(rating.item)
        if theirs.is_new_user(user):
            theirs.register(User(user))
        if theirs.is_new_item(item):
            theirs.register(Item(item))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            theirs.update(Event(User(user), Item(item), rating.rating))
        if number % 10:
            continue
        expected = np.where((theirs.C > 1e-9) & (theirs.D > 1e-9), theirs.S, 0.0)
        assert np.isfinite(expected).all()
        got = _similarities(ours)
        assert got == pytest.approx(expected, rel=1e-6, abs=1e-9)
        for other in range(theirs.n_user):
            row = np.sort(got[other])[::-1]
            if k >= len(row) or row[k - 1] - row[k] > 1e-9 or row[k - 1] == 0.0:
                # FluRS takes what is not a number for the nearest neighbour.
                theirs.S[other] = expected[other]
                scores = theirs.score(User(other), np.arange(theirs.n_item))
                assert ours.model.item_scores(other) == pytest.approx(scores, rel=1e-6)
                compared += bool(np.count_nonzero(row))
    assert compared > 500
    assert repeated > 100


def test_nothing_is_unknown_but_what_flurs_can_not_say() -> None:
    ours = RecommenderSpec("userknn", repeats="never").build()
    for rating in movielens_like(700, users=25, items=40):
        ours.update(rating)
    assert np.count_nonzero(_similarities(ours)) > 200
    assert all(np.isfinite(ours.model.item_scores(user)).all() for user in range(25))


def test_who_rates_their_only_item_anew_has_the_new_mean() -> None:
    model = UserKNN(UserKNNConfig(), 0)
    model.add_user()
    model.add_item()
    for value in (3.0, 5.0):
        model.learn(0, 0, Rating("u", "i", value, 0.0), np.array([0], dtype=np.int32))
    assert model.item_scores(0).tolist() == [5.0]


def test_a_rating_of_zero_is_none() -> None:
    rated, unrated = (RecommenderSpec("userknn", repeats="never").build() for _ in range(2))
    for rating in movielens_like(300):
        rated.update(rating)
        unrated.update(rating)
        if rating.item == "3":
            rated.update(rating._replace(rating=0.0))
    first, second = rated.model.state_dict(), unrated.model.state_dict()
    assert same_arrays(first, second)


def test_users_who_are_alike_get_what_the_others_liked() -> None:
    recommender = RecommenderSpec("userknn", {"k": 3}, repeats="never").build()
    random = np.random.default_rng(2)
    for _ in range(3000):
        side, user, item = random.integers(2), random.integers(20), random.integers(40)
        value = 5.0 if (item < 20) == (side == 0) else 1.0
        recommender.update(Rating(f"{side}-{user}", str(item), value, 0.0))
    recommender.update(Rating("0-0", "new to most", 5.0, 0.0))
    model, user_index = recommender.model, recommender.users.get("0-1")
    assert isinstance(model, UserKNN)
    assert user_index is not None
    users, similarities = model.neighbors(user_index)
    assert [recommender.users.ids[user][0] for user in users] == ["0"] * 3
    assert (similarities > 0).all()


def test_k_may_change_when_a_model_is_loaded() -> None:
    few = RecommenderSpec("userknn", {"k": 2}, repeats="never").build()
    many = RecommenderSpec("userknn", {"k": 9}, repeats="never").build()
    loaded = RecommenderSpec("userknn", {"k": 9}, repeats="never").build()
    for rating in movielens_like(400):
        few.update(rating)
        many.update(rating)
    loaded.load_state_dict(few.state_dict())
    assert loaded.recommend("1", 10) == many.recommend("1", 10)


def test_hyperparameters_are_checked() -> None:
    with pytest.raises(ValueError, match="k is 0, expected at least 1"):
        RecommenderSpec("userknn", {"k": 0}, repeats="never")
